package tables

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// Quote summarises a run in one sentence: the number of the paper's claims for each
// verdict, and the first of them; the first metric of each variant if no claim was
// judged; the breaking points of a search; the effect of each attack of a ladder.
func Quote(r *analysis.Report) string {
	if r.Searched() {
		return plainWords([]string{quoteSearch(r)})[0]
	}
	if answer := LadderAnswer(r); answer != nil {
		return plainWords(answer)[0]
	}
	judged := slices.DeleteFunc(slices.Clone(r.Claims), func(c analysis.Claim) bool {
		return c.Verdict == analysis.NotRun
	})
	if len(judged) == 0 {
		return quoteFigures(r)
	}
	var counts []string
	for _, v := range analysis.Verdicts {
		n := 0
		for i := range judged {
			if judged[i].Verdict == v {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%q (%d)", v, n))
		}
	}
	first := &judged[0]
	interval := ""
	if first.HasInterval() {
		interval = fmt.Sprintf(" (95 %% interval %s)", first.ShowInterval())
	}
	value := fmt.Sprintf("changes by %s%s from %s to %s", first.ShowMeasured(), interval, first.Against, first.With)
	if first.Unit != analysis.PercentChange {
		value = fmt.Sprintf("is %s%s with %s", first.ShowMeasured(), interval, first.With)
	}
	what := first.Label
	if first.Instead != "" {
		what = first.Instead
	}
	return fmt.Sprintf("%s, %s %s (%s: %s); the verdicts on its %d comparisons are %s.",
		trialsOf(cmp.Or(first.Blocks, r.Blocks)), what, value, r.Paper, first.ShowPaper(), len(judged),
		analysis.Sentence(counts))
}

// quoteFigures returns the first metric of each variant, in the first cell with valid trials.
func quoteFigures(r *analysis.Report) string {
	i := slices.IndexFunc(r.Parts, func(p *analysis.Part) bool { return len(p.Series) > 0 })
	p := r.Parts[i]
	have := p.Summary.Measured()
	metrics := analysis.ComparedMetrics()
	known := func(m *analysis.Metric) bool { return have[0].Typical(m.Value).Known() }
	m := metrics[max(0, slices.IndexFunc(metrics, known))]
	var figures []string
	for i := range have {
		figures = append(figures, fmt.Sprintf("%s %s with %s", m.Show(&have[i]), m.Unit, have[i].Name))
	}
	return fmt.Sprintf("%s, %s is %s.", trialsOf(p.Summary.Blocks), m.ID, analysis.Sentence(figures))
}

func trialsOf(n int) string {
	if n == 1 {
		return "In one trial of each variant"
	}
	return fmt.Sprintf("Over %d trials of each variant", n)
}
