package figures

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// breaking is what a panel shows: breaking points under one attack.
type breaking struct {
	name string // of the attack
	rows []breakingRow
}

// breakingRow is a row of a panel.
type breakingRow struct {
	label, variant, cell string
	points               []*analysis.BreakingPoint // several searches
}

// figureBreaking shows the breaking point of each variant, with a panel for each cell of a
// search. Cells that differ only in the server share one.
func figureBreaking(r *analysis.Report) *Figure {
	search := r.Manifest.Experiment.Search
	var panels []breaking
	for _, part := range r.Parts {
		server, compared := serverOf(part)
		name := part.Cell.Name
		if compared {
			name = part.Cell.Load
		}
		if len(panels) == 0 || !compared || panels[len(panels)-1].name != name {
			panels = append(panels, breaking{name: name})
		}
		last := &panels[len(panels)-1]
		for _, v := range part.Summary.Variants {
			row := breakingRow{label: v.Name, variant: v.Name, cell: part.Cell.Name}
			if compared {
				row.label = server + ", " + v.Name
			}
			for i := range part.Summary.BreakingPoints {
				if b := &part.Summary.BreakingPoints[i]; b.Variant == v.Name {
					row.points = append(row.points, b)
				}
			}
			last.rows = append(last.rows, row)
		}
	}
	f := drawBreaking(r, panels)
	f.note(breakingWhat, f.num(analysis.Number(100*search.Keep)), f.num(analysis.Number(search.P99)),
		f.num(analysis.Number(search.Lost)))
	f.note(breakingTries, f.num(analysis.Number(search.Factor)))
	return f
}

// serverOf returns the server of a cell, and whether the cells are named by it and their load
// alone.
func serverOf(part *analysis.Part) (name string, compared bool) {
	if len(part.Cell.Set) != 1 {
		return "", false
	}
	return strings.CutPrefix(part.Cell.Set[0], "server=")
}

// figureBounds shows the bounds that a run with attacks of given strengths can give.
// It returns nil if none has a strength.
func figureBounds(r *analysis.Report) *Figure {
	var panels []breaking
	for _, cells := range sweepsOf(r) {
		p := breaking{name: cmp.Or(cells[0].Cell.Load, cells[0].Cell.Name)}
		for _, name := range analysis.VariantsOf(cells) {
			p.rows = append(p.rows, breakingRow{
				label: name, variant: name, cell: p.name, points: []*analysis.BreakingPoint{analysis.BoundsOf(cells, name)},
			})
		}
		panels = append(panels, p)
	}
	if len(panels) == 0 {
		return nil
	}
	f := drawBreaking(r, panels)
	f.note(breakingWhat, f.num(100*analysis.HoldsKept), f.num(analysis.HoldsP99), f.num(0))
	f.note(breakingBounds)
	f.noteTrials(r.Summary)
	return f
}

func drawBreaking(r *analysis.Report, panels []breaking) *Figure {
	f := newFigure(r.Summary, "figure-breaking-points", breakingTitle, TwoColumns, 0)
	f.stacked = true
	f.data = [][]string{{"variant", "cell", "metric", statisticColumn, "value"}}
	var all breakingMarks
	for _, panel := range panels {
		marks := f.breakingMarks(panel)
		all = append(all, marks...)
		f.panels = append(f.panels, f.breakingPanel(panel, marks))
		f.lines = append(f.lines, len(panel.rows))
	}
	f.Height = f.heightOfRows()
	least, most := all.span()
	if math.IsInf(least, 0) {
		f.legend = append(f.legend, key{label: f.say(noValues)})
		least, most = 1, 1
	}
	for _, p := range f.panels {
		f.logarithmic(&p.X, least, most)
	}
	for _, m := range all {
		f.right = max(f.right, breakingLabel().Width(m.label)) // beside a mark at the end of the axis
	}
	f.breakingKeys(all, r.Blocks)
	return f
}

// breakingLabel is the style of the label of a mark, to the right of it.
func breakingLabel() draw.TextStyle {
	st := style(textSize, color.Gray{Y: 40}, xfont.WeightNormal)
	st.YAlign = draw.YCenter
	return st
}

// breakingPanel returns a panel, with its name if it has one.
func (f *Figure) breakingPanel(of breaking, marks breakingMarks) *plot.Plot {
	title := ""
	if of.name != "" {
		title = fmt.Sprintf("(%c) %s", 'a'+len(f.panels), of.name)
	}
	p := newPanel(title, f.say(logScale, f.say(breakingAxis)), "")
	p.Add(grid(), marks)
	labels := make([]string, len(of.rows))
	for i, r := range of.rows {
		labels[i] = r.label
	}
	nameRows(p, labels)
	return p
}

// breakingMarks are the marks of a panel.
type breakingMarks []breakingMark

// breakingMark is a variant's breaking point: of several searches, that of the one in the middle.
type breakingMark struct {
	row      float64
	point    *analysis.BreakingPoint
	searches []*analysis.BreakingPoint // with the point
	mark     draw.GlyphStyle
	label    string
}

// several returns the searches if there are several.
func (m *breakingMark) several() []*analysis.BreakingPoint {
	if len(m.searches) > 1 {
		return m.searches
	}
	return nil
}

