package tables

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// pairsTable returns the table of every two variants.
func pairsTable(s *analysis.Summary) Titled {
	t := NewTitled("Every two variants, paired by block", 3, "metric", "variant", "against", "change", "95 % interval",
		"p", "p, corrected", "verdict")
	t.rightAlign(4, 7)
	for _, p := range s.Pairs {
		t.AppendRow(table.Row{
			p.Metric, p.With, p.Without, p.ShowChange(p.Measured), p.Interval(), p.P.Probability(),
			p.PHolm.Probability(), string(p.Verdict),
		})
	}
	return t
}

// noiseTable returns the table of the noise floor.
func noiseTable(s *analysis.Summary) Titled {
	t := NewTitled("Noise floor (each variant against itself)", 2, "metric", "variant", "change", "95 % interval", "p",
		"largest in a block", "called different")
	t.rightAlign(3, 6)
	if s.Noise == nil {
		return t
	}
	for i := range s.Noise.Lines {
		l := &s.Noise.Lines[i]
		t.AppendRow(table.Row{
			l.Metric, l.Variant, l.ShowChange(l.Measured), l.Interval(), l.P.Probability(),
			l.Largest.Bound(), l.VerdictWords(),
		})
	}
	t.below = []string{s.Noise.Note()}
	return t
}

// costTable returns the table of the cost of measuring.
func costTable(s *analysis.Summary) Titled {
	t := NewTitled("Cost of measuring (the server with and without probe and system-call counter)", 2,
		"variant", "metric", "without", "with", "change", "95 % interval", "p", "goal: under 1 %")
	t.rightAlign(3, 7)
	if s.Cost == nil {
		return t
	}
	for i := range s.Cost.Lines {
		l := &s.Cost.Lines[i]
		reached := string(l.Goal)
		if reached == "" {
			reached = analysis.Unknown().Short()
		}
		t.AppendRow(table.Row{
			l.Variant, fmt.Sprintf("%s (%s)", l.Metric, l.Unit), l.Unmeasured.Short(), l.Measured.Short(),
			l.Change.Fine(), l.FineInterval(), l.P.Probability(), reached,
		})
	}
	if words := spareTime(s); words != "" {
		t.below = []string{words}
	}
	return t
}
