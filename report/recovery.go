package report

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// figureRecovery is how long the throughput of the sequential clients stays
// away, each trial as a point.
func figureRecovery(s *Summary) *figure {
	f := newFigure(s, "figure-recovery", recoveryTitle, twoColumns, 2.4*vg.Inch)
	f.data = [][]string{{"variant", "metric", statisticColumn, "value"}}
	f.note(recoveryWhat)
	f.noteTrials(s)
	onset := recoveryPanel(f, s, 0, untilRecovered, func(v *Variant) dot { return f.onset(v) })
	below := recoveryPanel(f, s, 1, below90, func(v *Variant) dot { return f.below(v) })
	f.panels = []*plot.Plot{onset, below}
	f.spreadKeys(s, true)
	return f
}

// recoveryPanel has one mark for each variant, on an axis of seconds.
func recoveryPanel(f *figure, s *Summary, panel int, title phrase, of func(*Variant) dot) *plot.Plot {
	p := newPanel(f.panelTitle(panel, title), "", f.say(inSecondsAxis))
	marks := new(dots)
	have := s.measured()
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

// onset is the seconds until a variant recovered. Where it did not, that is the
// time that was left, with an arrow.
func (f *figure) onset(v *Variant) dot {
	onset := v.spread(recoveryTime)
	f.recoveryRows(v, "until recovered (s)", onset)
	f.recoveryRows(v, "recovered (1), or not in the time that was left (0)", v.spread(func(m *Metrics) Number { return m.Recovery.Recovered }))
	d := f.seconds(onset)
	for _, m := range v.trials {
		if recoveryTime(m).known() {
			d.beyond = append(d.beyond, never(m))
		}
	}
	if d.outside = never(v.Metrics); d.outside {
		d.label = f.say(notWithin, f.num(onset.median))
		d.value = d.label
	}
	return d
}

// below is the seconds below 90 % of the throughput before the attack.
func (f *figure) below(v *Variant) dot {
	below := v.spread(func(m *Metrics) Number { return m.Recovery.BelowS })
	f.recoveryRows(v, "below 90 % of the throughput before the attack (s)", below)
	return f.seconds(below)
}

func (f *figure) recoveryRows(v *Variant, metric string, s *spread) {
	s.each(true, func(statistic string, n Number) { f.add(v.Name, metric, statistic, n.String()) })
}

func (f *figure) seconds(s *spread) dot {
	return dot{
		y: float64(s.median), low: s.low, high: s.high, trials: s.single(true),
		label: f.num(s.median), value: f.say(inSeconds, f.num(s.median)),
	}
}