// breakingMarks returns one mark for each row with a known breaking point.
func (f *Figure) breakingMarks(of breaking) (all breakingMarks) {
	for i, r := range of.rows {
		var found []*analysis.BreakingPoint
		for _, b := range r.points {
			f.breakingData(r.cell, b)
			if b.Estimate().Known() {
				found = append(found, b)
			}
		}
		if len(found) == 0 {
			continue
		}
		slices.SortStableFunc(found, func(a, b *analysis.BreakingPoint) int {
			return cmp.Compare(a.Estimate(), b.Estimate())
		})
		m := breakingMark{
			row: float64(len(of.rows) - 1 - i), point: found[(len(found)-1)/2], searches: found, mark: lookOf(r.variant).mark(3),
		}
		estimate := m.point.Estimate()
		m.label = f.num(estimate)
		switch m.point.Bound {
		case analysis.MoreThan:
			m.label = ">" + m.label
		case analysis.LessThan:
			m.label = "<" + m.label
		}
		f.marks = append(f.marks, mark{
			panel: len(f.panels), x: math.Log10(float64(estimate)), y: m.row, group: r.label,
			series: f.say(breakingPoint), value: f.say(timesCapacity, m.label),
		})
		m.label = f.say(withAttempts, m.label, f.num(m.point.EstimatePerS()))
		all = append(all, m)
		f.add(r.variant, r.cell, "breaking point (multiple of the capacity)", analysis.StatMedian, estimate.String())
	}
	return all
}

// span returns the smallest and the largest value that is drawn; infinite if there is none.
func (all breakingMarks) span() (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, m := range all {
		drawn := []analysis.Number{m.point.Estimate()}
		if m.point.Bound == analysis.NotBound {
			drawn = append(drawn, m.point.Holds, m.point.Fails)
		}
		for _, b := range m.searches {
			drawn = append(drawn, b.Estimate())
		}
		for _, n := range drawn {
			least, most = min(least, float64(n)), max(most, float64(n))
		}
	}
	return least, most
}

// Plot implements plot.Plotter.
func (all breakingMarks) Plot(c draw.Canvas, p *plot.Plot) {
	const below = 4 // points of searches are below the mark
	toX, toY := p.Transforms(&c)
	x := func(n analysis.Number) vg.Length { return toX(math.Log10(float64(n))) }
	for _, m := range all {
		at := vg.Point{X: x(m.point.Estimate()), Y: toY(m.row)}
		right := at.X + m.mark.Radius
		for _, b := range m.several() {
			beside := vg.Point{X: x(b.Estimate()), Y: at.Y - below}
			c.DrawGlyphNoClip(trialGlyph(m.mark.Color), beside)
			right = max(right, beside.X)
			if b.Bound == analysis.MoreThan {
				right = max(right, drawArrow(c, beside, 7))
			}
		}
		switch m.point.Bound {
		case analysis.MoreThan:
			right = max(right, drawArrow(c, at, arrowLength))
		case analysis.LessThan:
			drawArrow(c, at, -arrowLength)
		default:
			drawChangeInterval(c, at.Y, x(m.point.Holds), x(m.point.Fails))
			right = max(right, x(m.point.Fails))
		}
		c.DrawGlyphNoClip(m.mark, at)
		c.FillText(breakingLabel(), vg.Point{X: right + 4, Y: at.Y + 1}, m.label)
	}
}

// breakingData adds the bounds of a breaking point to the data.
func (f *Figure) breakingData(cell string, b *analysis.BreakingPoint) {
	statistic := analysis.StatMedian // of the trials with an attack
	if b.Block > 0 {
		statistic = fmt.Sprintf("block %d", b.Block)
	}
	fails := cmp.Or(b.FailsBy, results.AttackBroke)
	for _, row := range []struct {
		metric string
		value  analysis.Number
	}{
		{"holds (multiple of the capacity)", b.Holds},
		{"holds (attempts/s)", b.HoldsPerS},
		{string(fails) + " (multiple of the capacity)", b.Fails},
		{string(fails) + " (attempts/s)", b.FailsPerS},
	} {
		f.add(b.Variant, cell, row.metric, statistic, row.value.String())
	}
}

// breakingKeys adds the entries of the legend that some mark needs.
func (f *Figure) breakingKeys(all breakingMarks, searches int) {
	add := func(when func(breakingMark) bool, label string, thumb plot.Thumbnailer) {
		if slices.ContainsFunc(all, when) {
			f.legend = append(f.legend, key{label, []plot.Thumbnailer{thumb}})
		}
	}
	is := func(bound analysis.Bound) func(breakingMark) bool {
		return func(m breakingMark) bool { return m.point.Bound == bound }
	}
	add(is(analysis.NotBound), f.say(upToBroken), changeIntervalThumb{})
	add(is(analysis.MoreThan), f.say(moreThanThat), beyondThumb{arrowLength})
	add(is(analysis.LessThan), f.say(lessThanThat), beyondThumb{-arrowLength})
	add(func(m breakingMark) bool { return m.several() != nil }, f.say(oneSearch, f.num(analysis.Number(searches))),
		markThumb(trialGlyph(grey().color)))
}
