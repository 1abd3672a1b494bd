package figures

import (
	"image/color"
	"math"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
)

const (
	// mostChange is the end of the axis of changes, in %.
	mostChange = 100
	// statPublished marks a value of the paper in a figure's data.
	statPublished = "published"
)

// figureClaims compares three readings of each claim: the paper's, that of the paper's
// instrument on these trials, and ours. It returns nothing if the run measured no
// claim.
func figureClaims(s *analysis.Summary, claims []analysis.Claim) []*Figure {
	if !slices.ContainsFunc(claims, func(c analysis.Claim) bool { return !math.IsNaN(float64(c.Measured)) }) {
		return nil
	}
	f := newFigure(s, "figure-claims", claimsTitle, TwoColumns, (0.75+0.42*vg.Length(len(claims)))*vg.Inch)
	f.data = [][]string{{"claim", "reading", "unit", statisticColumn, "value"}}
	f.note(claimsWhat)
	f.note(claimsInstrument)
	intervals := slices.ContainsFunc(claims, func(c analysis.Claim) bool { return c.HasInterval() })
	if !intervals {
		f.note(claimsNoInterval)
	}
	p := newPanel("", f.say(changeAxis), "")
	p.X.Min, p.X.Max = -mostChange*1.04, mostChange*1.04
	p.X.Tick.Marker = every{25, f.lang}
	p.Add(noChange{})
	ticks := make(plot.ConstantTicks, len(claims))
	for i := range claims {
		row := float64(len(claims) - 1 - i)
		ticks[i] = plot.Tick{Value: row, Label: claims[i].Label}
		f.addClaim(p, &claims[i], row, intervals)
	}
	p.Y.Tick.Marker, p.Y.Tick.Length = ticks, 0
	p.Y.Min, p.Y.Max = -0.5, float64(len(claims))-0.5
	f.panels = []*plot.Plot{p}
	f.claimKeys(claims)
	return []*Figure{f}
}

// claimReading is one of the three readings of a claim.
type claimReading struct {
	label  phrase
	name   string  // in the figure's data
	offset float64 // of its lane from the middle of the claim's row
	mark   draw.GlyphStyle
}

func claimReadings() [3]claimReading {
	instrument := draw.GlyphStyle{Color: grey().color, Radius: 2.9, Shape: draw.PyramidGlyph{}}
	ours := draw.GlyphStyle{Color: lookOf(string(record.XDPBlock)).color, Radius: 2.9, Shape: draw.CircleGlyph{}}
	return [3]claimReading{
		{byPaper, "paper", 0.28, paperGlyph()},
		{readingInstrument, "paper's instrument", 0, instrument},
		{readingOurs, "measured", -0.28, ours},
	}
}

// addClaim draws the row of a claim and adds its data and marks. intervals is whether
// any claim has one.
func (f *Figure) addClaim(p *plot.Plot, c *analysis.Claim, row float64, intervals bool) {
	reason := claimRow{row, f.unjudged(c, intervals)}
	p.Add(reason)
	f.right = max(f.right, reason.width())
	values := [3]analysis.Number{c.Paper, c.Instrument, c.Measured}
	for i, r := range claimReadings() {
		isChange := i == 2 && c.Unit == analysis.PercentChange
		if isChange && c.Censored == analysis.NoBound {
			continue // nothing is known of it
		}
		v := change{
			y: row + r.offset, value: values[i], mark: r.mark, label: f.reading(c, values[i]),
			low: analysis.Unknown(), high: analysis.Unknown(),
		}
		statistic := statPublished
		if i > 0 {
			statistic = analysis.StatMedian
		}
		f.add(c.Label, r.name, c.Unit, statistic, v.value.String())
		if i == 2 && c.HasInterval() {
			v.low, v.high = c.MeasuredLow, c.MeasuredHigh
			f.add(c.Label, r.name, c.Unit, analysis.StatLow, c.MeasuredLow.String())
			f.add(c.Label, r.name, c.Unit, analysis.StatHigh, c.MeasuredHigh.String())
		}
		if isChange {
			v.bound(c.Censored)
		}
		if math.IsNaN(float64(v.value)) {
			continue
		}
		p.Add(v)
		if v.value.Known() {
			f.marks = append(f.marks, mark{x: within(v.value), y: v.y, group: c.Label, series: f.say(r.label), value: v.label})
		}
	}
}

