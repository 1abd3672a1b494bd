package tables

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
)

// briefRows is how many rows of the main table fit into 20 lines, together with the sentence and
// what a command prints after it.
const briefRows = 7

// Brief writes the answer of a run for a terminal with that many columns (zero means no limit):
// one sentence, and the main table, whose rows are the variants. That table has the breaking
// points of a search, the effect of each attack of a ladder, and otherwise a few figures. All
// together is at most 20 lines at 80 columns, with what a command adds. Text writes the rest.
func Brief(w io.Writer, r *analysis.Report, width int) error {
	t, hidden := briefTable(r)
	text := Quote(r) + "\n" + t.text(width)
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{len(claims.PremiseWords(r)), "remark on the attack", "remarks on the attack"},
		{len(invalidTrials(r.Summary)), "invalid trial", "invalid trials"},
		{len(warningLines(r.Summary)), "warning", "warnings"},
	} {
		switch part.n {
		case 0:
		case 1:
			hidden = append(hidden, "1 "+part.one)
		default:
			hidden = append(hidden, fmt.Sprintf("%d %s", part.n, part.many))
		}
	}
	if len(hidden) > 0 {
		text += "not shown: " + strings.Join(hidden, ", ") + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// briefTable returns the main table, and what of it has no room.
func briefTable(r *analysis.Report) (t Titled, hidden []string) {
	switch {
	case r.Searched():
		t = BreakingTable(r)
		t = t.without("attempts/s", "why")
	case r.Ladder():
		t = LadderTable(r)
	default:
		t = figuresBrief(r)
	}
	return t.first(briefRows)
}

// figuresBrief returns a table with the few figures that a catalogue has for it.
func figuresBrief(r *analysis.Report) Titled {
	shown := analysis.MetricsWhere(func(m *analysis.Metric) bool { return m.Brief != "" })
	several := len(r.Parts) > 1
	header := []any{"variant"}
	if several {
		header = append([]any{"load"}, header...)
	}
	first := len(header)
	for _, m := range shown {
		header = append(header, m.Brief)
	}
	t := NewTitled(analysis.Capital(r.Interval), first, header...)
	for _, p := range r.Parts {
		for _, v := range p.Summary.Measured() {
			row := table.Row{v.Name}
			if several {
				row = append(table.Row{p.Title()}, row...)
			}
			for _, m := range shown {
				row = append(row, m.Show(&v))
			}
			t.AppendRow(row)
		}
	}
	return t
}
