package page

import (
	"encoding/json"
	"fmt"
	"html/template"
	"image/color"
	"regexp"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/report/figures"
	"github.com/equic-bench/equic-bench/report/tables"
)

// drawing is a figure in report.html: legend and panels as SVG inside the page, title
// and notes as text.
type drawing struct {
	ID, Title     string
	Notes         []string
	Width, Height float64 // of the SVG's own coordinates, in points
	Pixels        int     // the width in pixels
	Narrow        bool    // the figure is one column wide
	SVG           template.HTML
	Marks         template.JS // JSON: the values that the page's script shows on hover
	Table         template.HTML
}

// onPage is pixels per point: a page in a browser is wider than a paper's, and is read
// from further away.
const onPage = 1.85

// drawFigure draws the figure for the page, and adds its colours to the palette.
func drawFigure(f *figures.Figure, colours palette) (drawing, error) {
	svg, hovers, err := f.Page()
	if err != nil {
		return drawing{}, err
	}
	marks, err := json.Marshal(hovers)
	if err != nil {
		return drawing{}, fmt.Errorf("encode the marks of %s: %w", f.Name, err)
	}
	return drawing{
		ID: f.Name, Title: f.Title, Notes: f.Notes,
		Width: f.Width.Points(), Height: f.Height.Points(), Pixels: int(f.Width.Points() * onPage),
		Narrow: f.Width < figures.TwoColumns,
		SVG:    template.HTML(inner(svg, colours)), // drawn here; vgsvg escapes its text
		Marks:  template.JS(marks),                 // encoding/json escapes anything that could end the script
		Table:  tableHTML(pivot(f.PageData())),
	}, nil
}

// inner returns the content of the svg element. Its colours become CSS variables, and it gets the typeface of
// the page.
func inner(svg string, colours palette) string {
	_, svg, _ = strings.Cut(svg, "<svg")
	_, svg, _ = strings.Cut(svg, ">")
	svg, _, _ = strings.Cut(svg, "</svg>")
	svg = strings.ReplaceAll(svg, "font-family:Liberation Sans;font-variant:normal;", "")
	svg = strings.ReplaceAll(svg, "font-weight:normal;font-style:normal;", "")
	hexColour := regexp.MustCompile(`(?:fill|stroke):#[0-9A-Fa-f]{6}`)
	return hexColour.ReplaceAllStringFunc(svg, func(found string) string {
		property, hex, _ := strings.Cut(found, ":#")
		return property + ":var(" + colours.name(hex) + ")"
	})
}

// palette maps names to the colours of the figures: the page gives each a dark twin.
type palette map[string]color.RGBA

// name returns the CSS variable of a colour.
func (p palette) name(hex string) string {
	hex = strings.ToLower(hex)
	var c color.RGBA
	if _, err := fmt.Sscanf(hex, "%02x%02x%02x", &c.R, &c.G, &c.B); err == nil {
		p[hex] = c
	}
	return "--c" + hex
}

// css declares the colours, unchanged or for a dark page.
func (p palette) css(dark bool) template.CSS {
	var names []string
	for hex := range p {
		names = append(names, hex)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, hex := range names {
		c := p[hex]
		if dark {
			c = inverted(c)
		}
		fmt.Fprintf(&b, "--c%s:#%02x%02x%02x;", hex, c.R, c.G, c.B)
	}
	return template.CSS(b.String())
}

// inverted returns a colour of the same hue and saturation with inverted lightness:
// white becomes the background of figures on the dark page, and black the colour of its text.
func inverted(c color.RGBA) color.RGBA {
	const darkest, lightest = 27, 236 // white, black
	least, most := int(min(c.R, c.G, c.B)), int(max(c.R, c.G, c.B))
	sum := least + most // twice the lightness
	wanted := 2*lightest - sum*(lightest-darkest)/255
	room := func(sum int) int { return min(sum, 510-sum) } // the widest spread of the channels
	channel := func(v uint8) uint8 {
		if room(sum) == 0 {
			return uint8(wanted / 2)
		}
		return uint8((wanted + (2*int(v)-sum)*room(wanted)/room(sum)) / 2)
	}
	return color.RGBA{R: channel(c.R), G: channel(c.G), B: channel(c.B), A: 255}
}

// pivot turns rows of series, key, value into a table with a row for each key and a
// column for each series, both in their original order. The first row has the names of
// the columns.
func pivot(data [][]string) tables.Titled {
	var keys [][]string
	var columns []string
	cells := map[[2]string]string{}
	for _, row := range data[1:] {
		column, key, value := row[0], row[1:len(row)-1], row[len(row)-1]
		if !slices.ContainsFunc(keys, func(k []string) bool { return slices.Equal(k, key) }) {
			keys = append(keys, key)
		}
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		cells[[2]string{strings.Join(key, "\x00"), column}] = value
	}
	header := data[0][1 : len(data[0])-1]
	var head []any
	for _, name := range slices.Concat(header, columns) {
		head = append(head, strings.ReplaceAll(name, "_", " "))
	}
	t := tables.NewTitled("", len(header), head...)
	for _, key := range keys {
		var row []any
		for _, part := range key {
			row = append(row, part)
		}
		for _, column := range columns {
			value := cells[[2]string{strings.Join(key, "\x00"), column}]
			if value == "" {
				value = "–"
			}
			row = append(row, value)
		}
		t.AppendRow(row)
	}
	return t
}

// tableHTML returns a table as an HTML element. Its text is escaped.
func tableHTML(t tables.Titled) template.HTML {
	t.Style().HTML.EscapeText = true
	t.SetHTMLCSSClass("data")
	return template.HTML(effectCell.ReplaceAllString(t.RenderHTML(), `<td$1 class="$2">$2</td>`))
}

// effectCell matches a cell with the effect of an attack, which has a colour of its own.
var effectCell = regexp.MustCompile(`<td([^>]*)>(holds|degrades|fails)</td>`)
