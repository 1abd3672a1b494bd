package report

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// figure3 is the throughput of the sequential clients over time.
func figure3(s *Summary, all []*series) *figure {
	f := &figure{
		name:  "figure-3",
		title: "Figure 3: throughput of the sequential clients under attack",
		notes: []string{
			"Thin: bins of 1 s. Thick, marked: bins of 5 s, as in the paper. " + capital(s.Interval) + ".",
			"Paper: the attack begins at bin 5; blocked in the kernel the throughput recovers at bin 22, in user space at bin 27 (bins of 5 s).",
		},
		width: 9.2 * vg.Inch, height: 5 * vg.Inch,
		data: [][]string{{"variant", "bin_width_s", "bin_start_s", "requests_per_s"}},
	}
	p := newPanel("", "time since the epoch (s)", "completed requests per second")
	top, highest := heights(all)
	p.X.Min, p.X.Max = 0, 1
	for _, v := range all {
		p.X.Max = max(p.X.Max, float64(len(v.fine)))
	}
	p.Y.Min, p.Y.Max = 0, top*(1.08+0.035*float64(len(all)))
	p.X.Tick.Marker, p.Y.Tick.Marker = niceStep(p.X.Max, 12), niceStep(p.Y.Max, 8)
	if highest > top {
		f.notes[0] += fmt.Sprintf(" Bins of 1 s above %s are cut; the highest has %s.", short(Number(math.Round(top))), short(Number(highest)))
	}
	f.addAttack(p, s, all, top)
	p.Add(grid())
	for _, v := range all {
		p.Add(&plotter.Line{
			XYs:       steps(v.fine, top),
			StepStyle: plotter.PostStep,
			LineStyle: draw.LineStyle{Color: lookOf(v.variant).faint(), Width: 0.8},
		})
	}
	for _, v := range all {
		f.addThroughput(p, v)
	}
	f.panels = []*plot.Plot{p}
	return f
}

// heights is the top of the axis's data and the highest bin. Clients that were
// held up catch up in bursts; those would flatten all the rest, so bins of 1 s
// are cut a quarter above the highest bin of 5 s.
func heights(all []*series) (top, highest float64) {
	for _, v := range all {
		for _, rate := range v.paper {
			top = max(top, 1.25*rate)
		}
		for _, rate := range v.fine {
			highest = max(highest, rate)
		}
	}
	if top == 0 || highest < top {
		top = max(1, highest)
	}
	return top, highest
}

// addAttack shades the scheduled attack, and shows above the data when each
// variant's really was.
func (f *figure) addAttack(p *plot.Plot, s *Summary, all []*series, top float64) {
	if !s.Window.AttackFromS.known() {
		return
	}
	shade := color.RGBA{R: 240, G: 235, B: 222, A: 255}
	p.Add(area{float64(s.Window.AttackFromS), min(float64(s.Window.AttackToS), p.X.Max), shade})
	for i, v := range all {
		p.Add(attackBar{v.attack, top * (1.07 + 0.035*float64(i)), lookOf(v.variant)})
	}
	f.legend = append(f.legend,
		key{"attack as scheduled", []plot.Thumbnailer{shadeThumb{shade}}},
		key{"at the top: its first to last request", []plot.Thumbnailer{lineThumb{Color: color.Gray{Y: 90}, Width: 3}}})
}

// addThroughput draws the bins of 5 s of one variant, and notes its key and
// data.
func (f *figure) addThroughput(p *plot.Plot, v *series) {
	l := lookOf(v.variant)
	middle := points(v.paper, 5, 2.5)
	p.Add(&plotter.Line{XYs: middle, LineStyle: l.line(2)}, &plotter.Scatter{XYs: middle, GlyphStyle: l.mark(3)})
	f.legend = append(f.legend, key{v.variant, []plot.Thumbnailer{lineThumb(l.line(2)), markThumb(l.mark(3))}})
	for i, rate := range v.paper {
		f.marks = append(f.marks, mark{
			x: middle[i].X, y: rate, series: v.variant,
			group: fmt.Sprintf("%d to %d s", 5*i, 5*(i+1)), value: short(Number(rate)) + " requests/s",
		})
	}
	f.data = append(f.data, binRows(v.variant, 1, v.fine)...)
	f.data = append(f.data, binRows(v.variant, 5, v.paper)...)
}

// points puts a value for each bin at an offset from the bin's start.
func points(bins []float64, width, offset float64) plotter.XYs {
	xys := make(plotter.XYs, len(bins))
	for i, v := range bins {
		xys[i] = plotter.XY{X: float64(i)*width + offset, Y: v}
	}
	return xys
}

// steps is points at the start of bins of 1 s, cut at top, and one more to end
// the last.
func steps(bins []float64, top float64) plotter.XYs {
	xys := points(bins, 1, 0)
	for i := range xys {
		xys[i].Y = min(xys[i].Y, top)
	}
	if n := len(bins); n > 0 {
		xys = append(xys, plotter.XY{X: float64(n), Y: xys[n-1].Y})
	}
	return xys
}

func binRows(variant string, width int, bins []float64) [][]string {
	var rows [][]string
	for i, v := range bins {
		rows = append(rows, []string{variant, strconv.Itoa(width), strconv.Itoa(i * width), Number(v).String()})
	}
	return rows
}

// area shades a stretch of the x axis.
type area struct {
	from, to float64
	color    color.Color
}

// Plot implements plot.Plotter.
func (a area) Plot(c draw.Canvas, p *plot.Plot) {
	toX, _ := p.Transforms(&c)
	c.FillPolygon(a.color, corners(vg.Rectangle{
		Min: vg.Point{X: toX(a.from), Y: c.Min.Y},
		Max: vg.Point{X: toX(a.to), Y: c.Max.Y},
	}))
}

// attackBar shows from when to when a variant's attack really was.
type attackBar struct {
	between [2]Number
	y       float64
	look    look
}

// Plot implements plot.Plotter.
func (b attackBar) Plot(c draw.Canvas, p *plot.Plot) {
	if !b.between[0].known() {
		return
	}
	toX, toY := p.Transforms(&c)
	from, to := toX(float64(b.between[0])), toX(min(p.X.Max, float64(b.between[1])))
	c.StrokeLine2(draw.LineStyle{Color: b.look.color, Width: 3}, from, toY(b.y), max(to, from+2), toY(b.y))
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return fmt.Sprintf("%c%s", s[0]-'a'+'A', s[1:])
}
