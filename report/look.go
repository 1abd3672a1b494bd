package report

import (
	"fmt"
	"image/color"
	"math"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// look is how a variant is told apart: by colour (Okabe and Ito's palette, safe
// for the colour-blind), and also by dash and glyph.
type look struct {
	color  color.RGBA
	dashes []vg.Length
	glyph  draw.GlyphDrawer
}

// lookOf is the same for a variant in every figure and every run.
func lookOf(variant string) look {
	switch variant {
	case noBlocking:
		return look{color.RGBA{R: 86, G: 86, B: 86, A: 255}, []vg.Length{1.5, 3}, draw.BoxGlyph{}}
	case withoutGateway:
		return look{color.RGBA{R: 213, G: 94, A: 255}, []vg.Length{7, 3}, draw.PyramidGlyph{}}
	case withGateway:
		return look{color.RGBA{G: 114, B: 178, A: 255}, nil, draw.CircleGlyph{}}
	case "userspace-early":
		return look{color.RGBA{R: 204, G: 121, B: 167, A: 255}, []vg.Length{7, 3, 1.5, 3}, draw.TriangleGlyph{}}
	}
	return look{color.RGBA{G: 158, B: 115, A: 255}, []vg.Length{12, 3}, draw.SquareGlyph{}}
}

func (l look) line(width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: l.color, Width: width, Dashes: l.dashes}
}

func (l look) mark(radius vg.Length) draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.color, Radius: radius, Shape: l.glyph}
}

// faint is the colour mixed with white.
func (l look) faint() color.RGBA {
	mix := func(v uint8) uint8 { return uint8((int(v) + 2*255) / 3) }
	return color.RGBA{R: mix(l.color.R), G: mix(l.color.G), B: mix(l.color.B), A: 255}
}

// dot is one marked value with its number beside it.
type dot struct {
	x, y  float64
	mark  draw.GlyphStyle
	stem  bool // a line down to the axis
	label string
	up    vg.Length // of the label, from the mark
	// As of a figure's mark; without a group it is none.
	group, series, value string
}

// dots draws marked values: what bars are on a linear axis, on any axis. With
// log set the axis counts powers of ten, as logarithmic makes it.
type dots struct {
	values []dot
	log    bool
}

// Plot implements plot.Plotter.
func (d *dots) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	st := style(9, color.Gray{Y: 40}, xfont.WeightNormal)
	st.XAlign, st.YAlign = draw.XCenter, draw.YBottom
	for _, v := range d.values {
		y := v.y
		if d.log {
			y = math.Log10(y)
		}
		at := vg.Point{X: toX(v.x), Y: toY(y)}
		if v.stem {
			c.StrokeLine2(draw.LineStyle{Color: v.mark.Color, Width: 1}, at.X, c.Min.Y, at.X, at.Y)
		}
		c.DrawGlyphNoClip(v.mark, at)
		c.FillText(st, vg.Point{X: at.X, Y: at.Y + v.up}, v.label)
	}
}

// marks are the dots as marks of a panel.
func (d *dots) marks(panel int) []mark {
	var all []mark
	for _, v := range d.values {
		if v.group == "" {
			continue
		}
		m := mark{panel: panel, x: v.x, y: v.y, group: v.group, series: v.series, value: v.value}
		if d.log {
			m.y = math.Log10(v.y)
		}
		all = append(all, m)
	}
	return all
}

// span is the least and the greatest value; infinite where there is none.
func (d *dots) span() (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, v := range d.values {
		least, most = min(least, v.y), max(most, v.y)
	}
	return least, most
}

// markThumb is a glyph in a legend.
type markThumb draw.GlyphStyle

// Thumbnail implements plot.Thumbnailer.
func (m markThumb) Thumbnail(c *draw.Canvas) { c.DrawGlyphNoClip(draw.GlyphStyle(m), c.Center()) }

// lineThumb is a line in a legend.
type lineThumb draw.LineStyle

// Thumbnail implements plot.Thumbnailer.
func (l lineThumb) Thumbnail(c *draw.Canvas) {
	y := c.Center().Y
	c.StrokeLine2(draw.LineStyle(l), c.Min.X, y, c.Max.X, y)
}

// shadeThumb is a shaded area in a legend.
type shadeThumb struct{ color color.Color }

// Thumbnail implements plot.Thumbnailer.
func (s shadeThumb) Thumbnail(c *draw.Canvas) { c.FillPolygon(s.color, corners(c.Rectangle)) }

// grid is thin horizontal lines behind the data.
func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color = nil
	g.Horizontal = draw.LineStyle{Color: color.Gray{Y: 225}, Width: 0.6}
	return g
}

// logarithmic makes an axis count the powers of ten around positive values.
// (A plot.LogScale would do, but for the room that it makes for the label.)
func logarithmic(a *plot.Axis, least, most float64) {
	a.Tick.Marker = decades{}
	a.Min, a.Max = math.Floor(math.Log10(least)), math.Ceil(math.Log10(most*2))
}

// decades labels the powers of ten on an axis that counts them.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Ceil(least); e <= most; e++ {
		ticks = append(ticks, plot.Tick{Value: e, Label: short(Number(math.Pow10(int(e))))})
		for i := 2.0; i < 10 && e < most; i++ {
			ticks = append(ticks, plot.Tick{Value: e + math.Log10(i)})
		}
	}
	return ticks
}

// every labels whole multiples of a step.
type every float64

// Ticks implements plot.Ticker.
func (step every) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for i := int(math.Ceil(least / float64(step))); float64(i)*float64(step) <= most*(1+1e-9); i++ {
		v := float64(i) * float64(step)
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.6g", v)})
	}
	return ticks
}

// niceStep is a step of 1, 2 or 5 times a power of ten that divides a range
// into at most n parts.
func niceStep(length float64, n int) every {
	if !(length > 0) {
		return 1
	}
	power := math.Pow10(int(math.Floor(math.Log10(length / float64(n)))))
	for _, m := range []float64{1, 2, 5, 10} {
		if length/(m*power) <= float64(n) {
			return every(m * power)
		}
	}
	return every(10 * power)
}
