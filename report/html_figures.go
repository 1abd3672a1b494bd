package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"image/color"
	"regexp"
	"slices"
	"strconv"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// drawing is a figure in report.html: legend and panels as SVG inside the page,
// title and notes as text.
type drawing struct {
	ID, Title     string
	Notes         []string
	Width, Height float64 // of the SVG's own coordinates, in points
	Pixels        int     // the width of those
	Narrow        bool    // the figure is of one column
	SVG           template.HTML
	Marks         template.JS // JSON: what the page's script shows on hover
	Table         template.HTML
}

// hover is one mark as the page's script reads it: x and y in the SVG's own
// coordinates, from the top left.
type hover struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Panel  int     `json:"p"`
	Group  string  `json:"g"`
	Series string  `json:"s"`
	Value  string  `json:"v"`
}

// onPage is pixels per point: a browser's page is wider than a paper's, and read
// from further away.
const onPage = 1.85

// drawn draws the figure for the page, and notes its colours in the palette.
func (f *figure) drawn(colours palette) (drawing, error) {
	svg := vgsvg.New(f.width, f.height)
	panels := f.draw(draw.New(svg))
	var text bytes.Buffer
	if _, err := svg.WriteTo(&text); err != nil {
		return drawing{}, fmt.Errorf("draw %s: %w", f.name, err)
	}
	marks, err := json.Marshal(f.hovers(panels))
	if err != nil {
		return drawing{}, fmt.Errorf("encode the marks of %s: %w", f.name, err)
	}
	return drawing{
		ID: f.name, Title: f.title, Notes: f.notes,
		Width: f.width.Points(), Height: f.height.Points(), Pixels: int(f.width.Points() * onPage), Narrow: f.width < twoColumns,
		SVG:   template.HTML(inner(text.String(), colours)), //nolint:gosec // drawn here; vgsvg escapes its text
		Marks: template.JS(marks),                           //nolint:gosec // encoding/json escapes what could end the script
		Table: tableHTML(f.table()),
	}, nil
}

// hovers puts the marks where the panels were drawn.
func (f *figure) hovers(panels []draw.Canvas) []hover {
	all := []hover{}
	for _, m := range f.marks {
		toX, toY := f.panels[m.panel].Transforms(&panels[m.panel])
		all = append(all, hover{
			X: tenth(toX(m.x)), Y: tenth(f.height - toY(m.y)), Panel: m.panel,
			Group: m.group, Series: m.series, Value: m.value,
		})
	}
	return all
}

// tenth is a length in tenths of a point, in which compilers agree.
func tenth(l vg.Length) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(l.Points(), 'f', 1, 64), 64)
	if err != nil {
		return 0
	}
	return v
}

// inner is what stands inside the svg element, with its colours by name and the
// page's type.
func inner(svg string, colours palette) string {
	_, svg, _ = strings.Cut(svg, "<svg")
	_, svg, _ = strings.Cut(svg, ">")
	svg, _, _ = strings.Cut(svg, "</svg>")
	svg = measured(svg)
	svg = strings.ReplaceAll(svg, "font-family:Liberation Sans;font-variant:normal;", "")
	svg = strings.ReplaceAll(svg, "font-weight:normal;font-style:normal;", "")
	hexColour := regexp.MustCompile(`(?:fill|stroke):#[0-9A-Fa-f]{6}`)
	return hexColour.ReplaceAllStringFunc(svg, func(found string) string {
		property, hex, _ := strings.Cut(found, ":#")
		return property + ":var(" + colours.name(hex) + ")"
	})
}

// measured gives every text the length that the layout counted with, so that
// nothing overlaps where a reader has another typeface.
func measured(svg string) string {
	text := regexp.MustCompile(`(style="[^"]*font-weight:(\w+);[^"]*font-size:([\d.]+)px[^"]*")>([^<]+)</text>`)
	return text.ReplaceAllStringFunc(svg, func(found string) string {
		m := text.FindStringSubmatch(found)
		size, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return found
		}
		weight := xfont.WeightNormal
		if m[2] == "bold" {
			weight = xfont.WeightBold
		}
		width := style(vg.Points(size), color.Black, weight).Width(html.UnescapeString(m[4]))
		return fmt.Sprintf(`textLength="%g" lengthAdjust="spacingAndGlyphs" %s>%s</text>`, tenth(width), m[1], m[4])
	})
}

// palette is the colours of the figures: the page gives each a dark twin.
type palette map[string]color.RGBA

// name is the CSS variable of a colour.
func (p palette) name(hex string) string {
	hex = strings.ToLower(hex)
	var c color.RGBA
	if _, err := fmt.Sscanf(hex, "%02x%02x%02x", &c.R, &c.G, &c.B); err == nil {
		p[hex] = c
	}
	return "--c" + hex
}

// css declares the colours, as they are or for a dark page.
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
	return template.CSS(b.String()) //nolint:gosec // hexadecimal digits only
}

// inverted is a colour of the same hue and saturation with its lightness turned
// round: white becomes the dark page's card, black its ink.
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

// table is the figure's data with a column for each variant, or for each pair of
// panel and variant where the data are distributions.
func (f *figure) table() titled {
	if f.name == "figure-6" {
		return f.sharesTable()
	}
	header, rows := f.data[0], f.data[1:]
	return pivot(header[1:len(header)-1], rows, func(row []string) (key []string, column, value string) {
		return row[1 : len(row)-1], row[0], row[len(row)-1]
	})
}

// sharesTable is the marks of the distributions: the values of a whole
// distribution are too many to read.
func (f *figure) sharesTable() titled {
	var rows [][]string
	for _, m := range f.marks {
		rows = append(rows, []string{m.group, f.panels[m.panel].X.Label.Text, m.series, m.value})
	}
	return pivot([]string{"", "resource"}, rows, func(row []string) (key []string, column, value string) {
		return row[:2], row[2], row[3]
	})
}

// pivot turns rows into a table with a row for each key and a column for each
// name, both in the order in which they come.
func pivot(header []string, rows [][]string, of func([]string) (key []string, column, value string)) titled {
	var keys [][]string
	var columns []string
	cells := map[[2]string]string{}
	for _, row := range rows {
		key, column, value := of(row)
		if !slices.ContainsFunc(keys, func(k []string) bool { return slices.Equal(k, key) }) {
			keys = append(keys, key)
		}
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		cells[[2]string{strings.Join(key, "\x00"), column}] = value
	}
	var head []any
	for _, name := range slices.Concat(header, columns) {
		head = append(head, strings.ReplaceAll(name, "_", " "))
	}
	t := newTable("", len(header), head...)
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

// tableHTML is a table as an HTML element. Its text is escaped.
func tableHTML(t titled) template.HTML {
	t.Style().HTML.EscapeText = true
	t.SetHTMLCSSClass("data")
	return template.HTML(t.RenderHTML()) //nolint:gosec // escaped just above
}
