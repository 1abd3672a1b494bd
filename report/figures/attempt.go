package figures

import (
	"fmt"
	"image/color"
	"math"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// figureAttempt shows the cost of an attempt of an attack to the server, with each variant, and to
// the attacker. It has a panel for each attack of a ladder, and a row for each variant.
func figureAttempt(r *analysis.Report) *Figure {
	f := newFigure(r.Summary, "figure-attempt", attemptTitle, TwoColumns, 0)
	f.stacked = true
	f.data = [][]string{{"variant", "cell", "metric", statisticColumn, "value"}}
	f.note(attemptWhat)
	f.noteTrials(r.Summary)
	least, most := math.Inf(1), math.Inf(-1)
	for _, part := range r.Parts {
		have := part.Summary.Measured()
		if len(have) == 0 || part.Summary.Manifest.Experiment.Sequential.Clients == 0 {
			continue
		}
		costs := f.attemptCosts(part, have)
		for _, c := range costs {
			least, most = min(least, c.us), max(most, c.us)
		}
		f.panels = append(f.panels, f.attemptPanel(part, have, costs))
		f.lines = append(f.lines, len(have))
	}
	f.Height = f.heightOfRows()
	if math.IsInf(least, 0) {
		least, most = 1, 1
	}
	for _, p := range f.panels {
		f.logarithmic(&p.X, least, most)
	}
	f.legend = append(f.legend,
		key{f.say(costsServer), []plot.Thumbnailer{markThumb(draw.GlyphStyle{Color: grey().color, Radius: 3, Shape: draw.CircleGlyph{}})}},
		key{f.say(costsAttacker), []plot.Thumbnailer{markThumb(attackerGlyph())}})
	return f
}

func attackerGlyph() draw.GlyphStyle {
	return draw.GlyphStyle{Color: grey().color, Radius: 3, Shape: draw.CrossGlyph{}}
}

func (f *Figure) attemptPanel(part *analysis.Part, have []analysis.Variant, costs attemptCosts) *plot.Plot {
	title := ""
	if part.Cell.Name != "" {
		title = fmt.Sprintf("(%c) %s", 'a'+len(f.panels), part.Cell.Name)
	}
	p := newPanel(title, f.say(logScale, f.say(microsecondsPerAttempt)), "")
	p.Add(grid(), costs)
	labels := make([]string, len(have))
	for i := range have {
		labels[i] = have[i].Name
	}
	nameRows(p, labels)
	return p
}

// attemptCosts are the marks of a panel.
type attemptCosts []attemptCost

// attemptCost is one mark: the cost of an attempt to one side.
type attemptCost struct {
	us, row float64
	mark    draw.GlyphStyle
	label   string
	before  bool // the label is left of the mark, because the attacker's mark is close on its right
}

// labelSpan is by which factor a label extends beyond its mark.
const labelSpan = 1.7

// attemptCosts returns two marks for each variant. A cost that is zero or less, which is
// noise, has no mark.
func (f *Figure) attemptCosts(part *analysis.Part, have []analysis.Variant) (all attemptCosts) {
	for i := range have {
		v := &have[i]
		row := float64(len(have) - 1 - i)
		for _, side := range []struct {
			label phrase
			name  string
			mark  draw.GlyphStyle
			value func(*analysis.Metrics) analysis.Number
		}{
			{
				costsAttacker, "attacker CPU per attempt (us)", attackerGlyph(),
				func(m *analysis.Metrics) analysis.Number { return m.Attack.AttackerPerAttemptUS },
			},
			{
				costsServer, "server CPU per attempt (us)", lookOf(v.Name).mark(3),
				func(m *analysis.Metrics) analysis.Number { return m.Attack.ServerPerAttemptUS },
			},
		} {
			us := v.Typical(side.value)
			f.add(v.Name, part.Cell.Name, side.name, analysis.StatMedian, us.String())
			if !(us > 0) {
				continue
			}
			c := attemptCost{us: float64(us), row: row, mark: side.mark}
			if side.label == costsServer {
				c.label = f.num(us)
				attacker := v.Typical(func(m *analysis.Metrics) analysis.Number { return m.Attack.AttackerPerAttemptUS })
				c.before = attacker > us && attacker < us*labelSpan
			}
			all = append(all, c)
			f.marks = append(f.marks, mark{
				panel: len(f.panels), x: math.Log10(c.us), y: row, group: v.Name, series: f.say(side.label),
				value: f.say(inMicroseconds, f.num(us)),
			})
		}
	}
	return all
}

// Plot implements plot.Plotter.
func (all attemptCosts) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	st := style(textSize, color.Gray{Y: 40}, xfont.WeightNormal)
	st.YAlign = draw.YCenter
	for _, v := range all {
		at := vg.Point{X: toX(math.Log10(v.us)), Y: toY(v.row)}
		c.DrawGlyphNoClip(v.mark, at)
		if v.label != "" {
			beside := at.X + 6
			if v.before {
				beside = at.X - 6 - st.Width(v.label)
			}
			c.FillText(st, vg.Point{X: beside, Y: at.Y + 1}, v.label)
		}
	}
}
