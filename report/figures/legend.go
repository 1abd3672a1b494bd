package figures

import (
	"image/color"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// spreadKeys adds the entries of the legend for the spread of the trials.
func (f *Figure) spreadKeys(s *analysis.Summary, always bool) {
	interval, single := false, false
	for _, v := range s.Measured() {
		interval = interval || v.Low != nil
		single = single || v.Trials > 1 && (always || v.Low == nil)
	}
	if interval {
		f.legend = append(f.legend, key{
			f.say(intervalOf, trialsWithInterval(s, f.lang)),
			[]plot.Thumbnailer{intervalThumb{}},
		})
	}
	if single {
		f.legend = append(f.legend, key{
			f.say(oneTrialPoint, validTrials(s, f.lang)),
			[]plot.Thumbnailer{markThumb(trialGlyph(grey().color))},
		})
	}
	f.keyOneTrial(s)
}

// curveKeys adds the entries of the legend for the variants, and for the band or trials
// of a curve.
func (f *Figure) curveKeys(s *analysis.Summary, all []*analysis.Series, of func(*analysis.Series) *analysis.Curve) {
	for _, v := range all {
		l := lookOf(v.Variant)
		f.legend = append(f.legend, key{v.Variant, []plot.Thumbnailer{lineThumb(l.line(1.2)), markThumb(l.onCurve())}})
	}
	if f.attack {
		f.legend = append(f.legend, key{f.say(attackScheduled), []plot.Thumbnailer{areaThumb{shade()}}})
	}
	if slices.ContainsFunc(all, func(v *analysis.Series) bool { return of(v).HasInterval() }) {
		f.legend = append(f.legend, key{
			f.say(bandOf, trialsWithInterval(s, f.lang)),
			[]plot.Thumbnailer{areaThumb{grey().veil()}},
		})
	}
	if slices.ContainsFunc(all, func(v *analysis.Series) bool { return of(v).Single() }) {
		f.legend = append(f.legend, key{
			f.say(oneTrialLine, validTrials(s, f.lang)),
			[]plot.Thumbnailer{lineThumb(grey().thin())},
		})
	}
	f.keyOneTrial(s)
}

// keyOneTrial adds an entry if a single trial gives no spread.
func (f *Figure) keyOneTrial(s *analysis.Summary) {
	if s.Blocks == 1 {
		f.legend = append(f.legend, key{label: f.say(oneTrialEach)})
	}
}

// key is one entry of a legend.
type key struct {
	label  string
	thumbs []plot.Thumbnailer
}

// thumbWidth returns the width of the key's picture: a mark is narrower than a line.
func (k key) thumbWidth() vg.Length {
	for _, t := range k.thumbs {
		switch t.(type) {
		case markThumb, intervalThumb, noChange, upwardThumb:
		default:
			return 24
		}
	}
	return 10
}

// keyOnce adds a mark to the legend if it is not in it yet.
func (f *Figure) keyOnce(p phrase, glyph draw.GlyphStyle) {
	label := f.say(p)
	if !slices.ContainsFunc(f.legend, func(k key) bool { return k.label == label }) {
		f.legend = append(f.legend, key{label, []plot.Thumbnailer{markThumb(glyph)}})
	}
}

// drawLegend draws the entries from left to right, in as many rows as they need, and
// returns the bottom of the last.
func (f *Figure) drawLegend(c draw.Canvas, top vg.Length) vg.Length {
	const gap, space = 4, 12
	if len(f.legend) == 0 {
		return top
	}
	st := style(textSize, color.Black, xfont.WeightNormal)
	x := c.Min.X
	for _, k := range f.legend {
		thumb := k.thumbWidth()
		width, label := thumb+gap+st.Width(k.label), x+thumb+gap
		if k.thumbs == nil {
			width, label = st.Width(k.label), x
		}
		if x > c.Min.X && x+width > c.Max.X {
			x, label, top = c.Min.X, label-x+c.Min.X, top-lineHeight
		}
		icon := c
		icon.Rectangle = vg.Rectangle{Min: vg.Point{X: x, Y: top - 8.5}, Max: vg.Point{X: x + thumb, Y: top - 1.5}}
		for _, t := range k.thumbs {
			t.Thumbnail(&icon)
		}
		c.FillText(st, vg.Point{X: label, Y: top}, k.label)
		x += width + space
	}
	return top - lineHeight
}
