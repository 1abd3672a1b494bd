package tables

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// BreakingTable returns the breaking points of a search, for all cells. It has no row
// in any other run.
func BreakingTable(r *analysis.Report) Titled {
	header := []any{"variant", "breaking point", "attempts/s", "breaks at", "why"}
	blocks, cells := r.Blocks > 1, len(r.Parts) > 1
	if blocks {
		header = append([]any{"block"}, header...)
	}
	if cells {
		header = append([]any{"cell"}, header...)
	}
	t := NewTitled("Breaking points, as multiples of the server's capacity", len(header), header...)
	for _, p := range r.Parts {
		for i := range p.Summary.BreakingPoints {
			b := &p.Summary.BreakingPoints[i]
			row := table.Row{b.Variant, b.Strength(), b.PerS(), breaksAt(b), b.Why}
			if blocks {
				row = append(table.Row{fmt.Sprint(b.Block)}, row...)
			}
			if cells {
				row = append(table.Row{p.Cell.Name}, row...)
			}
			t.AppendRow(row)
		}
	}
	return t
}

// BreakingWords explains the table of breaking points.
func BreakingWords(r *analysis.Report) []string {
	s := r.Manifest.Experiment.Search
	if s == nil {
		return nil
	}
	return []string{
		fmt.Sprintf("The breaking point is the strongest attack that the server withstands: during it the sequential "+
			"clients keep %g %% of their throughput before it, their p99 is at most %g times that before it, and at most %d of "+
			"their requests are lost. The next stronger attack, at most %g times as strong, breaks that. Each strength was "+
			"tried once, so results near the limit vary.", 100*s.Keep, s.P99, s.Lost, s.Factor),
		"The last column has what broke first, compared to before the attack, or the reason why there is only a bound. " +
			"Strengths and attempts are those of the schedule, of all attackers together.",
	}
}

// attackTrialsTable returns a table with each trial of a search in one cell.
func attackTrialsTable(s *analysis.Summary) Titled {
	t := NewTitled("Trials of the search", 1, "trial", "strength", "scheduled (attempts/s)", "achieved (attempts/s)",
		"throughput kept (%)", "p99 (multiple)", "requests lost", "the server")
	for _, b := range s.BreakingPoints {
		for _, a := range b.Trials {
			t.AppendRow(table.Row{
				a.Trial, multiple(a.Strength), a.ScheduledPerS.Short(), a.AchievedPerS.Short(), (100 * a.Kept).Short(), a.P99.Short(),
				a.Lost.Short(), string(a.Verdict),
			})
		}
	}
	return t
}

// breaksAt returns the weakest attack that is known to break the server.
func breaksAt(b *analysis.BreakingPoint) string {
	if b.FailsBy != results.AttackBroke {
		return multiple(analysis.Unknown())
	}
	return multiple(b.Fails)
}

func multiple(n analysis.Number) string {
	if !n.Known() {
		return n.Short()
	}
	return n.Short() + "x"
}

// quoteSearch returns the breaking points of the first block in a sentence.
func quoteSearch(r *analysis.Report) string {
	var cells []string
	for _, p := range r.Parts {
		words := breakingOrder(p)
		if p.Cell.Name != "" {
			words = p.Cell.Name + ": " + words
		}
		cells = append(cells, words)
	}
	return "The strongest attack that the server withstands, as a multiple of its capacity: " +
		strings.Join(cells, "; ") + "."
}

// breakingOrder groups the variants of a cell by their breaking points, the strongest first.
func breakingOrder(p *analysis.Part) string {
	points := slices.DeleteFunc(slices.Clone(p.Summary.BreakingPoints), func(b analysis.BreakingPoint) bool {
		return b.Block != 1
	})
	slices.SortStableFunc(points, func(a, b analysis.BreakingPoint) int { return cmp.Compare(b.Estimate(), a.Estimate()) })
	var all []string
	for len(points) > 0 {
		strength := points[0].Strength()
		var names []string
		points = slices.DeleteFunc(points, func(b analysis.BreakingPoint) bool {
			same := b.Strength() == strength
			if same {
				names = append(names, b.Variant)
			}
			return same
		})
		all = append(all, strength+" with "+analysis.Sentence(shortened(names, p.Summary.Variants)))
	}
	return strings.Join(all, ", ")
}
