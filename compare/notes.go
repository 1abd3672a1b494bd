package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/stats"
)

// notes returns notes about what the rows do not contain, and cannot show.
func (c *Comparison) notes(base, fresh *analysed) []string {
	notes := []string{}
	for _, only := range []struct {
		run, other string
		in, notIn  *analysed
	}{{"BASE", "NEW", base, fresh}, {"NEW", "BASE", fresh, base}} {
		for _, name := range only.in.names() {
			if !slices.Contains(only.notIn.names(), name) {
				notes = append(notes, fmt.Sprintf("%s is in %s only, so it is not compared", name, only.run))
			}
		}
	}
	for _, run := range []struct {
		name string
		side Side
	}{{"BASE", c.Base}, {"NEW", c.New}} {
		if run.side.Invalid > 0 {
			notes = append(notes, fmt.Sprintf("%s has %d invalid of %d trials, which are in no figure", run.name,
				run.side.Invalid, run.side.Invalid+run.side.Trials))
		}
	}
	if few := c.tooFew(); few != "" {
		notes = append(notes, few)
	}
	return append(notes, "even one machine varies between runs: compare two of the same binaries too, to see what "+
		"that alone changes")
}

// tooFew returns a note if no row can be changed, however large its change is.
func (c *Comparison) tooFew() string {
	least, tests := 1.0, len(c.Rows)
	for i := range c.Rows {
		r := &c.Rows[i]
		if r.BaseTrials > 0 && r.NewTrials > 0 {
			least = min(least, stats.LeastRankSum(r.NewTrials, r.BaseTrials))
		}
	}
	if least*float64(tests) <= level+rounding {
		return ""
	}
	enough := 1
	for stats.LeastRankSum(enough, enough)*float64(tests) > level+rounding {
		enough++
	}
	return fmt.Sprintf("too few trials for a significant change in any of %s, however large: run %d of each variant in "+
		"both, or choose fewer --metrics",
		plural(tests, "row"), enough)
}

// unsure returns the reasons of the unsure rows, each with its rows.
func (c *Comparison) unsure() []string {
	var reasons []string
	where := map[string][]string{}
	for _, r := range c.Rows {
		if r.State != Unsure {
			continue
		}
		if where[r.Reason] == nil {
			reasons = append(reasons, r.Reason)
		}
		where[r.Reason] = append(where[r.Reason], r.Metric+" of "+r.Variant)
	}
	for i, reason := range reasons {
		reasons[i] = reason + ": " + strings.Join(where[reason], ", ")
	}
	return reasons
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
