package figures

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/stats"
)

// mostSteps of a distribution are drawn: more than the picture has columns.
const mostSteps = 4000

// figure6 is the empirical distribution of the server's CPU and memory use.
func figure6(s *analysis.Summary, all []*analysis.Series) *Figure {
	f := newFigure(s, "figure-6", figure6Title, TwoColumns, 2.9*vg.Inch)
	f.data = [][]string{{"variant", "resource", "unit", statisticColumn, "share_at_or_below", "value"}}
	f.note(figure6What)
	f.noteTrials(s)
	if s.Blocks > 1 {
		f.note(figure6Trials)
	}
	f.note(figure6Paper)
	f.curveKeys(s, all, func(v *analysis.Series) *analysis.Curve { return &v.CPUAt })
	cpu := ecdfPanel(f, 0, all, resource{
		name: "CPU", unit: "%", label: f.say(cpuOfServer), divisor: 1,
		samples: func(v *analysis.Series) []float64 { return v.CPU }, at: func(v *analysis.Series) *analysis.Curve { return &v.CPUAt },
	})
	cpu.X.Max = max(100, cpu.X.Max)
	of := resource{
		name: "memory", unit: "MiB", label: f.say(residentSet), divisor: 1 << 20,
		samples: func(v *analysis.Series) []float64 { return v.Memory }, at: func(v *analysis.Series) *analysis.Curve { return &v.MemoryAt },
	}
	if limit := s.Window.MemoryBytes; limit > 0 {
		of.unit, of.label, of.divisor = "%", f.say(residentShare, f.num(analysis.Number(limit)/(1<<20))), float64(limit)/100
	}
	memory := ecdfPanel(f, 1, all, of)
	memory.X.Max *= 1.05
	if of.unit == "%" {
		memory.X.Max = 100
	}
	f.panels = []*plot.Plot{cpu, memory}
	f.table = [][]string{{"variant", "", "resource", "value"}}
	for _, m := range f.marks {
		f.table = append(f.table, []string{m.series, m.group, f.panels[m.panel].X.Label.Text, m.value})
	}
	return f
}

// resource is what a distribution is of.
type resource struct {
	name, unit, label string
	divisor           float64 // from the samples to the unit
	samples           func(*analysis.Series) []float64
	at                func(*analysis.Series) *analysis.Curve
}

// ecdfPanel draws one empirical distribution for each variant as steps, and
// behind it the band or the trials.
func ecdfPanel(f *Figure, panel int, all []*analysis.Series, of resource) *plot.Plot {
	p := newPanel("", of.label, f.say(shareOfTime))
	p.Add(grid())
	p.X.Min, p.X.Max = 0, 1
	for _, v := range all {
		f.distributionBehind(p, v, of)
	}
	thinned := false
	for _, v := range all {
		var values []float64
		for _, x := range of.samples(v) {
			values = append(values, x/of.divisor)
		}
		steps := stats.ECDF(stats.Sorted(values))
		marks := f.shareMarks(steps, mark{panel: panel, series: v.Variant}, of.unit)
		f.marks = append(f.marks, marks...)
		drawn := stats.Thin(steps, mostSteps)
		thinned = thinned || len(drawn) < len(steps)
		f.addSteps(p, v, of, drawn, marks)
	}
	if note := f.say(figure6Thinned, mostSteps); thinned && !slices.Contains(f.Notes, note) {
		f.Notes = append(f.Notes, note)
	}
	p.Y.Min, p.Y.Max = 0, 1.02
	p.Y.Tick.Marker = every{0.1, f.lang}
	p.X.Tick.Marker = plot.TickerFunc(func(least, most float64) []plot.Tick { return f.niceStep(most, 10).Ticks(least, most) })
	return p
}

// addSteps draws a distribution, with a glyph at each tenth of the time.
func (f *Figure) addSteps(p *plot.Plot, v *analysis.Series, of resource, steps []stats.Step, marks []mark) {
	if len(steps) == 0 {
		return
	}
	xys := plotter.XYs{{X: steps[0].X}}
	for _, step := range steps {
		xys = append(xys, plotter.XY{X: step.X, Y: step.Share})
		f.add(v.Variant, of.name, of.unit, "all trials", analysis.Number(step.Share).String(), analysis.Number(step.X).String())
	}
	var tenths plotter.XYs
	for i, m := range marks {
		if i%2 == 1 && i < len(marks)-1 {
			tenths = append(tenths, plotter.XY{X: m.x, Y: m.y})
		}
	}
	l := lookOf(v.Variant)
	p.X.Max = max(p.X.Max, xys[len(xys)-1].X)
	p.Add(&plotter.Line{XYs: xys, StepStyle: plotter.PostStep, LineStyle: l.line(1.2)})
	p.Add(&plotter.Scatter{XYs: tenths, GlyphStyle: l.onCurve()})
}

// distributionBehind draws from which to which value the trials' distributions
// reach at each share: the interval, or each trial.
func (f *Figure) distributionBehind(p *plot.Plot, v *analysis.Series, of resource) {
	c, l := of.at(v), lookOf(v.Variant)
	line := func(statistic string, values []float64) plotter.XYs {
		var xys plotter.XYs
		for i, share := range analysis.Shares()[:len(values)] {
			value := values[i] / of.divisor
			xys = append(xys, plotter.XY{X: value, Y: share})
			f.add(v.Variant, of.name, of.unit, statistic, analysis.Number(share).String(), analysis.Number(value).String())
		}
		return xys
	}
	switch {
	case c.HasInterval():
		p.Add(ribbon{line(analysis.StatLow, c.Low), line(analysis.StatHigh, c.High), l})
	case c.Single():
		for i, trial := range c.Trials {
			p.Add(&plotter.Line{XYs: line(v.Trials[i], trial), LineStyle: l.thin()})
		}
	}
}

// shareMarks are the values that the use stays at or below for each 5 % of the
// time.
func (f *Figure) shareMarks(steps []stats.Step, m mark, unit string) []mark {
	var all []mark
	for percent := 5; percent <= 100; percent += 5 {
		for _, s := range steps {
			if s.Share < float64(percent)/100-1e-9 {
				continue
			}
			m.x, m.y = s.X, float64(percent)/100
			m.group = f.say(forTimeAtMost, percent)
			m.value = f.num(analysis.Number(m.x)) + " " + unit
			all = append(all, m)
			break
		}
	}
	return all
}
