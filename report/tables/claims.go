package tables

import (
	"fmt"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// ClaimsTable returns the paper's values against the measured ones. It has no rows if
// the run was not meant to have the variants that its claims compare.
func ClaimsTable(s *analysis.Summary) Titled {
	t := NewTitled(s.Paper+": paper against measured", 1, "claim", "paper", "paper's instrument", "measured", "verdict")
	t.rightAlign(2, 4)
	for i := range s.Claims {
		c := &s.Claims[i]
		measured := c.ShowMeasured()
		if interval := c.ShowInterval(); interval != "" {
			measured += " [" + interval + "]"
		}
		t.AppendRow(table.Row{c.Label, c.ShowPaper(), c.Show(c.Instrument), measured, string(c.Verdict)})
	}
	return t
}

// ClaimsNotes returns the notes for the table of the claims, a line each: what was not
// run, how many blocks a verdict needs, and what the paper's instrument does.
func ClaimsNotes(s *analysis.Summary) []string {
	var notes []string
	if note := blocksNote(s); note != "" {
		notes = append(notes, note)
	}
	lacks := map[string][]string{}
	var order []string
	for _, c := range s.Claims {
		if c.Verdict != analysis.NotRun {
			continue
		}
		if lacks[c.Reason] == nil {
			order = append(order, c.Reason)
		}
		lacks[c.Reason] = append(lacks[c.Reason], c.Label)
	}
	for _, reason := range order {
		notes = append(notes, "Not run, "+reason+": "+analysis.Sentence(lacks[reason]))
	}
	for _, c := range s.Claims {
		if c.Caveat != "" {
			notes = append(notes, c.Label+": "+c.Caveat)
		}
	}
	about := ", the paper's instrument: "
	if !slices.ContainsFunc(s.Claims, func(c analysis.Claim) bool { return c.Instrument.Known() }) {
		about = ": " // the file has no instrument
	}
	for _, c := range s.Claims {
		note := c.ID + about + c.InstrumentNote
		if c.Verdict != analysis.NotRun && !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	return notes
}

// blocksNote describes how many blocks a verdict needs, and why.
func blocksNote(s *analysis.Summary) string {
	tests := 0
	for _, c := range s.Claims {
		if c.Verdict != analysis.NotRun {
			tests++
		}
	}
	if tests == 0 {
		return ""
	}
	return fmt.Sprintf("A verdict needs %d blocks: with fewer, no p-value can be below 0.05 after Holm's correction for "+
		"all tests (%d); this run has %d", s.BlocksNeeded, tests, s.Blocks)
}

// ClaimsWords describes how the claims are stated and judged.
func ClaimsWords() []string {
	return []string{
		"Each claim is put in the paper's unit: the change in % from one variant to the other, or a share of the time " +
			"of one variant. The paper's instrument is what the paper's way to measure gives for the same trials: it " +
			"explains the paper's value, and decides nothing. In brackets: the 95 % interval. A change is the typical " +
			"ratio of two trials of a block, so it can differ from that of the two figures; its interval and p-value are " +
			"of the exact signed-rank test, and p is corrected by Holm for all claims.",
		"*Consistent*: the interval contains the paper's value, or the estimate is within the claim's tolerance. " +
			"*Stronger* and *weaker*: in the same direction, but not of that size. *Contradicted*: the whole interval is " +
			"on the other side of zero. *Unsure*: the interval includes zero change, the corrected p is 0.05 or more, " +
			"or a premise is not met. *Estimate only*: too few blocks for a verdict. *Not run*: the run does not have the " +
			"experiment, or a variant.",
	}
}
