package figures

import (
	"fmt"
	"html"
	"image/color"
	"regexp"
	"strconv"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Hover is one mark as the page's script reads it: x and y in the SVG's own
// coordinates, from the top left.
type Hover struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Panel  int     `json:"p"`
	Group  string  `json:"g"`
	Series string  `json:"s"`
	Value  string  `json:"v"`
}

// tenth rounds a length to tenths of a point, so that the results of all compilers agree.
func tenth(l vg.Length) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(l.Points(), 'f', 1, 64), 64)
	if err != nil {
		return 0
	}
	return v
}

// measured fixes the length of every text to that in the layout, so that nothing
// overlaps if a reader has another typeface.
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

// Page draws the figure for a page: as SVG, and the marks that show their values on
// hover.
func (f *Figure) Page() (svg string, marks []Hover, err error) {
	c := vgsvg.New(f.Width, f.Height)
	panels := f.draw(draw.New(c))
	text, err := written(c)
	if err != nil {
		return "", nil, fmt.Errorf("draw %s: %w", f.Name, err)
	}
	return measured(string(text)), f.hovers(panels), nil
}

// hovers computes the positions of the marks in the drawn panels.
func (f *Figure) hovers(panels []draw.Canvas) []Hover {
	all := []Hover{}
	for _, m := range f.marks {
		toX, toY := f.panels[m.panel].Transforms(&panels[m.panel])
		all = append(all, Hover{
			X: tenth(toX(m.x)), Y: tenth(f.Height - toY(m.y)), Panel: m.panel,
			Group: m.group, Series: m.series, Value: m.value,
		})
	}
	return all
}

// PageData returns the figure's values as a page shows them: series, key, value.
func (f *Figure) PageData() [][]string {
	if f.table != nil {
		return f.table
	}
	return f.data
}
