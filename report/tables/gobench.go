package tables

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// GoBench writes the figures of each valid trial in the Go benchmark format
// (https://go.dev/design/14313-benchmark-format), for benchstat: a line for each trial,
// named by its variant. Times are in seconds and sizes in bytes, which benchstat
// scales. Missing values are left out.
//
// benchstat compares only results with equal configuration. So the configuration
// contains what must be equal for a meaningful comparison. The possible subject of a
// comparison (the version) and the identity of a run (its name) are in a comment.
func GoBench(w io.Writer, r *analysis.Report) error {
	b, s := new(bytes.Buffer), r.Summary
	m := s.Manifest
	fmt.Fprintf(b, "# equic-bench %s, run %s, seed %d\n", oneLine(m.Version), oneLine(s.Run), s.Seed)
	for _, c := range [][2]string{
		{"goos", "linux"},
		{"goarch", m.Machine.Arch},
		{"cpu", m.Machine.CPUModel},
		{"kernel", m.Machine.Kernel},
		{"runtime", m.Runtime.Name},
		{"scenario", m.Scenario},
		{"scenario-sha256", m.ScenarioSHA256},
	} {
		if value := oneLine(c[1]); value != "" {
			fmt.Fprintf(b, "%s: %s\n", c[0], value)
		}
	}
	for _, m := range benchMetrics() {
		fmt.Fprintf(b, "Unit %s better=%s\n", m.Bench, m.Better)
	}
	for _, p := range r.Parts {
		name := ""
		if p.Cell.Name != "" {
			name = "/cell=" + p.Cell.Name
		}
		for _, v := range p.Summary.Variants {
			for _, trial := range v.TrialMetrics {
				b.WriteString(benchLine(name+"/variant="+v.Name, trial))
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// benchLine returns the line of one trial; empty if nothing was measured.
func benchLine(name string, trial *analysis.Metrics) string {
	var values strings.Builder
	for _, m := range benchMetrics() {
		if v := m.Value(trial) / analysis.Number(cmp.Or(m.BenchPer, 1)); v.Known() {
			fmt.Fprintf(&values, " %s %s", v, m.Bench)
		}
	}
	if values.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("BenchmarkTrial%s 1%s\n", name, values.String())
}

// benchMetrics returns the metrics for benchstat.
func benchMetrics() []*analysis.Metric {
	return analysis.MetricsWhere(func(m *analysis.Metric) bool { return m.Bench != "" })
}

// oneLine returns text without line breaks, which would begin another key.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
