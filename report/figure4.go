package report

import (
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// figure4 is the mean throughput, and the time to turn a client away.
func figure4(s *Summary) *figure {
	f := &figure{
		name:  "figure-4",
		title: "Figure 4: mean throughput, and the cost of turning a client away",
		notes: []string{
			"Left: whole load, bins of 1 s, empty ones included. Right: logarithmic; a refused client costs one close, a dropped one many packets. " + capital(s.Interval) + ".",
			"Paper: throughput +30.9 %, block time -26.4 % (8 µs in the kernel), kernel against user space.",
		},
		width: 10.4 * vg.Inch, height: 4.8 * vg.Inch,
		data: [][]string{{"variant", "metric", "unit", "value"}},
	}
	f.panels = []*plot.Plot{throughputPanel(f, s), blockTimePanel(f, s)}
	return f
}

// throughputPanel shows the harmonic mean as a bar and the arithmetic beside.
func throughputPanel(f *figure, s *Summary) *plot.Plot {
	p := newPanel("Throughput of the sequential clients", "", "completed requests per second")
	p.Add(grid())
	mean := draw.GlyphStyle{Color: color.Black, Radius: 3.5, Shape: draw.RingGlyph{}}
	marks := new(dots)
	top := 1.0
	for i, v := range s.measured() {
		t := v.Throughput
		l := lookOf(v.Name)
		p.Add(bar{float64(i) - 0.14, float64(t.Harmonic), l})
		marks.values = append(marks.values,
			dot{x: float64(i) - 0.14, y: float64(t.Harmonic), label: short(t.Harmonic), up: 3, group: v.Name, series: "harmonic mean", value: short(t.Harmonic) + " requests/s"},
			dot{x: float64(i) + 0.26, y: float64(t.Arithmetic), label: short(t.Arithmetic), up: 6, mark: mean, group: v.Name, series: "arithmetic mean", value: short(t.Arithmetic) + " requests/s"})
		top = max(top, float64(t.Harmonic), float64(t.Arithmetic))
		f.data = append(f.data,
			[]string{v.Name, "throughput, harmonic mean", "requests/s", t.Harmonic.String()},
			[]string{v.Name, "throughput, arithmetic mean", "requests/s", t.Arithmetic.String()},
			[]string{v.Name, "throughput, paper's estimator", "requests/s", t.Paper.String()})
	}
	p.Add(marks)
	f.marks = append(f.marks, marks.marks(0)...)
	nominal(p, s)
	p.Y.Min, p.Y.Max = 0, top*1.15
	p.Y.Tick.Marker = niceStep(p.Y.Max, 8)
	f.legend = append(f.legend,
		key{"bar: harmonic mean", []plot.Thumbnailer{shadeThumb{color.Gray{Y: 150}}}},
		key{"arithmetic mean", []plot.Thumbnailer{markThumb(mean)}})
	return p
}

// costs are the ways to ask what a client turned away costs; in us.
func costs() []struct {
	label string
	glyph draw.GlyphDrawer
	value func(*BlockTime) Number
} {
	return []struct {
		label string
		glyph draw.GlyphDrawer
		value func(*BlockTime) Number
	}{
		{"user space, CPU time per refusal", draw.PyramidGlyph{}, func(b *BlockTime) Number { return b.CPUMeanUS }},
		{"user space, wall time per refusal", draw.TriangleGlyph{}, func(b *BlockTime) Number { return b.WallMeanUS }},
		{"kernel, per dropped packet", draw.CircleGlyph{}, func(b *BlockTime) Number { return b.DropNS / 1e3 }},
		{"extra time of the server's CPUs per client turned away", draw.CrossGlyph{}, func(b *BlockTime) Number { return b.ExtraPerTurnedAwayUS }},
	}
}

func blockTimePanel(f *figure, s *Summary) *plot.Plot {
	p := newPanel("Time to turn one client away", "", "microseconds (log)")
	marks := &dots{log: true}
	least, most := math.Inf(1), math.Inf(-1)
	for i, v := range s.measured() {
		l := lookOf(v.Name)
		var have []dot
		for _, c := range costs() {
			us := c.value(&v.BlockTime)
			f.data = append(f.data, []string{v.Name, c.label, "us", us.String()})
			if us.known() && us > 0 { // a logarithmic axis has no place for the rest
				have = append(have, dot{
					y: float64(us), label: short(us), up: 6, stem: true,
					mark:  draw.GlyphStyle{Color: l.color, Radius: 4.5, Shape: c.glyph},
					group: v.Name, series: c.label, value: short(us) + " µs",
				})
				least, most = min(least, float64(us)), max(most, float64(us))
			}
		}
		if len(have) == 0 {
			have = []dot{{y: 1, label: "turns nobody away"}}
		}
		for j := range have {
			have[j].x = float64(i) + (float64(j)-float64(len(have)-1)/2)*0.28
		}
		marks.values = append(marks.values, have...)
	}
	if math.IsInf(least, 1) {
		least, most = 1, 10
	}
	for i := range marks.values {
		if marks.values[i].mark.Shape == nil {
			marks.values[i].y = math.Sqrt(least * most)
		}
	}
	p.Add(grid(), marks)
	f.marks = append(f.marks, marks.marks(1)...)
	nominal(p, s)
	logarithmic(&p.Y, least, most)
	for _, c := range costs() {
		f.legend = append(f.legend, key{c.label, []plot.Thumbnailer{markThumb{Color: color.Gray{Y: 60}, Radius: 4, Shape: c.glyph}}})
	}
	return p
}

// nominal names the variants along the x axis.
func nominal(p *plot.Plot, s *Summary) {
	var ticks plot.ConstantTicks
	have := s.measured()
	for i, v := range have {
		label := v.Name
		if len(have) > 3 { // side by side they would touch
			label = strings.Replace(label, "-", "-\n", 1)
		}
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: label})
	}
	p.X.Tick.Marker = ticks
	p.X.Tick.Length, p.X.Tick.Width = 3, 0
	p.X.Min, p.X.Max = -0.6, float64(len(have))-0.4
}

// bar is one bar from zero, in a variant's colour.
type bar struct {
	x, y float64
	look look
}

// Plot implements plot.Plotter.
func (b bar) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	rect := vg.Rectangle{
		Min: vg.Point{X: toX(b.x - 0.22), Y: toY(0)},
		Max: vg.Point{X: toX(b.x + 0.22), Y: toY(b.y)},
	}
	c.FillPolygon(b.look.faint(), corners(rect))
	outline := append(corners(rect), rect.Min)
	c.StrokeLines(b.look.line(1.2), outline)
}
