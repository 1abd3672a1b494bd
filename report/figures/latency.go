package figures

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// figureLatency shows the response time of the sequential clients over time.
func figureLatency(s *analysis.Summary, all []*analysis.Series) *Figure {
	f := newFigure(s, "figure-latency", latencyTitle, TwoColumns, 4.2*vg.Inch)
	f.stacked = true
	f.data = [][]string{{"variant", "value_of", "bin_width_s", "bin_start_s", statisticColumn, "ms"}}
	f.note(latencyWhat)
	f.noteTrials(s)
	f.noteFailed(s)
	f.panels = []*plot.Plot{
		f.latencyPanel(s, all, 0, latencyMedian, "median", func(v *analysis.Series) *analysis.Curve { return &v.P50 }),
		f.latencyPanel(s, all, 1, latencyP95, "p95", func(v *analysis.Series) *analysis.Curve { return &v.P95 }),
	}
	f.curveKeys(s, all, func(v *analysis.Series) *analysis.Curve { return &v.P50 })
	return f
}

// noteFailed adds a note on how many requests have no response time: a variant that
// fails the slow ones would look fast.
func (f *Figure) noteFailed(s *analysis.Summary) {
	for _, v := range s.Measured() {
		if n := v.Typical(failed); n > 0 {
			f.note(latencyFailed, v.Name, f.num(n))
		}
	}
}

// failed returns how many sequential requests of a trial are not ok.
func failed(m *analysis.Metrics) analysis.Number {
	n := analysis.Number(0)
	for outcome, of := range m.Requests[results.RoleSequential] {
		if outcome != string(record.OK) {
			n += of
		}
	}
	return n
}

// latencyPanel draws one quantile of the bins of 5 s, on a logarithmic axis if it spans
// more than a decade.
func (f *Figure) latencyPanel(s *analysis.Summary, all []*analysis.Series, panel int, title phrase, name string,
	of func(*analysis.Series) *analysis.Curve,
) *plot.Plot {
	lastS := 0.0
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range all {
		c := of(v)
		lastS = max(lastS, 5*float64(len(c.Median)))
		f.curveRows(v, c, 5, v.Variant, name)
		least, most = c.Span(least, most)
	}
	p := f.overTime(s, lastS, f.panelTitle(panel, title), f.say(milliseconds))
	log := f.scale(&p.Y, least, most)
	var lines []binned
	for _, v := range all {
		line := binned{curve: of(v), look: lookOf(v.Variant), widthS: 5, zeroS: f.zeroS, log: log}
		lines = append(lines, line)
		for i, ms := range of(v).Median {
			if analysis.Number(ms).Known() {
				f.marks = append(f.marks, mark{
					panel: panel, x: line.middle(i), y: line.height(ms), group: f.binName(i, 5),
					series: v.Variant, value: f.say(inMilliseconds, f.num(analysis.Number(ms))),
				})
			}
		}
	}
	drawCurves(p, lines)
	return p
}
