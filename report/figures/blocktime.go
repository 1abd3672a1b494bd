package figures

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/equic-bench/equic-bench/report/analysis"
)

const extraName = "extra time of the server's CPUs per client turned away"

// figureBlockTime shows the total cost of turning a client away, measured in the same
// way for every variant.
func figureBlockTime(s *analysis.Summary) *Figure {
	f := newFigure(s, "figure-block-time", blockTimeFairTitle, oneColumn, 2.5*vg.Inch)
	f.data = [][]string{{"variant", "metric", "unit", statisticColumn, "value"}}
	f.note(blockTimeFair)
	f.noteTrials(s)
	p := newPanel("", "", f.say(microsecondsPerClient))
	marks := new(dots)
	value := func(m *analysis.Metrics) analysis.Number { return m.BlockTime.ExtraPerTurnedAwayUS }
	have := f.turningAway(s, value)
	f.roomForNames(have)
	for i := range have {
		us := have[i].Spread(value)
		f.rows(us, have[i].Name, extraName, "us")
		marks.values = append(marks.values,
			f.dot(float64(i), us, lookOf(have[i].Name).mark(3), have[i].Name, f.say(extraTime), inMicroseconds))
	}
	least, most := marks.span()
	marks.log = f.scale(&p.Y, least, most)
	p.Add(grid(), marks)
	f.marks = marks.marks(0)
	names(p, variantNames(have))
	f.panels = []*plot.Plot{p}
	f.spreadKeys(s, false)
	return f
}
