package figures

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// figure3 is the throughput of the sequential clients over time.
func figure3(s *analysis.Summary, all []*analysis.Series) *Figure {
	f := newFigure(s, "figure-3", figure3Title, TwoColumns, 3.1*vg.Inch)
	f.data = [][]string{{"variant", "bin_width_s", "bin_start_s", statisticColumn, "requests_per_s"}}
	fine := s.Blocks == 1
	if fine {
		f.note(figure3OneTrial)
	} else {
		f.note(figure3Trials)
	}
	f.noteTrials(s)
	f.note(figure3Paper)
	top, highest := heights(all, fine)
	lastS := 0.0
	for _, v := range all {
		lastS = max(lastS, float64(len(v.Fine.Median)))
	}
	p := f.overTime(s, lastS, "", f.say(requestsPerSecond))
	p.Y.Min, p.Y.Max = 0, top*(1.06+0.035*float64(len(all)))
	p.Y.Tick.Marker = f.niceStep(p.Y.Max, 8)
	f.curveKeys(s, all, func(v *analysis.Series) *analysis.Curve { return &v.Paper })
	if highest > top {
		f.note(figure3Cut, f.num(analysis.Number(math.Round(top))), f.num(analysis.Number(highest)))
	}
	if fine {
		f.addSeconds(p, all, top)
	}
	f.addThroughput(p, all, top)
	f.addAttacks(p, s, all, top)
	f.panels = []*plot.Plot{p}
	return f
}

// heights is the top of the axis's data and the highest value drawn. Clients
// that were held up catch up in bursts; those would flatten all the rest, so
// bins of 1 s are cut a quarter above the highest bin of 5 s.
func heights(all []*analysis.Series, fine bool) (top, highest float64) {
	for _, v := range all {
		for _, rate := range v.Paper.Median {
			top = max(top, 1.25*rate)
		}
		behind := append([][]float64{v.Paper.High}, v.Paper.Trials...)
		if fine {
			behind = [][]float64{v.Fine.Median}
		}
		for _, row := range behind {
			for _, rate := range row {
				if rate > highest { // not where there is none
					highest = rate
				}
			}
		}
	}
	if top == 0 || highest < top {
		top = max(1, highest)
	}
	return top, highest
}

// addSeconds draws the bins of 1 s.
func (f *Figure) addSeconds(p *plot.Plot, all []*analysis.Series, top float64) {
	for _, v := range all {
		p.Add(&plotter.Line{XYs: steps(v.Fine.Median, top), StepStyle: plotter.PostStep, LineStyle: lookOf(v.Variant).thin()})
		f.curveRows(v, &v.Fine, 1, v.Variant)
	}
	f.legend = append(f.legend, key{f.say(secondsLine), []plot.Thumbnailer{lineThumb(grey().thin())}})
}

// addThroughput draws the bins of 5 s, and notes their data and marks.
func (f *Figure) addThroughput(p *plot.Plot, all []*analysis.Series, top float64) {
	var lines []binned
	for _, v := range all {
		lines = append(lines, binned{curve: &v.Paper, look: lookOf(v.Variant), widthS: 5, top: top})
		f.curveRows(v, &v.Paper, 5, v.Variant)
		for i, rate := range v.Paper.Median {
			f.marks = append(f.marks, mark{
				x: float64(i)*5 + 2.5, y: min(rate, top), group: f.say(fromTo, 5*i, 5*i+5),
				series: v.Variant, value: f.say(inRequestsPerSecond, f.num(analysis.Number(rate))),
			})
		}
	}
	drawCurves(p, lines)
}

// addAttacks shows above the data when each variant's attack really was.
func (f *Figure) addAttacks(p *plot.Plot, s *analysis.Summary, all []*analysis.Series, top float64) {
	if !s.Window.AttackFromS.Known() {
		return
	}
	for i, v := range all {
		p.Add(attackBar{v.Attack, top * (1.05 + 0.035*float64(len(all)-1-i)), lookOf(v.Variant)})
	}
	f.note(figure3Attacks)
}

// steps is a point at the start of each bin of 1 s, cut at top, and one more to
// end the last.
func steps(bins []float64, top float64) plotter.XYs {
	xys := make(plotter.XYs, len(bins))
	for i, v := range bins {
		xys[i] = plotter.XY{X: float64(i), Y: min(v, top)}
	}
	if n := len(bins); n > 0 {
		xys = append(xys, plotter.XY{X: float64(n), Y: xys[n-1].Y})
	}
	return xys
}

// attackBar shows from when to when a variant's attack really was.
type attackBar struct {
	between [2]analysis.Number
	y       float64
	look    look
}

// Plot implements plot.Plotter.
func (b attackBar) Plot(c draw.Canvas, p *plot.Plot) {
	if !b.between[0].Known() {
		return
	}
	toX, toY := p.Transforms(&c)
	from, to := toX(float64(b.between[0])), toX(min(p.X.Max, float64(b.between[1])))
	at := vg.Point{X: from, Y: toY(b.y)}
	c.StrokeLine2(draw.LineStyle{Color: b.look.color, Width: 1.2}, at.X, at.Y, max(to, from+2), at.Y)
	c.DrawGlyphNoClip(b.look.mark(2), at)
}
