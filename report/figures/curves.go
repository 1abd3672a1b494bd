package figures

import (
	"cmp"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// overTime returns a panel of curves over time, with the attack shaded. Time is zero at
// the beginning of the attack, or at the epoch if there is none.
func (f *Figure) overTime(s *analysis.Summary, lastS float64, title, unit string) *plot.Plot {
	p := newPanel(title, f.say(sinceEpoch), unit)
	lastS = max(1, lastS)
	if s.Window.AttackFromS.Known() {
		p.X.Label.Text = f.say(sinceAttack)
		f.attack, f.zeroS = true, float64(s.Window.AttackFromS)
		p.Add(stretch{0, min(float64(s.Window.AttackToS), lastS) - f.zeroS})
	}
	p.X.Min, p.X.Max = -f.zeroS, lastS-f.zeroS
	p.X.Tick.Marker = f.niceStep(lastS, 12)
	p.Add(grid())
	return p
}

// binName returns the time span of a bin, for reading.
func (f *Figure) binName(bin, widthS int) string {
	from := float64(bin*widthS) - f.zeroS
	return f.say(fromTo, f.num(analysis.Number(from)), f.num(analysis.Number(from+float64(widthS))))
}

// binned is a curve over bins of equal width as a panel shows it.
type binned struct {
	curve  *analysis.Curve
	look   look
	widthS float64
	zeroS  float64 // the zero of the axis
	log    bool    // the axis counts powers of ten
	top    float64
	steps  bool // level over each bin, otherwise straight from middle to middle
	// A glyph is drawn every glyphEvery bins, from glyphFirst on; 0 means every bin.
	glyphEvery, glyphFirst int
}

// middle returns the position of a bin's middle on the axis.
func (b *binned) middle(bin int) float64 { return (float64(bin)+0.5)*b.widthS - b.zeroS }

// shows reports whether a value can be drawn.
func (b *binned) shows(v float64) bool { return !math.IsNaN(v) && (!b.log || v > 0) }

// points returns the values over their bins, in pieces without gaps.
func (b *binned) points(values []float64) []plotter.XYs {
	var all []plotter.XYs
	open := false
	for i, v := range values {
		if !b.shows(v) {
			open = false
			continue
		}
		if !open {
			all, open = append(all, nil), true
		}
		part, x, y := &all[len(all)-1], b.middle(i), b.height(v)
		if b.steps {
			*part = append(*part, plotter.XY{X: x - b.widthS/2, Y: y}, plotter.XY{X: x + b.widthS/2, Y: y})
		} else {
			*part = append(*part, plotter.XY{X: x, Y: y})
		}
	}
	return all
}

// glyphs returns the positions of the curve's glyphs.
func (b *binned) glyphs() plotter.XYs {
	var all plotter.XYs
	for i := b.glyphFirst; i < len(b.curve.Median); i += max(1, b.glyphEvery) {
		if v := b.curve.Median[i]; b.shows(v) {
			all = append(all, plotter.XY{X: b.middle(i), Y: b.height(v)})
		}
	}
	return all
}

// height returns the position of a value on the axis; a value above the top is cut.
func (b *binned) height(v float64) float64 {
	if b.log {
		return math.Log10(v)
	}
	if b.top > 0 {
		return min(v, b.top)
	}
	return v
}

// behind draws the background of all curves: the band of the interval, or the curve of
// each trial.
func (b *binned) behind(p *plot.Plot) {
	if b.curve.Single() {
		for _, trial := range b.curve.Trials {
			for _, part := range b.points(trial) {
				p.Add(&plotter.Line{XYs: part, LineStyle: b.look.thin()})
			}
		}
	}
	low, high := b.points(b.curve.Low), b.points(b.curve.High)
	for i := range low {
		p.Add(ribbon{low[i], high[i], b.look})
	}
}

// drawCurves adds curves to a panel. Solid lines and large marks are drawn first, so
// that they do not hide those of other curves with the same values.
func drawCurves(p *plot.Plot, all []binned) {
	for i := range all {
		all[i].behind(p)
	}
	large := slices.SortedStableFunc(slices.Values(all),
		func(a, b binned) int { return cmp.Compare(b.look.size, a.look.size) })
	solid := slices.SortedStableFunc(slices.Values(large),
		func(a, b binned) int { return min(1, len(a.look.dashes)) - min(1, len(b.look.dashes)) })
	for _, b := range solid {
		for _, part := range b.points(b.curve.Median) {
			p.Add(&plotter.Line{XYs: part, LineStyle: b.look.line(1.2)})
		}
	}
	for _, b := range large {
		p.Add(&plotter.Scatter{XYs: b.glyphs(), GlyphStyle: b.look.onCurve()})
	}
}

// curveRows adds what is drawn of a curve to the figure's data: the key's columns,
// width and start of the bin, statistic, value.
func (f *Figure) curveRows(v *analysis.Series, c *analysis.Curve, widthS int, key ...string) {
	put := func(statistic string, values []float64) {
		for i, value := range values {
			f.add(append(slices.Clone(key), strconv.Itoa(widthS), strconv.Itoa(i*widthS), statistic,
				analysis.Number(value).String())...)
		}
	}
	put(analysis.StatMedian, c.Median)
	if c.HasInterval() {
		put(analysis.StatLow, c.Low)
		put(analysis.StatHigh, c.High)
	}
	if c.Single() {
		for i, trial := range c.Trials {
			put(v.Trials[i], trial)
		}
	}
}

// ribbon is a band between two lines. It has an edge, so that overlapping bands can be
// distinguished.
type ribbon struct {
	low, high plotter.XYs
	look      look
}

// Plot implements plot.Plotter.
func (r ribbon) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	line := func(xys plotter.XYs) []vg.Point {
		var all []vg.Point
		for _, xy := range xys {
			all = append(all, vg.Point{X: toX(xy.X), Y: toY(xy.Y)})
		}
		return all
	}
	low, high := line(r.low), line(r.high)
	edge := r.look.line(0.4)
	c.StrokeLines(edge, low)
	c.StrokeLines(edge, high)
	slices.Reverse(high)
	c.FillPolygon(r.look.veil(), slices.Concat(low, high))
}

// shade returns the colour of the attack.
func shade() color.Color { return color.RGBA{R: 236, G: 232, B: 220, A: 255} }

// stretch shades a part of the x axis, with a line at either end.
type stretch struct{ from, to float64 }

// Plot implements plot.Plotter.
func (w stretch) Plot(c draw.Canvas, p *plot.Plot) {
	toX, _ := p.Transforms(&c)
	from, to := toX(w.from), toX(w.to)
	c.FillPolygon(shade(), corners(vg.Rectangle{Min: vg.Point{X: from, Y: c.Min.Y}, Max: vg.Point{X: to, Y: c.Max.Y}}))
	edge := draw.LineStyle{Color: color.Gray{Y: 120}, Width: 0.5, Dashes: []vg.Length{2, 2}}
	c.StrokeLine2(edge, from, c.Min.Y, from, c.Max.Y)
	c.StrokeLine2(edge, to, c.Min.Y, to, c.Max.Y)
}
