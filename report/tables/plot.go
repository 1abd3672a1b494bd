package tables

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/guptarohit/asciigraph"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// plotHeight is the number of lines of a plot's axis.
const plotHeight = 10

// Plot draws the throughput of the sequential clients over time with characters, a line for
// each variant, in every cell that has them. The width is that of the terminal; zero is
// unknown. Without colours, each line has a character of its own.
func Plot(w io.Writer, r *analysis.Report, width int, colored bool) error {
	if width == 0 {
		width = 80
	}
	for _, p := range r.Parts {
		lines := slices.DeleteFunc(slices.Clone(p.Series), func(s *analysis.Series) bool { return len(s.Fine.Median) == 0 })
		if len(lines) == 0 || p.Summary.Manifest.Experiment.Sequential.Clients == 0 {
			continue
		}
		if _, err := fmt.Fprintln(w, plotOf(p, lines, width, colored)); err != nil {
			return err
		}
	}
	return nil
}

// plotColors and plotCharacters distinguish the lines of a plot.
var (
	plotColors     = []asciigraph.AnsiColor{asciigraph.Red, asciigraph.Green, asciigraph.Blue, asciigraph.Goldenrod, asciigraph.Purple}
	plotCharacters = []string{"*", "o", "+", "x", "#"}
)

func plotOf(p *analysis.Part, lines []*analysis.Series, width int, colored bool) string {
	var data [][]float64
	var names []string
	last, top := 0, 0.0 // bursts of clients that were delayed would flatten the rest
	for _, s := range lines {
		data = append(data, s.Fine.Median)
		for _, rate := range s.Paper.Median {
			top = max(top, 1.25*rate)
		}
		names = append(names, s.Variant)
		last = max(last, len(s.Fine.Median))
	}
	if top == 0 {
		top = math.Inf(1) // the load is shorter than a bin of the paper
	}
	caption := "requests/s of the honest clients, by second"
	if attack := lines[0].Attack; attack[0].Known() {
		caption += fmt.Sprintf("; the attack is from %s to %s s", attack[0].Short(), attack[1].Short())
	}
	for i := range data {
		data[i] = slices.Clone(data[i])
		for j := range data[i] {
			data[i][j] = min(data[i][j], top) // NaN stays
		}
	}
	const axis = 9 // columns
	options := []asciigraph.Option{
		asciigraph.Height(plotHeight), asciigraph.Width(max(20, width-axis)), asciigraph.LowerBound(0), asciigraph.Precision(0),
		asciigraph.XAxisRange(0, float64(last-1)), asciigraph.XAxisTickCount(5),
		asciigraph.XAxisValueFormatter(func(x float64) string { return fmt.Sprintf("%.0f s", x) }),
	}
	if p.Cell.Name != "" {
		caption = p.Cell.Name + ": " + caption
	}
	var keys []string
	var sets []asciigraph.CharSet
	var colors []asciigraph.AnsiColor
	for i, name := range names {
		character := plotCharacters[i%len(plotCharacters)]
		keys = append(keys, character+" "+name)
		sets = append(sets, asciigraph.CreateCharSet(character))
		colors = append(colors, plotColors[i%len(plotColors)])
	}
	if colored {
		options = append(options, asciigraph.SeriesColors(colors...), asciigraph.SeriesLegends(names...))
		return asciigraph.PlotMany(data, options...) + "\n" + caption
	}
	options = append(options, asciigraph.SeriesChars(sets...))
	return asciigraph.PlotMany(data, options...) + "\n" + strings.Join(keys, "   ") + "\n" + caption
}
