package tables

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/results"
)

// Text writes the report's tables for a terminal with that many columns; zero means no
// limit.
func Text(w io.Writer, r *analysis.Report, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s, scenario %s, seed %d: %s\n\n", r.Run, r.Scenario, r.Seed, r.Interval)
	for _, words := range claims.PremiseWords(r) {
		fmt.Fprintf(&b, "%s\n\n", words)
	}
	judged := ClaimsTable(r.Summary)
	judged.below = ClaimsNotes(r.Summary)
	breaking := BreakingTable(r)
	breaking.below = BreakingWords(r)
	ladder := LadderTable(r)
	ladder.below = plainWords(LadderWords(r))
	all := []Titled{judged, breaking, ladder, ladderCostTable(r), neighbourTable(r)}
	if servers := serversTable(r); servers.Length() > 1 {
		all = append(all, servers)
	}
	for _, p := range r.Parts {
		for _, t := range textTables(p.Summary) {
			all = append(all, t.forCell(p))
		}
	}
	for _, t := range all {
		if t.Length() > 0 {
			fmt.Fprintln(&b, t.text(width))
		}
	}
	for _, reason := range invalidTrials(r.Summary) {
		fmt.Fprintf(&b, "invalid, not in the figures: %s\n", reason)
	}
	for _, o := range r.Outliers {
		fmt.Fprintf(&b, "outlier, in the figures: %s\n", o)
	}
	for _, warning := range warningLines(r.Summary) {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// textTables returns the tables of a cell.
func textTables(s *analysis.Summary) []Titled {
	if len(s.BreakingPoints) > 0 {
		return []Titled{attackTrialsTable(s)}
	}
	return []Titled{
		pairsTable(s), costTable(s), noiseTable(s), metricsTable(s), syscallsTable(s), requestsTable(s),
	}
}

// metricsTable returns a table with a column for each variant, and a row for each figure that one
// of them has.
func metricsTable(s *analysis.Summary) Titled {
	have := s.Measured()
	header := []any{"metric"}
	for _, v := range have {
		header = append(header, v.Name)
	}
	t := NewTitled("Figures by variant", 1, header...)
	trials := table.Row{"valid trials"}
	for _, v := range have {
		trials = append(trials, strconv.Itoa(v.Trials))
	}
	t.AppendRow(trials)
	known := func(m *analysis.Metric) bool {
		return slices.ContainsFunc(have, func(v analysis.Variant) bool { return !math.IsNaN(float64(m.Value(v.Metrics))) })
	}
	for _, m := range analysis.MetricsWhere(func(m *analysis.Metric) bool { return m.Row != "" && known(m) }) {
		row := table.Row{m.Row}
		for _, v := range have {
			row = append(row, valueCell(m, &v))
		}
		t.AppendRow(row)
	}
	return t
}

// valueCell returns the value of a variant, with the interval if there is one, and the number of
// trials that have a value if these are not all.
func valueCell(m *analysis.Metric, v *analysis.Variant) string {
	value := m.Show(v)
	if v.Low != nil && !math.IsNaN(float64(m.Value(v.Low))) {
		value += " " + m.ShowEnds(v)
	}
	n := v.CountTrials(func(t *analysis.Metrics) bool { return !math.IsNaN(float64(m.Value(t))) })
	if n > 0 && n < v.Trials {
		value += fmt.Sprintf(" (%d of %d)", n, v.Trials)
	}
	return value
}

// syscallsTable returns table I.
func syscallsTable(s *analysis.Summary) Titled {
	t := NewTitled("Table I: system calls of the server", 1, "variant", "calls", "errors", "time (s)",
		"calls per admitted", "calls per offered")
	for _, v := range s.Measured() {
		c := v.Syscalls
		t.AppendRow(table.Row{
			v.Name, c.Calls.Short(), c.Errors.Short(), c.Seconds.Short(), c.PerAdmitted.Short(),
			c.PerOffered.Short(),
		})
	}
	return t
}

func requestsTable(s *analysis.Summary) Titled {
	header, outcomes := []any{"variant", "role"}, shownOutcomes(s)
	for _, o := range outcomes {
		header = append(header, string(o))
	}
	t := NewTitled("Requests by role and outcome", 2, header...)
	for _, v := range s.Measured() {
		for _, role := range []string{results.RoleSequential, results.RoleParallel} {
			row := table.Row{v.Name, role}
			for _, o := range outcomes {
				row = append(row, v.Requests[role][string(o)].Short())
			}
			t.AppendRow(row)
		}
	}
	return t
}

// shownOutcomes returns all outcomes, without local failures if there were none.
func shownOutcomes(s *analysis.Summary) []record.Outcome {
	return slices.DeleteFunc(slices.Clone(record.Outcomes), func(o record.Outcome) bool {
		return o == record.Local && !slices.ContainsFunc(s.Measured(), func(v analysis.Variant) bool {
			_, counted := v.Requests[results.RoleSequential][string(o)]
			return counted
		})
	})
}

func attackTable(s *analysis.Summary) Titled {
	t := NewTitled("The attack", 1, "variant", "scheduled (requests/s)", "achieved (requests/s)", "first start (s)",
		"last start (s)", "most in flight, one client", "started late")
	for _, v := range s.Measured() {
		a := v.Attack
		t.AppendRow(table.Row{
			v.Name, a.ScheduledRPS.Short(), a.AchievedRPS.Short(), a.FirstStartS.Short(),
			a.LastStartS.Short(), a.PeakInFlight.Short(), a.Held.Short(),
		})
	}
	return t
}

func gatewayTable(s *analysis.Summary) Titled {
	t := NewTitled("Packets at the gateway", 2, "variant", "reason", "packets")
	for _, v := range s.Measured() {
		for _, reason := range slices.Sorted(maps.Keys(v.Gateway.Packets)) {
			t.AppendRow(table.Row{v.Name, reason, v.Gateway.Packets[reason].Short()})
		}
	}
	return t
}

// invalidTrials lists the trials that are kept but not in the figures, with reasons.
func invalidTrials(s *analysis.Summary) []string {
	var list []string
	for _, t := range s.Trials {
		if !t.Valid {
			list = append(list, t.Name+": "+strings.Join(t.Reasons, "; "))
		}
	}
	return list
}
