package tables

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
)

// Brief writes one table: each headline figure of each variant, and its change from the
// first variant. If the run has an A/A test, the table also has the figures of each variant
// against itself. Intervals and their meaning are in the report. For a search it writes the
// breaking points, and for a ladder the effect of each attack.
func Brief(w io.Writer, r *analysis.Report, width int) error {
	if r.Searched() {
		t := BreakingTable(r)
		_, err := io.WriteString(w, t.text(width))
		return err
	}
	if r.Ladder() {
		t := LadderTable(r)
		if words := LadderWords(r); len(words) > 0 { // the first is the run's quote
			t.below = plainWords(words[1:])
		}
		_, err := io.WriteString(w, t.text(width))
		return err
	}
	for _, p := range r.Parts {
		if len(p.Series) == 0 {
			continue
		}
		if err := briefOf(w, p, width); err != nil {
			return err
		}
	}
	for _, words := range claims.PremiseWords(r) {
		if _, err := fmt.Fprintf(w, "%s\n", words); err != nil {
			return err
		}
	}
	return nil
}

func briefOf(w io.Writer, p *analysis.Part, width int) error {
	s := p.Summary
	have := s.Measured()
	header := []any{"figure"}
	for _, v := range have {
		header = append(header, v.Name)
	}
	title := "Figures by variant: " + s.Interval
	if len(have) > 1 {
		title = fmt.Sprintf("Figures by variant, and their change from %s: %s", have[0].Name, s.Interval)
	}
	t := NewTitled(title, 1, header...)
	for _, m := range analysis.ComparedMetrics() {
		row := table.Row{m.ID + " (" + m.Unit + ")"}
		for i := range have {
			row = append(row, briefCell(&have[i], &have[0], m))
		}
		t.AppendRow(row)
	}
	for _, t := range []Titled{t, costTable(s), noiseTable(s)} {
		if t.Length() == 0 {
			continue
		}
		t = t.of(p)
		if _, err := io.WriteString(w, t.text(width)); err != nil {
			return err
		}
	}
	return nil
}

// briefCell returns a figure with its change from the first variant, paired by block.
func briefCell(v, first *analysis.Variant, m *analysis.Metric) string {
	figure := m.Show(v)
	if v.Name == first.Name || !m.Value(v.Metrics).Known() {
		return figure
	}
	measured, e := analysis.TypicalChange(v, first, m)
	switch {
	case !measured.Known() || e.Censored == analysis.NoBound:
		return figure
	case e.Censored != "":
		return fmt.Sprintf("%s (%s)", figure, e.ShowChange(measured))
	}
	return fmt.Sprintf("%s (%s)", figure, measured.Change())
}
