package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figure is one figure of the report: a title, what the paper says, a legend
// in a strip of its own, so that it never covers data, and panels side by side.
type figure struct {
	name   string // file name without extension: "figure-3"
	title  string
	notes  []string
	legend []key
	panels []*plot.Plot
	// data is the figure's numbers, header first.
	data          [][]string
	marks         []mark
	width, height vg.Length
}

// mark is a point of a figure that tells its value when it is pointed at.
type mark struct {
	panel  int
	x, y   float64 // on the panel's axes
	group  string  // what it has in common with others: "25 to 30 s"
	series string  // "xdp-block"
	value  string  // with its unit
}

// key is one entry of a legend.
type key struct {
	label  string
	thumbs []plot.Thumbnailer
}

const (
	pngDPI     = 160
	margin     = 12 * vg.Length(1)
	titleSize  = 14 * vg.Length(1)
	textSize   = 10 * vg.Length(1)
	noteSize   = 9.5 * vg.Length(1)
	lineHeight = 14 * vg.Length(1)
)

// sans is Liberation Sans at a size in points.
func sans(size vg.Length, weight xfont.Weight) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: size}
}

func style(size vg.Length, c color.Color, weight xfont.Weight) text.Style {
	return text.Style{Color: c, Font: sans(size, weight), Handler: plot.DefaultTextHandler, YAlign: draw.YTop}
}

// newPanel is a plot in the report's type and lines.
func newPanel(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle.Font = sans(11, xfont.WeightBold)
	p.Title.Padding = 8
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font = sans(textSize, xfont.WeightNormal)
		axis.Label.Padding = 4
		axis.Tick.Label.Font = sans(textSize, xfont.WeightNormal)
		axis.Width = 0.7
		axis.Tick.Width = 0.7
		axis.Tick.Length = 4
		axis.Padding = 0
	}
	return p
}

// write writes the figure as SVG and PNG, and its data as CSV.
func (f *figure) write(dir string) error {
	png := vgimg.NewWith(vgimg.UseWH(f.width, f.height), vgimg.UseDPI(pngDPI))
	f.draw(draw.New(png))
	svg := vgsvg.New(f.width, f.height)
	f.draw(draw.New(svg))

	var image, vector, table bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: png}).WriteTo(&image); err != nil {
		return fmt.Errorf("draw %s.png: %w", f.name, err)
	}
	if _, err := svg.WriteTo(&vector); err != nil {
		return fmt.Errorf("draw %s.svg: %w", f.name, err)
	}
	if err := csv.NewWriter(&table).WriteAll(f.data); err != nil {
		return fmt.Errorf("write %s.csv: %w", f.name, err)
	}
	for ext, text := range map[string][]byte{".png": image.Bytes(), ".svg": vector.Bytes(), ".csv": table.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, f.name+ext), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// draw lays the figure out from the top: title, notes, legend, panels.
func (f *figure) draw(c draw.Canvas) {
	c.FillPolygon(color.White, corners(c.Rectangle))
	c = draw.Crop(c, margin, -margin, margin, -margin)
	top := c.Max.Y
	c.FillText(style(titleSize, color.Black, xfont.WeightBold), vg.Point{X: c.Min.X, Y: top}, f.title)
	top -= titleSize + 6
	for _, note := range f.notes {
		c.FillText(style(noteSize, color.Gray{Y: 70}, xfont.WeightNormal), vg.Point{X: c.Min.X, Y: top}, note)
		top -= lineHeight
	}
	f.drawBody(c, top-4)
}

// drawBody draws the legend and the panels from a height down, and returns where
// each panel has its data.
func (f *figure) drawBody(c draw.Canvas, top vg.Length) []draw.Canvas {
	top = f.drawLegend(c, top)
	return f.drawPanels(draw.Crop(c, 0, 0, 0, top-8-c.Max.Y))
}

// drawPanels draws the panels side by side, their axes at the same heights.
func (f *figure) drawPanels(c draw.Canvas) []draw.Canvas {
	tiles := draw.Tiles{Rows: 1, Cols: len(f.panels), PadX: 24}
	bottom := c.Min.Y
	for i, p := range f.panels {
		bottom = max(bottom, p.DataCanvas(tiles.At(c, i, 0)).Min.Y)
	}
	var data []draw.Canvas
	for i, p := range f.panels {
		tile := tiles.At(c, i, 0)
		level := draw.Crop(tile, 0, 0, bottom-p.DataCanvas(tile).Min.Y, 0)
		p.Draw(level)
		data = append(data, p.DataCanvas(level))
	}
	return data
}

// drawLegend draws the entries from left to right, in as many rows as they
// need, and returns the bottom of the last.
func (f *figure) drawLegend(c draw.Canvas, top vg.Length) vg.Length {
	const thumb, gap, space = 26, 6, 18
	st := style(textSize, color.Black, xfont.WeightNormal)
	x := c.Min.X
	for _, k := range f.legend {
		width := thumb + gap + st.Width(k.label)
		if x > c.Min.X && x+width > c.Max.X {
			x, top = c.Min.X, top-lineHeight
		}
		icon := c
		icon.Rectangle = vg.Rectangle{Min: vg.Point{X: x, Y: top - 11}, Max: vg.Point{X: x + thumb, Y: top - 2}}
		for _, t := range k.thumbs {
			t.Thumbnail(&icon)
		}
		c.FillText(st, vg.Point{X: x + thumb + gap, Y: top}, k.label)
		x += width + space
	}
	return top - lineHeight
}

func corners(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}
