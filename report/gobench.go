package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// GoBench writes the figures of each valid trial in the Go benchmark format
// (https://go.dev/design/14313-benchmark-format), for benchstat: a line for each
// trial, named by its variant. Times are in seconds and sizes in bytes, which
// benchstat scales. A value that was not measured is left out.
//
// benchstat compares only where all configuration is the same, so that holds
// what must be alike for a comparison to mean something. What a comparison may
// be about (the version) or is of one run (its name) stands in a comment.
func GoBench(w io.Writer, s *Summary) error {
	b := new(bytes.Buffer)
	m := s.manifest
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
	for _, u := range benchUnits() {
		fmt.Fprintf(b, "Unit %s better=%s\n", u.name, u.better)
	}
	for _, v := range s.Variants {
		for _, trial := range v.trials {
			b.WriteString(benchLine(v.Name, trial))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// benchLine is one trial; empty where nothing was measured.
func benchLine(variant string, m *Metrics) string {
	var values strings.Builder
	for _, u := range benchUnits() {
		if v := u.value(m); v.known() {
			fmt.Fprintf(&values, " %s %s", v, u.name)
		}
	}
	if values.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("BenchmarkTrial/variant=%s 1%s\n", variant, values.String())
}

// benchUnit is one figure of a trial, as docs/method.md defines it.
type benchUnit struct {
	name   string
	better string // "higher" or "lower"
	value  func(*Metrics) Number
}

func benchUnits() []benchUnit {
	const higher, lower = "higher", "lower"
	return []benchUnit{
		{"requests/s", higher, func(m *Metrics) Number { return m.Throughput.Harmonic }},
		{"mean-requests/s", higher, func(m *Metrics) Number { return m.Throughput.Arithmetic }},
		{"recovery-sec", lower, recoveryTime},
		{"p50-response-sec", lower, func(m *Metrics) Number { return m.Duration.P50 / 1e3 }},
		{"p99-response-sec", lower, func(m *Metrics) Number { return m.Duration.P99 / 1e3 }},
		{"p50-response-in-attack-sec", lower, func(m *Metrics) Number { return m.Duration.During.P50 / 1e3 }},
		{"block-sec", lower, func(m *Metrics) Number { return m.BlockTimeUS / 1e6 }},
		{"extra-CPU-sec/turned-away", lower, func(m *Metrics) Number { return m.BlockTime.ExtraPerTurnedAwayUS / 1e6 }},
		{"server-CPU-%", lower, func(m *Metrics) Number { return m.CPU.Mean }},
		{"server-CPU-in-attack-%", lower, func(m *Metrics) Number { return m.CPU.Parts.During }},
		{"syscalls", lower, func(m *Metrics) Number { return m.Syscalls.Calls }},
		{"syscalls-in-attack/s", lower, func(m *Metrics) Number { return m.Syscalls.PerSecond.During }},
		{"p90-RSS-B", lower, func(m *Metrics) Number { return m.MemoryBytes.P90 }},
		{"peak-RSS-B", lower, func(m *Metrics) Number { return m.MemoryBytes.Peak }},
	}
}

// oneLine is text without ends of line, which would begin another key.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
