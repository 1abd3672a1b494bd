package figures

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// figureGoodput shows how much of their throughput the sequential clients keep during
// attacks of several strengths: a panel for each load of a sweep, and a line for each
// variant. It returns nil if the run has no sweep.
func figureGoodput(r *analysis.Report) *Figure {
	sweeps := slices.DeleteFunc(sweepsOf(r), func(cells []*analysis.Part) bool { return len(cells) < 2 })
	if len(sweeps) == 0 {
		return nil
	}
	f := newFigure(r.Summary, "figure-goodput", goodputTitle, TwoColumns, (0.7+1.9*vg.Length(len(sweeps)))*vg.Inch)
	f.stacked = true
	f.data = [][]string{{"variant", "cell", "strength", statisticColumn, "kept_percent"}}
	f.note(goodputWhat)
	f.noteTrials(r.Summary)
	var names []string
	for _, parts := range sweeps {
		f.panels = append(f.panels, f.goodputPanel(parts, &names))
	}
	for _, name := range names {
		l := lookOf(name)
		f.legend = append(f.legend, key{name, []plot.Thumbnailer{lineThumb(l.line(1.2)), markThumb(l.onCurve())}})
	}
	return f
}

// sweepsOf returns the cells whose attack has a strength, in groups. The cells of a group differ only in the
// strength, and are sorted by it.
func sweepsOf(r *analysis.Report) [][]*analysis.Part {
	var all [][]*analysis.Part
	for _, p := range r.Parts {
		e := &p.Summary.Manifest.Experiment
		if e.Search != nil || e.Parallel.Strength == 0 || e.Sequential.Clients == 0 {
			continue
		}
		i := slices.IndexFunc(all, func(of []*analysis.Part) bool { return sameSweep(of[0], p) })
		if i < 0 {
			all = append(all, nil)
			i = len(all) - 1
		}
		all[i] = append(all[i], p)
	}
	for _, of := range all {
		slices.SortStableFunc(of, func(a, b *analysis.Part) int { return cmp.Compare(strengthOf(a), strengthOf(b)) })
	}
	return all
}

// sameSweep reports whether the cells have the same load, and the same values of the
// matrix except for the strength of the attack.
func sameSweep(a, b *analysis.Part) bool {
	others := func(p *analysis.Part) []string {
		return slices.DeleteFunc(slices.Clone(p.Cell.Set), func(set string) bool {
			key, _, _ := strings.Cut(set, "=")
			return strings.HasSuffix(key, ".parallel.rate")
		})
	}
	return a.Cell.Load == b.Cell.Load && slices.Equal(others(a), others(b))
}

// strengthOf returns the strength that the attack of a cell reached.
func strengthOf(p *analysis.Part) float64 { return p.Summary.Manifest.Experiment.Parallel.Strongest() }

func (f *Figure) goodputPanel(parts []*analysis.Part, names *[]string) *plot.Plot {
	title := ""
	if load := parts[0].Cell.Load; load != "" {
		title = fmt.Sprintf("(%c) %s", 'a'+len(f.panels), load)
	}
	p := newPanel(title, f.say(logScale, f.say(strengthAxis)), f.say(keptAxis))
	p.Add(grid())
	most := 100.0
	for _, name := range analysis.VariantsOf(parts) {
		line := f.goodputOf(parts, name)
		if len(line) == 0 {
			continue
		}
		if !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
		for _, at := range line {
			most = max(most, at.Y)
		}
		l := lookOf(name)
		p.Add(&plotter.Line{XYs: line, LineStyle: l.line(1.2)}, &plotter.Scatter{XYs: line, GlyphStyle: l.onCurve()})
	}
	f.logarithmic(&p.X, strengthOf(parts[0]), strengthOf(parts[len(parts)-1]))
	p.Y.Min, p.Y.Max = 0, most*1.08
	p.Y.Tick.Marker = every{25, f.lang}
	return p
}

// goodputOf returns the line of a variant, and adds its data and marks.
func (f *Figure) goodputOf(parts []*analysis.Part, name string) (line plotter.XYs) {
	for _, p := range parts {
		i := slices.IndexFunc(p.Summary.Variants, func(v analysis.Variant) bool { return v.Name == name && v.Metrics != nil })
		if i < 0 {
			continue
		}
		kept := 100 * p.Summary.Variants[i].Honest.Kept
		strength := analysis.Number(strengthOf(p))
		f.add(name, p.Cell.Name, strength.String(), analysis.StatMedian, kept.String())
		if !kept.Known() {
			continue
		}
		at := plotter.XY{X: math.Log10(float64(strength)), Y: float64(kept)}
		line = append(line, at)
		f.marks = append(f.marks, mark{
			panel: len(f.panels), x: at.X, y: at.Y, group: f.say(timesCapacity, f.num(strength)), series: name,
			value: f.num(kept) + " %",
		})
	}
	return line
}
