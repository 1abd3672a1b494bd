package figures

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/stats"
)

// mostSteps is the most steps of a distribution that are drawn: more than the picture has columns.
const mostSteps = 4000

// figure6 shows the empirical CDF of the server's CPU and memory use.
func figure6(s *analysis.Summary, all []*analysis.Series) *Figure {
	f := newFigure(s, "figure-6", figure6Title, TwoColumns, 3.2*vg.Inch)
	f.data = [][]string{{"variant", "resource", "unit", statisticColumn, "share_at_or_below", "value"}}
	f.note(figure6What)
	f.noteTrials(s)
	if s.Blocks > 1 {
		f.note(figure6Trials)
	}
	f.note(figure6Paper)
	if limit := s.Window.MemoryBytes; limit > 0 {
		f.note(figure6Limit, f.num(analysis.Number(limit)/(1<<20)))
	}
	f.curveKeys(s, all, func(v *analysis.Series) *analysis.Curve { return &v.CPUAt })
	cpu := ecdfPanel(f, s, 0, all, resource{
		name: "CPU", unit: "%", title: cpuTitle, label: cpuOfServer, divisor: 1, stated: statedCPU(),
		samples: func(v *analysis.Series) []float64 { return v.CPU },
		at:      func(v *analysis.Series) *analysis.Curve { return &v.CPUAt },
	})
	cpu.X.Max = max(100, cpu.X.Max)
	memory := ecdfPanel(f, s, 1, all, resource{
		name: "memory", unit: "MiB", title: memoryTitle, label: residentSet, divisor: 1 << 20, log: true,
		stated:  statedMemory(s),
		samples: func(v *analysis.Series) []float64 { return v.Memory },
		at:      func(v *analysis.Series) *analysis.Curve { return &v.MemoryAt },
	})
	f.statedKeys(s)
	f.panels = []*plot.Plot{cpu, memory}
	f.table = [][]string{{"variant", "", "resource", "value"}}
	for _, m := range f.marks {
		f.table = append(f.table, []string{m.series, m.group, f.panels[m.panel].X.Label.Text, m.value})
	}
	return f
}

// resource is the quantity of a distribution.
type resource struct {
	name, unit   string
	title, label phrase
	divisor      float64 // from the samples to the unit
	log          bool    // the axis counts powers of ten
	stated       []statement
	samples      func(*analysis.Series) []float64
	at           func(*analysis.Series) *analysis.Curve
}

// x returns the position of a value on the axis.
func (r *resource) x(value float64) float64 {
	if r.log {
		return math.Log10(max(value, 1e-3))
	}
	return value
}

// statement is a value that the paper states for a variant's use: a point of its distribution.
type statement struct {
	variant      record.Variant
	value, share float64
}

func statedCPU() []statement {
	return []statement{{record.XDPBlock, 40, 0.9}, {record.UserspaceBlock, 90, 0.2}}
}

// statedMemory returns the paper's statements in % of a total that the paper does not name: here,
// of the limit.
func statedMemory(s *analysis.Summary) []statement {
	limit := float64(s.Window.MemoryBytes) / (1 << 20)
	if limit == 0 {
		return nil
	}
	return []statement{{record.XDPBlock, 0.3 * limit, 0.9}, {record.UserspaceBlock, 0.9 * limit, 0.9}}
}

// ecdfPanel draws one empirical CDF for each variant as steps, and behind it the band
// or the trials.
func ecdfPanel(f *Figure, s *analysis.Summary, panel int, all []*analysis.Series, of resource) *plot.Plot {
	p := newPanel(f.panelTitle(panel, of.title), f.say(of.label), f.say(shareOfTime))
	p.Add(grid())
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
		marks := f.shareMarks(steps, mark{panel: panel, series: v.Variant}, of)
		f.marks = append(f.marks, marks...)
		drawn := stats.Thin(steps, mostSteps)
		thinned = thinned || len(drawn) < len(steps)
		f.addSteps(p, v, of, drawn, marks)
	}
	f.addStated(p, s, of)
	if note := f.say(figure6Thinned, mostSteps); thinned && !slices.Contains(f.Notes, note) {
		f.Notes = append(f.Notes, note)
	}
	p.Y.Min, p.Y.Max = 0, 1.02
	p.Y.Tick.Marker = every{0.1, f.lang}
	f.scaleUse(&p.X, all, of)
	return p
}

