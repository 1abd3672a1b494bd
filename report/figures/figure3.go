package figures

import (
	"image/color"
	"math"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// laneHeight is the share of figure 3's axis for one variant's lane.
const laneHeight = 0.07

// figure3 shows the throughput of the sequential clients over time.
func figure3(s *analysis.Summary, all []*analysis.Series) *Figure {
	f := newFigure(s, "figure-3", figure3Title, TwoColumns, 3.5*vg.Inch)
	f.data = [][]string{{"variant", "bin_width_s", "bin_start_s", statisticColumn, "requests_per_s"}}
	f.note(figure3What)
	f.noteTrials(s)
	f.note(figure3Recovery)
	f.note(figure3Paper)
	top, highest := heights(s, all)
	lastS := 0.0
	for _, v := range all {
		lastS = max(lastS, float64(len(v.Fine.Median)))
	}
	p := f.overTime(s, lastS, "", f.say(requestsPerSecond))
	f.curveKeys(s, all, func(v *analysis.Series) *analysis.Curve { return &v.Fine })
	f.addQuiet(p, s, all)
	lanes := f.recoveryLanes(s, all)
	lane := min(laneHeight, 0.5/float64(max(1, len(lanes))))     // at most half of the axis
	f.Height += vg.Length(max(0, len(lanes)-7)) * 2 * lineHeight // so that each has room for its label
	p.Y.Min, p.Y.Max = 0, top*1.03/(1-lane*float64(len(lanes)))
	step := f.niceStep(top, 6)
	p.Y.Tick.Marker = plot.TickerFunc(func(least, _ float64) []plot.Tick { return step.Ticks(least, top) })
	if highest > top {
		cut := f.say(cutAbove, f.num(analysis.Number(math.Round(top))), f.num(analysis.Number(highest)))
		f.legend = append(f.legend, key{label: cut})
	}
	f.addThroughput(p, all, top)
	for i := range lanes {
		lanes[i].y = p.Y.Max * (1 - lane*(float64(i)+0.5))
		p.Add(lanes[i])
	}
	f.panels = []*plot.Plot{p}
	return f
}

// heights returns the top of the axis's data and the highest value. Clients that were
// delayed catch up in bursts, which would flatten the rest: bins of 1 s are cut a
// quarter above the highest bin of 5 s.
func heights(s *analysis.Summary, all []*analysis.Series) (top, highest float64) {
	for _, v := range all {
		for _, rate := range v.Paper.Median {
			top = max(top, 1.25*rate)
		}
		_, most := v.Fine.Span(0, 0)
		highest = max(highest, most)
	}
	if top == 0 || highest < top {
		top = max(1, highest)
	}
	for _, v := range all {
		if usual := s.Variant(v.Variant).Throughput.MedianBefore; usual.Known() {
			top = max(top, float64(usual)*(1+2*analysis.Band))
		}
	}
	return top, highest
}

// addThroughput draws the bins of 1 s, with a mark every few seconds, and adds their
// data and marks. The paper's bins of 5 s are only in the data.
func (f *Figure) addThroughput(p *plot.Plot, all []*analysis.Series, top float64) {
	var lines []binned
	for i, v := range all {
		n := max(1, len(v.Fine.Median)/20)
		line := binned{
			curve: &v.Fine, look: lookOf(v.Variant), widthS: 1, zeroS: f.zeroS, top: top, steps: true,
			glyphEvery: n, glyphFirst: i * n / len(all),
		}
		lines = append(lines, line)
		f.curveRows(v, &v.Fine, 1, v.Variant)
		for second, rate := range v.Fine.Median {
			f.marks = append(f.marks, mark{
				x: line.middle(second), y: line.height(rate), group: f.binName(second, 1),
				series: v.Variant, value: f.say(inRequestsPerSecond, f.num(analysis.Number(rate))),
			})
		}
	}
	for _, v := range all {
		f.curveRows(v, &v.Paper, 5, v.Variant)
	}
	drawCurves(p, lines)
}

// addQuiet draws the median throughput before the attack, and the band around it that
// counts as recovered.
func (f *Figure) addQuiet(p *plot.Plot, s *analysis.Summary, all []*analysis.Series) {
	if !f.attack {
		return
	}
	shown := false
	for _, v := range all {
		usual := s.Variant(v.Variant).Throughput.MedianBefore
		f.add(v.Variant, "", "", "median_before", usual.String())
		if usual.Known() {
			shown = true
			p.Add(quiet(usual))
		}
	}
	if shown {
		f.legend = append(f.legend,
			key{f.say(quietMedian), []plot.Thumbnailer{lineThumb(quiet(0).line())}},
			key{f.say(quietBand), []plot.Thumbnailer{quiet(0)}})
	}
}

// recoveryLanes returns the lanes that show above the data when each variant was
// attacked and when it recovered.
func (f *Figure) recoveryLanes(s *analysis.Summary, all []*analysis.Series) []recoveryLane {
	if !f.attack {
		return nil
	}
	var lanes []recoveryLane
	recovered := false
	for _, v := range all {
		m := s.Variant(v.Variant).Metrics
		zero := analysis.Number(f.zeroS)
		l := recoveryLane{from: v.Attack[0] - zero, to: v.Attack[1] - zero, look: lookOf(v.Variant)}
		l.recovered = l.from + m.Recovery.OnsetS
		switch {
		case l.recovered.Known():
			l.label, recovered = f.say(recoveredAfter, f.num(m.Recovery.OnsetS)), true
		case analysis.NeverRecovered(m):
			l.label = f.say(notRecovered, f.num(analysis.MetricByID("recovery").Typical(s.Variant(v.Variant))))
		}
		lanes = append(lanes, l)
		f.add(v.Variant, "", v.Attack[0].String(), "attack_begins", "")
		f.add(v.Variant, "", v.Attack[1].String(), "attack_ends", "")
		f.add(v.Variant, "", (v.Attack[0] + m.Recovery.OnsetS).String(), "recovered", "")
	}
	f.legend = append(f.legend, key{f.say(attackOfVariant), []plot.Thumbnailer{lineThumb(grey().line(2.4))}})
	if recovered {
		f.legend = append(f.legend, key{f.say(recoveredMark), []plot.Thumbnailer{recoveredThumb{}}})
	}
	return lanes
}

// quiet is a throughput before the attack. Bands are opaque, so that equal bands of
// several variants look like one.
type quiet float64

// band draws, between two heights, the band that counts as recovered.
func (q quiet) band(c draw.Canvas, r vg.Rectangle) {
	edge := draw.LineStyle{Color: color.Gray{Y: 130}, Width: 0.4}
	c.FillPolygon(color.Gray{Y: 238}, corners(r))
	c.StrokeLine2(edge, r.Min.X, r.Min.Y, r.Max.X, r.Min.Y)
	c.StrokeLine2(edge, r.Min.X, r.Max.Y, r.Max.X, r.Max.Y)
}

// Thumbnail implements plot.Thumbnailer.
func (q quiet) Thumbnail(c *draw.Canvas) { q.band(*c, c.Rectangle) }

func (q quiet) line() draw.LineStyle {
	return draw.LineStyle{Color: color.Gray{Y: 110}, Width: 0.6, Dashes: []vg.Length{1, 1}}
}

// Plot implements plot.Plotter.
func (q quiet) Plot(c draw.Canvas, p *plot.Plot) {
	_, toY := p.Transforms(&c)
	away := float64(q) * analysis.Band
	within := c.Rectangle
	within.Min.Y, within.Max.Y = toY(float64(q)-away), toY(float64(q)+away)
	q.band(c, within)
	c.StrokeLine2(q.line(), c.Min.X, toY(float64(q)), c.Max.X, toY(float64(q)))
}

// recoveryLane shows when a variant was attacked, as a bar, and when it recovered, as a
// mark.
type recoveryLane struct {
	from, to, recovered analysis.Number
	y                   float64
	look                look
	label               string
}

// Plot implements plot.Plotter.
func (l recoveryLane) Plot(c draw.Canvas, p *plot.Plot) {
	if !l.from.Known() {
		return
	}
	toX, toY := p.Transforms(&c)
	x := func(n analysis.Number) vg.Length { return toX(min(p.X.Max, float64(n))) }
	y, from := toY(l.y), x(l.from)
	c.StrokeLine2(draw.LineStyle{Color: l.look.color, Width: 2.4}, from, y, max(x(l.to), from+2), y)
	if l.label != "" {
		end := x(l.recovered)
		if math.IsInf(float64(l.recovered), 1) {
			end = c.Max.X
		}
		c.StrokeLine2(draw.LineStyle{Color: l.look.color, Width: 0.6}, from, y, end, y)
		if l.recovered.Known() {
			c.DrawGlyph(l.look.mark(2.6), vg.Point{X: end, Y: y})
		}
	}
	l.write(c, from, max(x(l.to), x(l.recovered)), y)
}

// write writes the label before the lane, or after it if there is no space.
func (l recoveryLane) write(c draw.Canvas, from, to, y vg.Length) {
	const gap = 6
	st := style(textSize, color.Black, xfont.WeightNormal)
	st.YAlign, st.XAlign = draw.YCenter, draw.XRight
	at := vg.Point{X: from - gap, Y: y}
	if at.X-st.Width(l.label) < c.Min.X {
		st.XAlign, at.X = draw.XLeft, to+gap
	}
	c.FillText(st, at, l.label)
}

// recoveredThumb is the mark of a recovery in a legend.
type recoveredThumb struct{}

// Thumbnail implements plot.Thumbnailer.
func (recoveredThumb) Thumbnail(c *draw.Canvas) {
	l := grey().line(0.6)
	c.StrokeLine2(l, c.Min.X, c.Center().Y, c.Max.X-3, c.Center().Y)
	for i, shape := range []draw.GlyphDrawer{draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.CircleGlyph{}} {
		at := vg.Point{X: c.Max.X - 16 + 7*vg.Length(i), Y: c.Center().Y}
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: l.Color, Radius: 2.2, Shape: shape}, at)
	}
}
