// Package figures draws the figures of a report: the paper's claims, its figures 3 to 6, and
// further ones, each as SVG, PDF, PNG and its data as CSV.
//
// It draws the results of package analysis. The same numbers give the same bytes.
package figures

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"html"
	"image/color"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// Figure is one figure of the report, with the size and type of a paper's. It has
// panels, and a legend in a strip of its own that never covers data. Its title and
// notes are not part of the picture: in a paper they are its caption.
type Figure struct {
	lang   Language
	Name   string // file name without extension: "figure-3"
	Title  string
	Notes  []string
	legend []key
	panels []*plot.Plot // side by side
	// stacked puts the panels below each other.
	stacked bool
	attack  bool      // shaded
	zeroS   float64   // from the epoch to the zero of a time axis
	lines   []int     // of each stacked panel, if their heights follow from these
	right   vg.Length // space for text beside the panels
	// data contains the drawn values, header first.
	data [][]string
	// table is what a page shows instead of data, if data is too much to read.
	table         [][]string
	marks         []mark
	Width, Height vg.Length
}

// mark is a point of a figure that shows its value on hover.
type mark struct {
	panel  int
	x, y   float64 // on the panel's axes
	group  string  // shared with other marks: "25 to 30 s"
	series string  // "xdp-block"
	value  string  // with its unit
}

const (
	// TwoColumns is the width of both columns of a two-column page, and oneColumn that
	// of one (IEEE's and ACM's templates).
	TwoColumns = 7.16 * vg.Inch
	oneColumn  = 3.5 * vg.Inch

	pngDPI     = 300
	margin     = 3 * vg.Length(1)
	textSize   = 8 * vg.Length(1)
	lineHeight = 11 * vg.Length(1)
)

// sans returns Liberation Sans at a size in points.
func sans(size vg.Length, weight xfont.Weight) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: size}
}

func style(size vg.Length, c color.Color, weight xfont.Weight) text.Style {
	return text.Style{Color: c, Font: sans(size, weight), Handler: plot.DefaultTextHandler, YAlign: draw.YTop}
}

// newPanel returns a plot in the report's type and lines.
func newPanel(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle.Font = sans(textSize, xfont.WeightBold)
	p.Title.Padding = 5
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font = sans(textSize, xfont.WeightNormal)
		axis.Label.Padding = 2
		axis.Tick.Label.Font = sans(textSize, xfont.WeightNormal)
		axis.Width = 0.5
		axis.Tick.Width = 0.5
		axis.Tick.Length = 3
		axis.Padding = 0
	}
	return p
}

// statisticColumn is the column of a figure's data that names the trials of a value.
const statisticColumn = "statistic"

// newFigure returns an empty figure.
func newFigure(s *analysis.Summary, name string, title phrase, width, height vg.Length) *Figure {
	lang := Language(s.FiguresLang)
	return &Figure{lang: lang, Name: name, Title: lang.say(title), Width: width, Height: height}
}

// panelTitle returns the title of a panel, with its letter.
func (f *Figure) panelTitle(panel int, title phrase) string {
	return fmt.Sprintf("(%c) %s", 'a'+panel, f.say(title))
}

// Caption returns the notes in one line.
func (f *Figure) Caption() string { return strings.Join(f.Notes, " ") }

// add appends a row to the figure's data.
func (f *Figure) add(row ...string) { f.data = append(f.data, row) }

// empty reports whether the figure has no value.
func (f *Figure) empty() bool {
	return !slices.ContainsFunc(f.data[1:], func(row []string) bool { return row[len(row)-1] != "" })
}