// bound marks a change that is only a bound. Its interval has no end on that side.
func (v *change) bound(c analysis.Censoring) {
	hasInterval := !math.IsNaN(float64(v.low))
	switch {
	case c == "":
		return
	case hasInterval && c == analysis.AtMost:
		v.low = analysis.Number(math.Inf(-1))
	case hasInterval && c == analysis.AtLeast:
		v.high = analysis.Number(math.Inf(1))
	}
	v.label = string(c) + " " + v.label
}

// claimKeys adds the entries of the legend.
func (f *Figure) claimKeys(claims []analysis.Claim) {
	for _, r := range claimReadings() {
		f.legend = append(f.legend, key{f.say(r.label), []plot.Thumbnailer{markThumb(r.mark)}})
	}
	if slices.ContainsFunc(claims, func(c analysis.Claim) bool { return c.HasInterval() }) {
		f.legend = append(f.legend, key{f.say(changeInterval), []plot.Thumbnailer{changeIntervalThumb{}}})
	}
	f.legend = append(f.legend, key{f.say(changeNone), []plot.Thumbnailer{noChange{}}})
	beyond := func(n analysis.Number) bool { return n > mostChange }
	if slices.ContainsFunc(claims, func(c analysis.Claim) bool {
		return c.HasInterval() && c.Censored == analysis.AtLeast ||
			slices.ContainsFunc([]analysis.Number{c.Paper, c.Instrument, c.Measured, c.MeasuredHigh}, beyond)
	}) {
		f.legend = append(f.legend, key{f.say(changeBeyond, mostChange), []plot.Thumbnailer{beyondThumb{arrowLength}}})
	}
}

// unjudged returns in short why the trials do not decide a claim; "" if they may, or if
// a note gives the reason for all claims.
func (f *Figure) unjudged(c *analysis.Claim, intervals bool) string {
	switch {
	case math.IsNaN(float64(c.Measured)):
		return f.say(claimUnknown)
	case len(c.Unmet) > 0:
		return f.say(claimUnmet)
	case math.IsInf(float64(c.Measured), 0):
		return f.say(claimFromZero)
	case !c.HasInterval() && !intervals:
		return ""
	case !c.HasInterval():
		return f.say(claimFewBlocks)
	case c.Holds(0):
		return f.say(claimHoldsZero)
	case c.Verdict == analysis.EstimateOnly:
		return f.say(claimFewForVerdict)
	case c.Verdict == analysis.Unsure && c.Censored != "":
		return f.say(claimOpen)
	case c.Verdict == analysis.Unsure:
		return f.say(claimNotSignificant)
	}
	return ""
}

// reading formats a value of a claim for reading.
func (f *Figure) reading(c *analysis.Claim, n analysis.Number) string {
	if c.Unit != analysis.PercentChange {
		return f.lang.localise(n.Short()) + " %"
	}
	if math.IsInf(float64(n), 0) {
		return f.say(changeFromZero)
	}
	return f.lang.localise(n.Percent())
}

// within returns the position of a change on the axis: one beyond it is at its end.
func within(n analysis.Number) float64 { return max(-mostChange, min(mostChange, float64(n))) }

// change draws one reading with its interval and its number.
type change struct {
	y                float64
	value, low, high analysis.Number
	mark             draw.GlyphStyle
	label            string
}

// Plot implements plot.Plotter.
func (v change) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	at := vg.Point{X: toX(within(v.value)), Y: toY(v.y)}
	left, right := at.X-v.mark.Radius, at.X+v.mark.Radius
	if !math.IsNaN(float64(v.low)) {
		low, high := toX(within(v.low)), toX(within(v.high))
		drawChangeInterval(c, at.Y, low, high)
		left, right = min(left, low), max(right, high)
		if v.high > mostChange {
			right = drawArrow(c, vg.Point{X: high, Y: at.Y}, arrowLength)
		}
	}
	c.DrawGlyphNoClip(v.mark, at)
	if v.value > mostChange {
		right = drawArrow(c, at, arrowLength)
	}
	v.write(c, vg.Point{X: left, Y: at.Y}, right, toX(0))
}

