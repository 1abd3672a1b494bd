package figures

import (
	"image/color"
	"math"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// dot is one marked value with its number above it, and the spread of its trials.
type dot struct {
	x, y    float64
	mark    draw.GlyphStyle
	low     analysis.Number // the ends of its interval
	high    analysis.Number // both are unknown without one
	trials  []float64       // each trial's value, drawn as a small point
	beyond  []bool          // which of them are lower bounds, as y is with outside; nil: none
	label   string
	outside bool // y is the end of the observation: the value is beyond
	// As in a mark of the figure; without a group there is no mark.
	group, series, value string
}

// dots draws marked values: like bars on a linear axis, but on any axis. If log is set,
// the axis counts powers of ten, as logarithmic makes it.
type dots struct {
	values []dot
	log    bool
}

// at returns the position of a value on the axis.
func (d *dots) at(y float64) float64 {
	if d.log {
		return math.Log10(y)
	}
	return y
}

// Plot implements plot.Plotter.
func (d *dots) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	height := func(y float64) vg.Length { return toY(d.at(y)) }
	var labels []vg.Rectangle
	for _, v := range d.values {
		at := vg.Point{X: toX(v.x), Y: height(v.y)}
		top := v.draw(c, at, height)
		labels = drawLabel(c, vg.Point{X: at.X, Y: top + 2}, v.label, labels)
	}
}

// draw draws the value and its trials, and returns where they end.
func (v *dot) draw(c draw.Canvas, at vg.Point, height func(float64) vg.Length) vg.Length {
	top := at.Y + v.mark.Radius
	for i, y := range v.trials {
		beside := vg.Point{X: at.X + aside(i, len(v.trials)), Y: height(y)}
		c.DrawGlyphNoClip(trialGlyph(v.mark.Color), beside)
		top = max(top, beside.Y)
		if v.beyond != nil && v.beyond[i] {
			top = max(top, drawBeyond(c, beside, v.mark.Color))
		}
	}
	if v.low.Known() && v.high.Known() {
		high := height(float64(v.high))
		drawInterval(c, at.X, height(float64(v.low)), high)
		top = max(top, high)
	}
	if v.mark.Shape != nil {
		c.DrawGlyphNoClip(v.mark, at)
	}
	if v.outside {
		top = max(top, drawBeyond(c, at, v.mark.Color))
	}
	return top
}

// drawLabel writes a value's number, higher if it would cover others.
func drawLabel(c draw.Canvas, at vg.Point, text string, others []vg.Rectangle) []vg.Rectangle {
	if text == "" {
		return others
	}
	st := style(textSize, color.Gray{Y: 40}, xfont.WeightNormal)
	st.XAlign, st.YAlign = draw.XCenter, draw.YBottom
	box := st.Rectangle(text).Add(at)
	for slices.ContainsFunc(others, func(o vg.Rectangle) bool { return overlap(o, box) }) {
		const step = textSize * 0.5
		at.Y, box = at.Y+step, box.Add(vg.Point{Y: step})
	}
	c.FillText(st, at, text)
	return append(others, box)
}

func overlap(a, b vg.Rectangle) bool {
	return a.Min.X < b.Max.X && b.Min.X < a.Max.X && a.Min.Y < b.Max.Y && b.Min.Y < a.Max.Y
}

// trialGlyph returns the small point of one trial.
func trialGlyph(c color.Color) draw.GlyphStyle {
	return draw.GlyphStyle{Color: c, Radius: 1.5, Shape: draw.RingGlyph{}}
}

// aside returns how far to the right of their mark the points of trials are.
func aside(i, n int) vg.Length {
	return 6 + vg.Length(i)*min(2.6, 13/vg.Length(max(1, n-1)))
}

// drawInterval draws a bar with a cap at each end.
func drawInterval(c draw.Canvas, x, low, high vg.Length) {
	const half = 4.8 // more than a mark, which may be larger than the interval
	st := draw.LineStyle{Color: color.Black, Width: 0.8}
	c.StrokeLine2(st, x, low, x, high)
	c.StrokeLine2(st, x-half, low, x+half, low)
	c.StrokeLine2(st, x-half, high, x+half, high)
}

// drawBeyond draws an arrow upwards, and returns its end.
func drawBeyond(c draw.Canvas, at vg.Point, clr color.Color) vg.Length {
	st := draw.LineStyle{Color: clr, Width: 0.8}
	tip := at.Y + 8
	c.StrokeLine2(st, at.X, at.Y, at.X, tip)
	c.StrokeLine2(st, at.X-2, tip-3, at.X, tip)
	c.StrokeLine2(st, at.X+2, tip-3, at.X, tip)
	return tip
}

// marks returns the dots as marks of a panel.
func (d *dots) marks(panel int) []mark {
	var all []mark
	for _, v := range d.values {
		if v.group == "" {
			continue
		}
		all = append(all, mark{panel: panel, x: v.x, y: d.at(v.y), group: v.group, series: v.series, value: v.value})
	}
	return all
}

// span returns the smallest and the largest value that is drawn; infinite if there is
// none.
func (d *dots) span() (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	take := func(y float64) {
		if !math.IsNaN(y) && !math.IsInf(y, 0) {
			least, most = min(least, y), max(most, y)
		}
	}
	for _, v := range d.values {
		if v.mark.Shape == nil {
			continue
		}
		take(v.y)
		take(float64(v.low))
		take(float64(v.high))
		for _, y := range v.trials {
			take(y)
		}
	}
	return least, most
}

// dot returns a spread as a marked value, with its number.
func (f *Figure) dot(x float64, s *analysis.Spread, glyph draw.GlyphStyle, group, series string, unit phrase) dot {
	return dot{
		x: x, y: float64(s.Median), mark: glyph, low: s.Low, high: s.High, trials: s.Single(false),
		label: f.num(s.Median), group: group, series: series, value: f.say(unit, f.num(s.Median)),
	}
}
