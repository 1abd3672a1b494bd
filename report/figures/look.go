package figures

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/record"
)

// look is how a variant is drawn: its colour (Okabe and Ito's palette, safe for the
// colour-blind) and, for black and white, its dash, glyph and hatching.
type look struct {
	color  color.RGBA
	dashes []vg.Length
	glyph  draw.GlyphDrawer
	// size is the relative size of the glyph. Curves often coincide: larger glyphs are
	// drawn first, so that all stay visible.
	size  vg.Length
	hatch record.Hatch
}

// lookOf returns the look of a variant, the same in every figure and every run.
func lookOf(variant string) look {
	of := record.Variant(variant).Spec().Look
	l := look{
		color: color.RGBA{R: of.Color[0], G: of.Color[1], B: of.Color[2], A: 255},
		glyph: glyphOf(of.Mark), size: vg.Length(of.Size), hatch: of.Hatch,
	}
	if of.Hollow {
		l.glyph = hollow{l.glyph}
	}
	for _, length := range of.Dashes {
		l.dashes = append(l.dashes, vg.Length(length))
	}
	return l
}

func glyphOf(m record.Mark) draw.GlyphDrawer {
	switch m {
	case record.Box:
		return draw.BoxGlyph{}
	case record.Pyramid:
		return draw.PyramidGlyph{}
	case record.Circle:
		return draw.CircleGlyph{}
	case record.Wedge:
		return polygon{corners: 3, turn: math.Pi}
	case record.Diamond:
		return polygon{corners: 4}
	case record.Pentagon:
		return polygon{corners: 5}
	case record.Hexagon:
		return polygon{corners: 6}
	case record.Slab:
		return polygon{corners: 4, turn: math.Pi / 4, narrow: vg.Point{X: 1.2, Y: 0.6}}
	case record.Pillar:
		return polygon{corners: 4, turn: math.Pi / 4, narrow: vg.Point{X: 0.6, Y: 1.2}}
	case record.Right:
		return polygon{corners: 3, turn: -math.Pi / 2}
	case record.Left:
		return polygon{corners: 3, turn: math.Pi / 2}
	}
	panic("no such mark: " + string(m))
}

// polygon is a filled glyph with corners on a circle, the first at its top.
type polygon struct {
	corners int
	turn    float64  // radians, anticlockwise
	narrow  vg.Point // factors of both axes; zero is 1
}

// DrawGlyph implements draw.GlyphDrawer.
func (p polygon) DrawGlyph(c *draw.Canvas, st draw.GlyphStyle, at vg.Point) {
	narrow := p.narrow
	if narrow == (vg.Point{}) {
		narrow = vg.Point{X: 1, Y: 1}
	}
	points := make([]vg.Point, p.corners)
	for i := range points {
		sin, cos := math.Sincos(p.turn + 2*math.Pi*float64(i)/float64(p.corners))
		points[i] = vg.Point{
			X: at.X - st.Radius*narrow.X*vg.Length(sin), Y: at.Y + st.Radius*narrow.Y*vg.Length(cos),
		}
	}
	c.FillPolygon(st.Color, points)
}

func (l look) line(width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: l.color, Width: width, Dashes: l.dashes}
}

// thin returns the style of the line of one trial, which is behind other lines.
func (l look) thin() draw.LineStyle { return draw.LineStyle{Color: l.faint(), Width: 0.5} }

func (l look) mark(radius vg.Length) draw.GlyphStyle {
	return draw.GlyphStyle{Color: l.color, Radius: radius, Shape: l.glyph}
}

// onCurve returns the mark of a curve's values.
func (l look) onCurve() draw.GlyphStyle { return l.mark(2.1 * l.size) }

// faint returns the colour mixed with white.
func (l look) faint() color.RGBA {
	mix := func(v uint8) uint8 { return uint8((int(v) + 255) / 2) }
	return color.RGBA{R: mix(l.color.R), G: mix(l.color.G), B: mix(l.color.B), A: 255}
}