// write writes the number right of the reading, or left of it if it would cross the
// line of no change or leave the panel.
func (v change) write(c draw.Canvas, left vg.Point, right, zero vg.Length) {
	const gap = 4
	st := style(textSize, color.Black, xfont.WeightNormal)
	st.YAlign = draw.YCenter
	at, end := right+gap, right+gap+st.Width(v.label)
	if end > c.Max.X || at < zero+3 && zero < end {
		st.XAlign, at = draw.XRight, left.X-gap
	}
	c.FillText(st, vg.Point{X: at, Y: left.Y + 1}, v.label)
}

// drawChangeInterval draws a line with a cap at each end.
func drawChangeInterval(c draw.Canvas, y, low, high vg.Length) {
	const half = 2.6
	st := draw.LineStyle{Color: color.Black, Width: 0.8}
	c.StrokeLine2(st, low, y, high, y)
	c.StrokeLine2(st, low, y-half, low, y+half)
	c.StrokeLine2(st, high, y-half, high, y+half)
}

const arrowLength = 9 * vg.Length(1)

// drawArrow draws an arrow to the right, or to the left if its length is negative, and returns
// its tip.
func drawArrow(c draw.Canvas, from vg.Point, length vg.Length) vg.Length {
	st := draw.LineStyle{Color: color.Black, Width: 0.8}
	tip := from.X + length
	barb := tip - vg.Length(math.Copysign(3, float64(length)))
	c.StrokeLine2(st, from.X, from.Y, tip, from.Y)
	c.StrokeLine2(st, barb, from.Y-2, tip, from.Y)
	c.StrokeLine2(st, barb, from.Y+2, tip, from.Y)
	return tip
}

// claimRow draws the line below a claim's row and, to the right of the panel, why the
// claim is not judged.
type claimRow struct {
	y      float64
	reason string
}

// gapBeside is the gap between a panel and the text to its right.
const gapBeside = 8

func (r claimRow) style() draw.TextStyle {
	st := style(textSize, color.Gray{Y: 60}, xfont.WeightNormal)
	st.YAlign = draw.YCenter
	return st
}

// width returns how much space the reason takes beside the panel.
func (r claimRow) width() vg.Length { return gapBeside + r.style().Width(r.reason) }

// Plot implements plot.Plotter.
func (r claimRow) Plot(c draw.Canvas, p *plot.Plot) {
	_, toY := p.Transforms(&c)
	if r.y > 0 {
		y := toY(r.y - 0.5)
		c.StrokeLine2(draw.LineStyle{Color: color.Gray{Y: 225}, Width: 0.4}, c.Min.X, y, c.Max.X, y)
	}
	if r.reason != "" {
		c.FillText(r.style(), vg.Point{X: c.Max.X + gapBeside, Y: toY(r.y) + 1}, r.reason)
	}
}

// noChange is the line at zero, in a panel and in a legend.
type noChange struct{}

func (noChange) style() draw.LineStyle {
	return draw.LineStyle{Color: color.Gray{Y: 120}, Width: 0.8, Dashes: []vg.Length{2, 2}}
}

// Plot implements plot.Plotter.
func (l noChange) Plot(c draw.Canvas, p *plot.Plot) {
	toX, _ := p.Transforms(&c)
	c.StrokeLine2(l.style(), toX(0), c.Min.Y, toX(0), c.Max.Y)
}

// Thumbnail implements plot.Thumbnailer.
func (l noChange) Thumbnail(c *draw.Canvas) {
	c.StrokeLine2(l.style(), c.Center().X, c.Min.Y, c.Center().X, c.Max.Y)
}

// changeIntervalThumb is the interval of a change in a legend.
type changeIntervalThumb struct{}

// Thumbnail implements plot.Thumbnailer.
func (changeIntervalThumb) Thumbnail(c *draw.Canvas) {
	drawChangeInterval(*c, c.Center().Y, c.Min.X+4, c.Max.X-4)
}

// beyondThumb is the arrow of a value beyond an axis or the observed range in a legend.
type beyondThumb struct{ length vg.Length }

// Thumbnail implements plot.Thumbnailer.
func (b beyondThumb) Thumbnail(c *draw.Canvas) {
	half := vg.Length(math.Copysign(4, float64(b.length)))
	drawArrow(*c, vg.Point{X: c.Center().X - half, Y: c.Center().Y}, b.length)
}
