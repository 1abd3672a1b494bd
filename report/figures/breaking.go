package figures

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// breaking is what a panel shows: breaking points under one attack.
type breaking struct {
	name    string // of the attack
	columns []breakingColumn
}

// breakingColumn is a place on the x axis.
type breakingColumn struct {
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
			c := breakingColumn{label: v.Name, variant: v.Name, cell: part.Cell.Name}
			if compared {
				c.label = server + "\n" + v.Name
			}
			for i := range part.Summary.BreakingPoints {
				if b := &part.Summary.BreakingPoints[i]; b.Variant == v.Name {
					c.points = append(c.points, b)
				}
			}
			last.columns = append(last.columns, c)
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
			p.columns = append(p.columns, breakingColumn{
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
	height := (0.7 + 1.7*vg.Length(len(panels))) * vg.Inch
	f := newFigure(r.Summary, "figure-breaking-points", breakingTitle, TwoColumns, height)
	f.stacked = true
	f.data = [][]string{{"variant", "cell", "metric", statisticColumn, "value"}}
	all := new(dots)
	for i, panel := range panels {
		marks := f.breakingDots(panel)
		all.values = append(all.values, marks.values...)
		f.marks = append(f.marks, marks.marks(i)...)
		f.panels = append(f.panels, f.breakingPanel(panel, i, marks))
	}
	least, most := all.span()
	if math.IsInf(least, 0) {
		f.legend = append(f.legend, key{label: f.say(noValues)})
		least, most = 1, 1
	}
	for _, p := range f.panels {
		f.logarithmic(&p.Y, least, most)
	}
	f.breakingKeys(all, r.Blocks)
	return f
}

// breakingPanel returns a panel, with its name if it has one.
func (f *Figure) breakingPanel(of breaking, panel int, marks *dots) *plot.Plot {
	title := ""
	if of.name != "" {
		title = fmt.Sprintf("(%c) %s", 'a'+panel, of.name)
	}
	p := newPanel(title, "", f.say(logScale, f.say(breakingAxis))) // short: a panel is low
	p.Add(grid(), marks)
	labels := make([]string, len(of.columns))
	for i, c := range of.columns {
		labels[i] = c.label
	}
	names(p, axisNames(labels))
	return p
}

// breakingDots returns one mark for each column: of several searches, that of the one in the
// middle.
func (f *Figure) breakingDots(of breaking) *dots {
	marks := &dots{log: true}
	for i, c := range of.columns {
		var found []*analysis.BreakingPoint
		for _, b := range c.points {
			f.breakingRows(c.cell, b)
			if b.Estimate().Known() {
				found = append(found, b)
			}
		}
		if len(found) == 0 {
			continue
		}
		d := f.breakingDot(found)
		d.x, d.mark, d.group = float64(i), lookOf(c.variant).mark(3), strings.ReplaceAll(c.label, "\n", " ")
		marks.values = append(marks.values, d)
		f.add(c.variant, c.cell, "breaking point (multiple of the capacity)", analysis.StatMedian, analysis.Number(d.y).String())
	}
	return marks
}

func (f *Figure) breakingRows(cell string, b *analysis.BreakingPoint) {
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

// breakingDot returns the mark of the middle one of some breaking points.
func (f *Figure) breakingDot(found []*analysis.BreakingPoint) dot {
	slices.SortStableFunc(found, func(a, b *analysis.BreakingPoint) int { return cmp.Compare(a.Estimate(), b.Estimate()) })
	b := found[(len(found)-1)/2]
	d := dot{y: float64(b.Estimate()), low: analysis.Unknown(), high: analysis.Unknown(), series: f.say(breakingPoint)}
	d.label = f.num(b.Estimate())
	switch b.Bound {
	case analysis.MoreThan:
		d.outside, d.label = true, ">"+d.label
	case analysis.LessThan:
		d.below, d.label = true, "<"+d.label
	default:
		d.low, d.high = b.Holds, b.Fails
	}
	d.value = f.say(timesCapacity, d.label)
	d.label = f.say(withAttempts, d.label, f.num(b.EstimatePerS()))
	for _, b := range found {
		if len(found) > 1 {
			d.trials, d.beyond = append(d.trials, float64(b.Estimate())), append(d.beyond, b.Bound == analysis.MoreThan)
		}
	}
	return d
}

// breakingKeys adds the entries of the legend that some mark needs.
func (f *Figure) breakingKeys(all *dots, searches int) {
	add := func(when func(dot) bool, label string, thumb plot.Thumbnailer) {
		if slices.ContainsFunc(all.values, when) {
			f.legend = append(f.legend, key{label, []plot.Thumbnailer{thumb}})
		}
	}
	add(func(d dot) bool { return d.high.Known() }, f.say(upToBroken), intervalThumb{})
	add(func(d dot) bool { return d.outside }, f.say(moreThanThat), upwardThumb{})
	add(func(d dot) bool { return d.below }, f.say(lessThanThat), downwardThumb{})
	add(func(d dot) bool { return len(d.trials) > 0 }, f.say(oneSearch, f.num(analysis.Number(searches))),
		markThumb(trialGlyph(grey().color)))
}

// drawBelow draws an arrow downwards.
func drawBelow(c draw.Canvas, at vg.Point, clr color.Color) {
	st := draw.LineStyle{Color: clr, Width: 0.8}
	tip := at.Y - 8
	c.StrokeLine2(st, at.X, at.Y, at.X, tip)
	c.StrokeLine2(st, at.X-2, tip+3, at.X, tip)
	c.StrokeLine2(st, at.X+2, tip+3, at.X, tip)
}

// downwardThumb is the arrow of a value below the tried range in a legend.
type downwardThumb struct{}

// Thumbnail implements plot.Thumbnailer.
func (downwardThumb) Thumbnail(c *draw.Canvas) {
	drawBelow(*c, vg.Point{X: c.Center().X, Y: c.Max.Y}, grey().color)
}
