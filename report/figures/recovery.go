package figures

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// figureRecovery shows how long the throughput of the sequential clients is reduced,
// with each trial as a point.
func figureRecovery(s *analysis.Summary) *Figure {
	f := newFigure(s, "figure-recovery", recoveryTitle, TwoColumns, 2.4*vg.Inch)
	f.data = [][]string{{"variant", "metric", statisticColumn, "value"}}
	f.note(recoveryWhat)
	f.noteTrials(s)
	f.roomForNames(s.Measured())
	onset := recoveryPanel(f, s, 0, untilRecovered, func(v *analysis.Variant) dot { return f.onset(v) })
	below := recoveryPanel(f, s, 1, below90, func(v *analysis.Variant) dot { return f.below(v) })
	f.panels = []*plot.Plot{onset, below}
	f.spreadKeys(s, true)
	if slices.ContainsFunc(s.Measured(),
		func(v analysis.Variant) bool { return v.CountTrials(analysis.NeverRecovered) > 0 }) {
		f.legend = append(f.legend, key{f.say(leftTime), []plot.Thumbnailer{upwardThumb{}}})
	}
	return f
}

// recoveryPanel returns a panel with one mark for each variant, on an axis of seconds.
func recoveryPanel(f *Figure, s *analysis.Summary, panel int, title phrase, of func(*analysis.Variant) dot) *plot.Plot {
	p := newPanel(f.panelTitle(panel, title), "", f.say(inSecondsAxis))
	marks := new(dots)
	have := s.Measured()
	for i := range have {
		d := of(&have[i])
		if math.IsNaN(d.y) {
			continue
		}
		d.x, d.group, d.series = float64(i), have[i].Name, f.say(title)
		d.mark = lookOf(have[i].Name).mark(3)
		marks.values = append(marks.values, d)
	}
	p.Add(grid(), marks)
	_, most := marks.span()
	p.Y.Min, p.Y.Max = 0, max(1, most)*1.25
	p.X.Padding = 4 // many values are zero
	p.Y.Tick.Marker = f.niceStep(p.Y.Max, 6)
	f.marks = append(f.marks, marks.marks(panel)...)
	names(p, variantNames(have))
	return p
}

// onset returns the mark of the seconds until a variant recovered. If it did not
// recover, that is the remaining time, with an arrow.
func (f *Figure) onset(v *analysis.Variant) dot {
	onset, recovery := v.Spread(analysis.RecoveryTime), analysis.MetricByID("recovery")
	onset.Median = recovery.Typical(v)
	if v.Low != nil {
		onset.Low, onset.High = recovery.Ends(v)
	}
	f.recoveryRows(v, "until recovered (s)", onset)
	f.recoveryRows(v, "recovered (1), or not in the time that was left (0)",
		v.Spread(func(m *analysis.Metrics) analysis.Number { return m.Recovery.Recovered }))
	d := f.seconds(onset)
	for _, m := range v.TrialMetrics {
		if analysis.RecoveryTime(m).Known() {
			d.beyond = append(d.beyond, analysis.NeverRecovered(m))
		}
	}
	if d.outside = analysis.NeverRecovered(v.Metrics); d.outside {
		d.label = ">" + f.num(onset.Median)
		d.value = f.say(notWithin, f.num(onset.Median))
	}
	return d
}

// below returns the mark of the seconds below 90 % of the throughput before the attack.
func (f *Figure) below(v *analysis.Variant) dot {
	below := v.Spread(func(m *analysis.Metrics) analysis.Number { return m.Recovery.BelowS })
	f.recoveryRows(v, "below 90 % of the throughput before the attack (s)", below)
	return f.seconds(below)
}

func (f *Figure) recoveryRows(v *analysis.Variant, metric string, s *analysis.Spread) {
	s.Each(true, func(statistic string, n analysis.Number) { f.add(v.Name, metric, statistic, n.String()) })
}

func (f *Figure) seconds(s *analysis.Spread) dot {
	return dot{
		y: float64(s.Median), low: s.Low, high: s.High, trials: s.Single(true),
		label: f.num(s.Median), value: f.say(inSeconds, f.num(s.Median)),
	}
}