// Write writes the figure as SVG, PDF and PNG, and its data as CSV.
func (f *Figure) Write(dir string) error {
	files := map[string]func() ([]byte, error){".svg": f.svg, ".pdf": f.pdf, ".png": f.png, ".csv": f.csv}
	for _, ext := range slices.Sorted(maps.Keys(files)) {
		content, err := files[ext]()
		if err != nil {
			return fmt.Errorf("draw %s%s: %w", f.Name, ext, err)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name+ext), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (f *Figure) svg() ([]byte, error) {
	c := vgsvg.New(f.Width, f.Height)
	f.draw(draw.New(c))
	svg, err := written(c)
	// For readers who cannot see it.
	words := fmt.Sprintf("<title>%s</title>\n<desc>%s</desc>\n<g ", html.EscapeString(f.Title),
		html.EscapeString(f.Caption()))
	return []byte(measured(strings.Replace(string(svg), "<g ", words, 1))), err
}

func (f *Figure) pdf() ([]byte, error) {
	c := newPDF(f.Width, f.Height, f.Title, f.Caption())
	f.draw(draw.NewCanvas(c, f.Width, f.Height))
	return written(c)
}

func (f *Figure) png() ([]byte, error) {
	c := vgimg.NewWith(vgimg.UseWH(f.Width, f.Height), vgimg.UseDPI(pngDPI))
	f.draw(draw.New(c))
	png, err := written(vgimg.PngCanvas{Canvas: c})
	if err != nil {
		return nil, err
	}
	return withResolution(png, pngDPI), nil
}

func (f *Figure) csv() ([]byte, error) {
	var table bytes.Buffer
	err := csv.NewWriter(&table).WriteAll(f.data)
	return table.Bytes(), err
}

func written(w io.WriterTo) ([]byte, error) {
	var b bytes.Buffer
	_, err := w.WriteTo(&b)
	return b.Bytes(), err
}

// draw draws the legend and, below it, the panels, and returns the data area of each
// panel.
func (f *Figure) draw(c draw.Canvas) []draw.Canvas {
	c.FillPolygon(color.White, corners(c.Rectangle))
	c = draw.Crop(c, margin, -margin, margin, -margin)
	bottom := f.drawLegend(c, c.Max.Y)
	return f.drawPanels(draw.Crop(c, 0, -f.right, 0, bottom-5-c.Max.Y))
}

// drawPanels draws the panels, with the axes of a row at the same heights and those of
// a column at the same distance from the left.
func (f *Figure) drawPanels(c draw.Canvas) []draw.Canvas {
	tiles := draw.Tiles{Rows: 1, Cols: len(f.panels), PadX: 14, PadY: panelGap}
	if f.stacked {
		tiles.Rows, tiles.Cols = tiles.Cols, tiles.Rows
	}
	tile := func(i int) draw.Canvas {
		if f.lines != nil {
			return f.tileByRows(c, i)
		}
		return tiles.At(c, i%tiles.Cols, i/tiles.Cols)
	}
	left, bottom := make([]vg.Length, tiles.Cols), make([]vg.Length, tiles.Rows)
	for i, p := range f.panels {
		t := tile(i)
		data := p.DataCanvas(t)
		left[i%tiles.Cols] = max(left[i%tiles.Cols], data.Min.X-t.Min.X)
		bottom[i/tiles.Cols] = max(bottom[i/tiles.Cols], data.Min.Y-t.Min.Y)
	}
	var all []draw.Canvas
	for i, p := range f.panels {
		t := tile(i)
		data := p.DataCanvas(t)
		level := draw.Crop(t, left[i%tiles.Cols]-(data.Min.X-t.Min.X), 0, bottom[i/tiles.Cols]-(data.Min.Y-t.Min.Y), 0)
		p.Draw(level)
		all = append(all, p.DataCanvas(level))
	}
	return all
}

// Around the rows of a panel: the gap to the next panel, and the title and the axis.
const (
	panelGap   = 8 * vg.Length(1)
	panelFrame = 0.42 * vg.Inch
)

// heightOfRows returns the height of a figure with stacked panels that have f.lines rows.
func (f *Figure) heightOfRows() vg.Length {
	rows := 0
	for _, n := range f.lines {
		rows += n
	}
	return (0.4+0.15*vg.Length(rows))*vg.Inch + vg.Length(len(f.panels))*(panelFrame+panelGap)
}

// tileByRows returns the place of a stacked panel whose height follows from its number of
// rows.
func (f *Figure) tileByRows(c draw.Canvas, panel int) draw.Canvas {
	all, before := 0, 0
	for i, n := range f.lines {
		all += n
		if i < panel {
			before += n
		}
	}
	n := vg.Length(len(f.lines))
	row := (c.Max.Y - c.Min.Y - (n-1)*panelGap - n*panelFrame) / vg.Length(all)
	top := vg.Length(before)*row + vg.Length(panel)*(panelFrame+panelGap)
	height := panelFrame + vg.Length(f.lines[panel])*row
	return draw.Crop(c, 0, 0, c.Max.Y-c.Min.Y-top-height, -top)
}

func corners(r vg.Rectangle) []vg.Point {
	return []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}}
}
