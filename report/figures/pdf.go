package figures

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// pdfCanvas draws on a page of PDF. vg has one too, but that writes the current time,
// and its fonts in random order, so no two files would be the same. It also embeds
// whole fonts, and does not support µ.
type pdfCanvas struct {
	doc   *fpdf.Fpdf
	w, h  vg.Length
	fonts map[string]bool
	err   error
}

func newPDF(w, h vg.Length, title, subject string) *pdfCanvas {
	doc := fpdf.NewCustom(&fpdf.InitType{UnitStr: "pt", Size: fpdf.SizeType{Wd: w.Points(), Ht: h.Points()}})
	doc.SetCatalogSort(true)
	// The same records give the same bytes, whenever they are drawn.
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	doc.SetCreationDate(epoch)
	doc.SetModificationDate(epoch)
	doc.SetTitle(title, true)
	doc.SetSubject(subject, true)
	doc.SetCreator("equic-bench", true)
	doc.SetMargins(0, 0, 0)
	doc.SetAutoPageBreak(false, 0)
	doc.AddPage()
	c := &pdfCanvas{doc: doc, w: w, h: h, fonts: map[string]bool{}}
	vg.Initialize(c)
	return c
}

// op writes an operator of PDF. Its axes are those of vg: from the bottom left, in
// points.
func (c *pdfCanvas) op(format string, args ...any) { c.doc.RawWriteStr(fmt.Sprintf(format, args...)) }

// Size implements vg.CanvasSizer.
func (c *pdfCanvas) Size() (w, h vg.Length) { return c.w, c.h }

// SetLineWidth implements vg.Canvas.
func (c *pdfCanvas) SetLineWidth(w vg.Length) { c.op("%.3f w", w.Points()) }

// SetLineDash implements vg.Canvas.
func (c *pdfCanvas) SetLineDash(pattern []vg.Length, offset vg.Length) {
	var b strings.Builder
	for _, l := range pattern {
		fmt.Fprintf(&b, "%.3f ", l.Points())
	}
	c.op("[%s] %.3f d", b.String(), offset.Points())
}

// SetColor implements vg.Canvas.
func (c *pdfCanvas) SetColor(clr color.Color) {
	n := color.NRGBA{A: 255}
	if clr != nil {
		n = color.NRGBAModel.Convert(clr).(color.NRGBA)
	}
	c.doc.SetFillColor(int(n.R), int(n.G), int(n.B))
	c.doc.SetDrawColor(int(n.R), int(n.G), int(n.B))
	c.doc.SetTextColor(int(n.R), int(n.G), int(n.B))
	c.doc.SetAlpha(float64(n.A)/255, "Normal")
}

// Rotate implements vg.Canvas.
func (c *pdfCanvas) Rotate(rad float64) {
	sin, cos := math.Sincos(rad)
	c.op("%.6f %.6f %.6f %.6f 0 0 cm", cos, sin, -sin, cos)
}

// Translate implements vg.Canvas.
func (c *pdfCanvas) Translate(by vg.Point) {
	c.op("1 0 0 1 %.3f %.3f cm", by.X.Points(), by.Y.Points())
}

// Scale implements vg.Canvas.
func (c *pdfCanvas) Scale(x, y float64) { c.op("%.6f 0 0 %.6f 0 0 cm", x, y) }

// Push implements vg.Canvas.
func (c *pdfCanvas) Push() { c.op("q") }

// Pop implements vg.Canvas.
func (c *pdfCanvas) Pop() { c.op("Q") }

// Stroke implements vg.Canvas.
func (c *pdfCanvas) Stroke(p vg.Path) {
	c.path(p)
	c.op("S")
}

// Fill implements vg.Canvas.
func (c *pdfCanvas) Fill(p vg.Path) {
	c.path(p)
	c.op("f")
}

func (c *pdfCanvas) path(p vg.Path) {
	var at vg.Point
	for i, part := range p {
		switch part.Type {
		case vg.MoveComp:
			c.op("%.3f %.3f m", part.Pos.X.Points(), part.Pos.Y.Points())
		case vg.LineComp:
			c.op("%.3f %.3f l", part.Pos.X.Points(), part.Pos.Y.Points())
		case vg.CurveComp:
			c.curve(at, part)
		case vg.ArcComp:
			c.arc(part, i == 0)
		case vg.CloseComp:
			c.op("h")
		}
		at = part.Pos
	}
}

// curve draws a Bézier curve of degree two or three.
func (c *pdfCanvas) curve(from vg.Point, part vg.PathComp) {
	if len(part.Control) == 0 {
		return
	}
	to, first, second := part.Pos, part.Control[0], part.Control[len(part.Control)-1]
	if len(part.Control) == 1 {
		towards := func(end vg.Point) vg.Point { return end.Add(second.Sub(end).Scale(2.0 / 3)) }
		first, second = towards(from), towards(to)
	}
	c.bezier(first, second, to)
}

func (c *pdfCanvas) bezier(first, second, to vg.Point) {
	c.op("%.3f %.3f %.3f %.3f %.3f %.3f c",
		first.X.Points(), first.Y.Points(), second.X.Points(), second.Y.Points(), to.X.Points(), to.Y.Points())
}

// arc draws a part of a circle as Bézier curves of an eighth of a turn at most.
func (c *pdfCanvas) arc(part vg.PathComp, starts bool) {
	n := math.Ceil(math.Abs(part.Angle)/(math.Pi/4) - 1e-9)
	step := part.Angle / n
	reach := 4.0 / 3 * math.Tan(step/4)
	on := func(angle float64) (at, along vg.Point) {
		sin, cos := math.Sincos(angle)
		at = part.Pos.Add(vg.Point{X: part.Radius * vg.Length(cos), Y: part.Radius * vg.Length(sin)})
		return at, vg.Point{X: -part.Radius * vg.Length(sin), Y: part.Radius * vg.Length(cos)}
	}
	at, along := on(part.Start)
	c.op("%.3f %.3f %s", at.X.Points(), at.Y.Points(), map[bool]string{true: "m", false: "l"}[starts])
	for i := 1.0; i <= n; i++ {
		next, nextAlong := on(part.Start + i*step)
		c.bezier(at.Add(along.Scale(vg.Length(reach))), next.Sub(nextAlong.Scale(vg.Length(reach))), next)
		at, along = next, nextAlong
	}
}

// FillString implements vg.Canvas.
func (c *pdfCanvas) FillString(face font.Face, at vg.Point, text string) {
	if face.Font.Size == 0 {
		return
	}
	name := strings.ToLower(face.Name())
	if !c.fonts[name] {
		var source bytes.Buffer
		if _, err := face.Face.WriteSourceTo(nil, &source); err != nil {
			c.err = fmt.Errorf("embed font %s: %w", name, err)
			return
		}
		c.doc.AddUTF8FontFromBytes(name, "", source.Bytes())
		c.fonts[name] = true
	}
	c.doc.SetFont(name, "", face.Font.Size.Points())
	c.doc.Text(at.X.Points(), (c.h - at.Y).Points(), text)
}

// DrawImage implements vg.Canvas, but is not called: figures have no images.
func (c *pdfCanvas) DrawImage(vg.Rectangle, image.Image) {
	c.err = fmt.Errorf("draw an image in a PDF: figures have none")
}

// WriteTo ends the page and writes it.
func (c *pdfCanvas) WriteTo(w io.Writer) (int64, error) {
	if c.err != nil {
		return 0, c.err
	}
	var out bytes.Buffer
	if err := c.doc.Output(&out); err != nil {
		return 0, err
	}
	return out.WriteTo(w)
}