// scaleUse makes the axis include all samples and statements.
func (f *Figure) scaleUse(a *plot.Axis, all []*analysis.Series, of resource) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range all {
		for _, x := range of.samples(v) {
			least, most = min(least, x/of.divisor), max(most, x/of.divisor)
		}
	}
	if !of.log || math.IsInf(least, 0) {
		a.Min, a.Max = 0, max(1, most)
		a.Tick.Marker = plot.TickerFunc(func(least, most float64) []plot.Tick {
			return f.niceStep(most, 10).Ticks(least, most)
		})
		return
	}
	for _, stated := range of.stated {
		most = max(most, stated.value)
	}
	a.Label.Text = f.say(logScale, a.Label.Text)
	f.logarithmic(a, max(least, 1e-3), most)
}

// addStated marks the paper's statements on the variants that the run has.
func (f *Figure) addStated(p *plot.Plot, s *analysis.Summary, of resource) {
	for _, stated := range of.stated {
		name := string(stated.variant)
		if s.Variant(name) == nil {
			continue
		}
		share, value := analysis.Number(stated.share), analysis.Number(stated.value)
		f.add(name, of.name, of.unit, statPublished, share.String(), value.String())
		at := plotter.XYs{{X: of.x(stated.value), Y: stated.share}}
		p.Add(&plotter.Scatter{XYs: at, GlyphStyle: lookOf(name).target()})
	}
}

// statedKeys adds the entries of the legend for the paper's statements.
func (f *Figure) statedKeys(s *analysis.Summary) {
	with, without := statedCPUWith, statedCPUWithout
	if s.Window.MemoryBytes > 0 {
		with, without = statedWith, statedWithout
	}
	for _, k := range []struct {
		variant record.Variant
		label   phrase
	}{{record.UserspaceBlock, without}, {record.XDPBlock, with}} {
		if name := string(k.variant); s.Variant(name) != nil {
			f.legend = append(f.legend, key{f.say(k.label), []plot.Thumbnailer{markThumb(lookOf(name).target())}})
		}
	}
}

// target returns the mark of a point that the variant's curve should reach.
func (l look) target() draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.color, Radius: 4, Shape: ringed{l.glyph}}
}

// ringed is a glyph in a ring.
type ringed struct{ shape draw.GlyphDrawer }

// DrawGlyph implements draw.GlyphDrawer.
func (r ringed) DrawGlyph(c *draw.Canvas, st draw.GlyphStyle, at vg.Point) {
	c.SetColor(color.White)
	draw.CircleGlyph{}.DrawGlyph(c, st, at)
	c.SetColor(st.Color)
	c.SetLineStyle(draw.LineStyle{Color: st.Color, Width: 0.9})
	draw.RingGlyph{}.DrawGlyph(c, st, at)
	st.Radius *= 0.45
	r.shape.DrawGlyph(c, st, at)
}

// addSteps draws a distribution, with a glyph at each tenth of the time.
func (f *Figure) addSteps(p *plot.Plot, v *analysis.Series, of resource, steps []stats.Step, marks []mark) {
	if len(steps) == 0 {
		return
	}
	xys := plotter.XYs{{X: of.x(steps[0].X)}}
	for _, step := range steps {
		xys = append(xys, plotter.XY{X: of.x(step.X), Y: step.Share})
		f.add(v.Variant, of.name, of.unit, "all trials", analysis.Number(step.Share).String(),
			analysis.Number(step.X).String())
	}
	var tenths plotter.XYs
	for i, m := range marks {
		if i%2 == 1 && i < len(marks)-1 {
			tenths = append(tenths, plotter.XY{X: m.x, Y: m.y})
		}
	}
	l := lookOf(v.Variant)
	p.Add(&plotter.Line{XYs: xys, StepStyle: plotter.PostStep, LineStyle: l.line(1.2)})
	p.Add(&plotter.Scatter{XYs: tenths, GlyphStyle: l.onCurve()})
}

// distributionBehind draws the range of the trials' distributions at each share: the
// interval, or each trial.
func (f *Figure) distributionBehind(p *plot.Plot, v *analysis.Series, of resource) {
	c, l := of.at(v), lookOf(v.Variant)
	line := func(statistic string, values []float64) plotter.XYs {
		var xys plotter.XYs
		for i, share := range analysis.Shares()[:len(values)] {
			value := values[i] / of.divisor
			xys = append(xys, plotter.XY{X: of.x(value), Y: share})
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

// shareMarks returns, for each 5 % of the time, the value that the use does not exceed.
func (f *Figure) shareMarks(steps []stats.Step, m mark, of resource) []mark {
	var all []mark
	for percent := 5; percent <= 100; percent += 5 {
		for _, s := range steps {
			if s.Share < float64(percent)/100-1e-9 {
				continue
			}
			m.x, m.y = of.x(s.X), float64(percent)/100
			m.group = f.say(forTimeAtMost, percent)
			m.value = f.num(analysis.Number(s.X)) + " " + of.unit
			all = append(all, m)
			break
		}
	}
	return all
}