// veil returns the colour, transparent enough that others show through.
func (l look) veil() color.NRGBA {
	return color.NRGBA{R: l.color.R, G: l.color.G, B: l.color.B, A: 45}
}

// hollow is a glyph with only its outline in its colour.
type hollow struct{ shape draw.GlyphDrawer }

// DrawGlyph implements draw.GlyphDrawer.
func (h hollow) DrawGlyph(c *draw.Canvas, st draw.GlyphStyle, at vg.Point) {
	h.shape.DrawGlyph(c, st, at)
	inside := st
	inside.Color, inside.Radius = color.White, st.Radius*0.55
	c.SetColor(inside.Color)
	h.shape.DrawGlyph(c, inside, at)
}

// fillHatch draws the pattern inside a rectangle.
func fillHatch(h record.Hatch, c draw.Canvas, r vg.Rectangle, clr color.Color) {
	const apart = vg.Length(5)
	st := draw.LineStyle{Color: clr, Width: 0.6}
	size := r.Size()
	line := func(from, to vg.Point) { c.StrokeLine2(st, r.Min.X+from.X, r.Min.Y+from.Y, r.Min.X+to.X, r.Min.Y+to.Y) }
	if h == record.Level {
		for y := apart; y < size.Y; y += apart {
			line(vg.Point{Y: y}, vg.Point{X: size.X, Y: y})
		}
	}
	if h != record.Rising && h != record.Falling && h != record.Crossed {
		return
	}
	// On each line x - y is constant; the sides cut it.
	for d := apart - size.Y; d < size.X; d += apart {
		from := vg.Point{X: max(0, d), Y: max(0, -d)}
		to := vg.Point{X: min(size.X, size.Y+d), Y: min(size.Y, size.X-d)}
		if h != record.Falling {
			line(from, to)
		}
		if h != record.Rising {
			line(vg.Point{X: from.X, Y: size.Y - from.Y}, vg.Point{X: to.X, Y: size.Y - to.Y})
		}
	}
}

// bar is one bar from zero, in a variant's colour and hatching.
type bar struct {
	x, y float64
	look look
}

// Plot implements plot.Plotter.
func (b bar) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	b.look.swatch(c, vg.Rectangle{
		Min: vg.Point{X: toX(b.x - 0.14), Y: toY(0)},
		Max: vg.Point{X: toX(b.x + 0.14), Y: toY(b.y)},
	})
}

// swatch draws a rectangle in the look.
func (l look) swatch(c draw.Canvas, r vg.Rectangle) {
	c.FillPolygon(l.veil(), corners(r))
	fillHatch(l.hatch, c, r, l.color)
	edge := l.line(0.8)
	if l.hatch != "" { // the hatching suffices to identify it
		edge.Dashes = nil
	}
	c.StrokeLines(edge, append(corners(r), r.Min))
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

// areaThumb is a shaded area in a legend.
type areaThumb struct{ color color.Color }

// Thumbnail implements plot.Thumbnailer.
func (a areaThumb) Thumbnail(c *draw.Canvas) { c.FillPolygon(a.color, corners(c.Rectangle)) }

// swatchThumb is a bar in a legend.
type swatchThumb struct{ look look }

// Thumbnail implements plot.Thumbnailer.
func (s swatchThumb) Thumbnail(c *draw.Canvas) { s.look.swatch(*c, c.Rectangle) }

// intervalThumb is the bar of an interval in a legend.
type intervalThumb struct{}

// Thumbnail implements plot.Thumbnailer.
func (intervalThumb) Thumbnail(c *draw.Canvas) {
	drawInterval(*c, c.Center().X, c.Min.Y, c.Max.Y)
}

// upwardThumb is the arrow of a value beyond the observed range in a legend.
type upwardThumb struct{}

// Thumbnail implements plot.Thumbnailer.
func (upwardThumb) Thumbnail(c *draw.Canvas) {
	drawBeyond(*c, vg.Point{X: c.Center().X, Y: c.Min.Y}, grey().color)
}

// grey returns the colour of elements that belong to no variant.
func grey() look { return look{color: color.RGBA{R: 90, G: 90, B: 90, A: 255}} }
