package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Text writes the report's tables for a terminal of so many columns; zero is as
// wide as they are.
func Text(w io.Writer, s *Summary, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s, scenario %s, seed %d: %s\n\n", s.Run, s.Scenario, s.Seed, s.Interval)
	for _, words := range s.premiseWords() {
		fmt.Fprintf(&b, "%s\n\n", words)
	}
	for _, t := range []titled{claimsTable(s), pairsTable(s), costTable(s), noiseTable(s), metricsTable(s), syscallsTable(s), requestsTable(s)} {
		if t.Length() == 0 {
			continue
		}
		fmt.Fprintln(&b, t.text(width))
	}
	for _, reason := range invalid(s) {
		fmt.Fprintf(&b, "invalid, not in the figures: %s\n", reason)
	}
	for _, o := range s.Outliers {
		fmt.Fprintf(&b, "outlier, in the figures: %s\n", o)
	}
	for _, warning := range warnings(s) {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// titled is a table with its title.
type titled struct {
	title string
	table.Writer
	below   []string // lines under the table
	numbers [2]int   // the first and the last column that is set to the right
	header  []string
	rows    [][]string
}

// text is the table with its title and the lines under it.
func (t *titled) text(width int) string {
	lines := append([]string{t.title, t.fit(width)}, t.below...)
	return strings.Join(lines, "\n") + "\n"
}

// newTable is a table whose columns after the first n are numbers.
func newTable(title string, n int, header ...any) titled {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	named := titled{title: title, Writer: t}
	for _, name := range header {
		named.header = append(named.header, fmt.Sprint(name))
	}
	named.rightAlign(n+1, len(header))
	return named
}

// claimsTable is the paper against measured, where the run was to have the two
// variants that the paper compares. The interval and the p-value have columns
// only where there is one.
func claimsTable(s *Summary) titled {
	const title = "Paper against measured (xdp-block against userspace-block)"
	t := newTable(title, 1, "claim", "paper", "measured", "paper's way", "verdict")
	t.rightAlign(2, 4)
	some := slices.ContainsFunc(s.Claims, func(c Claim) bool { return c.hasInterval() })
	if some {
		t = newTable(title, 1, "claim", "paper", "measured", "95 % interval", "p, corrected", "paper's way", "verdict")
		t.rightAlign(2, 6)
	}
	if !s.comparesAsThePaper() {
		return t
	}
	for _, c := range s.Claims {
		row := table.Row{c.ID, percent(c.Paper), bound(c.Measured)}
		if some {
			row = append(row, c.interval(), probability(c.PHolm))
		}
		t.AppendRow(append(row, bound(c.MeasuredPaperWay), string(c.Verdict)))
		if c.Caveat != "" {
			t.below = append(t.below, c.ID+": "+c.Caveat)
		}
	}
	return t
}

func percent(n Number) string {
	if !n.known() {
		return short(n)
	}
	digits := 1
	if n > -100 && n < -99.9 { // not to be rounded to "all of it"
		digits = 3
		for rounded := math.Pow10(-digits) / 2; digits < 6 && n+100 < Number(rounded); rounded /= 10 {
			digits++
		}
	}
	return fmt.Sprintf("%+.*f %%", digits, float64(n))
}

// metricsTable has a column for each variant.
func metricsTable(s *Summary) titled {
	have := s.measured()
	header := []any{"metric"}
	for _, v := range have {
		header = append(header, v.Name)
	}
	t := newTable("Figures by variant", 1, header...)
	trials := table.Row{"valid trials"}
	for _, v := range have {
		trials = append(trials, strconv.Itoa(v.Trials))
	}
	t.AppendRow(trials)
	for _, line := range metricLines() {
		row := table.Row{line.name}
		for _, v := range have {
			row = append(row, line.cell(&v))
		}
		t.AppendRow(row)
	}
	return t
}

type metricLine struct {
	name  string
	value func(*Metrics) Number
}

// cell is the value of a variant, with the interval where there is one.
func (l *metricLine) cell(v *Variant) string {
	value := short(l.value(v.Metrics))
	if v.Low == nil || math.IsNaN(float64(l.value(v.Low))) {
		return value
	}
	return fmt.Sprintf("%s [%s, %s]", value, short(l.value(v.Low)), short(l.value(v.High)))
}

// metricLines are the rows of the table by variant.
func metricLines() []metricLine {
	return []metricLine{
		{"throughput, harmonic mean of 1 s bins (requests/s)", func(m *Metrics) Number { return m.Throughput.Harmonic }},
		{"throughput, arithmetic mean", func(m *Metrics) Number { return m.Throughput.Arithmetic }},
		{"throughput, least bin", func(m *Metrics) Number { return m.Throughput.Min }},
		{"throughput, paper's estimator (5 s bins, empty ones dropped)", func(m *Metrics) Number { return m.Throughput.Paper }},
		{"sequential requests ok, of those scheduled (%)", func(m *Metrics) Number { return m.Throughput.CompletedShare * 100 }},
		{"recovery from the start of the attack (s)", func(m *Metrics) Number { return m.Recovery.OnsetS }},
		{"seconds below 90 % of the throughput before the attack", func(m *Metrics) Number { return m.Recovery.BelowS }},
		{"recovery, paper's way (5 s bin from the start)", func(m *Metrics) Number { return m.Recovery.PaperBin }},
		{"response time, harmonic mean (ms)", func(m *Metrics) Number { return m.Duration.Harmonic }},
		{"response time, median (ms)", func(m *Metrics) Number { return m.Duration.P50 }},
		{"response time, p95 (ms)", func(m *Metrics) Number { return m.Duration.P95 }},
		{"response time, p99 (ms)", func(m *Metrics) Number { return m.Duration.P99 }},
		{"response time before the attack, median (ms)", func(m *Metrics) Number { return m.Duration.Before.P50 }},
		{"response time during the attack, median (ms)", func(m *Metrics) Number { return m.Duration.During.P50 }},
		{"response time after the attack, median (ms)", func(m *Metrics) Number { return m.Duration.After.P50 }},
		{"service time, median (ms)", func(m *Metrics) Number { return m.Duration.Service.P50 }},
		{"service time, p99 (ms)", func(m *Metrics) Number { return m.Duration.Service.P99 }},
		{"handshake, median (ms)", func(m *Metrics) Number { return m.Duration.Phases.Handshake.P50 }},
		{"first byte, median (ms)", func(m *Metrics) Number { return m.Duration.Phases.FirstByte.P50 }},
		{"last byte, median (ms)", func(m *Metrics) Number { return m.Duration.Phases.Body.P50 }},
		{"CPU time per refusal in user space, mean (µs)", func(m *Metrics) Number { return m.BlockTime.CPUMeanUS }},
		{"CPU time per refusal in user space, median (µs)", func(m *Metrics) Number { return m.BlockTime.CPUMedianUS }},
		{"wall time per refusal in user space, mean (µs)", func(m *Metrics) Number { return m.BlockTime.WallMeanUS }},
		{"CPU clock's own cost per time measured (µs)", func(m *Metrics) Number { return m.BlockTime.EmptyCPUNS / 1e3 }},
		{"wall clock's own cost per time measured (µs)", func(m *Metrics) Number { return m.BlockTime.EmptyWallNS / 1e3 }},
		{"time per dropped packet in the kernel (ns)", func(m *Metrics) Number { return m.BlockTime.DropNS }},
		{"run loop's cost per packet, subtracted from it (ns)", func(m *Metrics) Number { return m.BlockTime.EmptyNS }},
		{"extra CPU time per client turned away (µs)", func(m *Metrics) Number { return m.BlockTime.ExtraPerTurnedAwayUS }},
		{"one clock tick per client turned away (µs)", func(m *Metrics) Number { return m.BlockTime.TickPerTurnedAwayUS }},
		{"server CPU, mean (%)", func(m *Metrics) Number { return m.CPU.Mean }},
		{"server CPU before the attack, mean (%)", func(m *Metrics) Number { return m.CPU.Parts.Before }},
		{"server CPU during the attack, mean (%)", func(m *Metrics) Number { return m.CPU.Parts.During }},
		{"server CPU after the attack, mean (%)", func(m *Metrics) Number { return m.CPU.Parts.After }},
		{"server CPU, median (%)", func(m *Metrics) Number { return m.CPU.P50 }},
		{"server CPU, p90 (%)", func(m *Metrics) Number { return m.CPU.P90 }},
		{"server CPU, p90, paper's estimator (normal distribution) (%)", func(m *Metrics) Number { return m.CPU.PaperP90 }},
		{"busy server CPUs with softirq, mean (%)", func(m *Metrics) Number { return m.BusyCPUs.Mean }},
		{"system calls per second before the attack", func(m *Metrics) Number { return m.Syscalls.PerSecond.Before }},
		{"system calls per second during the attack", func(m *Metrics) Number { return m.Syscalls.PerSecond.During }},
		{"system calls per second after the attack", func(m *Metrics) Number { return m.Syscalls.PerSecond.After }},
		{"server memory, p90 (MiB)", func(m *Metrics) Number { return m.MemoryBytes.P90 / (1 << 20) }},
		{"server memory, p90, paper's estimator (normal distribution) (MiB)", func(m *Metrics) Number { return m.MemoryBytes.PaperP90 / (1 << 20) }},
		{"server memory, p90 (% of the limit)", func(m *Metrics) Number { return m.Memory.P90 }},
		{"server memory, peak (MiB)", func(m *Metrics) Number { return m.MemoryBytes.Peak / (1 << 20) }},
		{"UDP receive-buffer errors", func(m *Metrics) Number { return m.UDP.RcvbufErrors }},
		{"the probe's own CPU time (% of the server's CPUs)", func(m *Metrics) Number { return m.Probe.CPUPercent }},
	}
}

// syscallsTable is table I.
func syscallsTable(s *Summary) titled {
	t := newTable("Table I: system calls of the server", 1, "variant", "calls", "errors", "time (s)", "calls per admitted", "calls per offered")
	for _, v := range s.measured() {
		c := v.Syscalls
		t.AppendRow(table.Row{v.Name, short(c.Calls), short(c.Errors), short(c.Seconds), short(c.PerAdmitted), short(c.PerOffered)})
	}
	return t
}

func requestsTable(s *Summary) titled {
	header := []any{"variant", "role"}
	for _, o := range record.Outcomes {
		header = append(header, string(o))
	}
	t := newTable("Requests by role and outcome", 2, header...)
	for _, v := range s.measured() {
		for _, role := range []string{results.RoleSequential, results.RoleParallel} {
			row := table.Row{v.Name, role}
			for _, o := range record.Outcomes {
				row = append(row, short(v.Requests[role][string(o)]))
			}
			t.AppendRow(row)
		}
	}
	return t
}

func attackTable(s *Summary) titled {
	t := newTable("The attack", 1, "variant", "scheduled (requests/s)", "achieved (requests/s)", "first start (s)", "last start (s)", "most in flight, one client", "started late")
	for _, v := range s.measured() {
		a := v.Attack
		t.AppendRow(table.Row{v.Name, short(a.ScheduledRPS), short(a.AchievedRPS), short(a.FirstStartS), short(a.LastStartS), short(a.PeakInFlight), short(a.Held)})
	}
	return t
}

func gatewayTable(s *Summary) titled {
	t := newTable("Packets at the gateway", 2, "variant", "reason", "packets")
	for _, v := range s.measured() {
		for _, reason := range slices.Sorted(maps.Keys(v.Gateway.Packets)) {
			t.AppendRow(table.Row{v.Name, reason, short(v.Gateway.Packets[reason])})
		}
	}
	return t
}

// invalid lists the trials that are kept but not in the figures, with reasons.
func invalid(s *Summary) []string {
	var list []string
	for _, t := range s.Trials {
		if !t.Valid {
			list = append(list, t.Name+": "+strings.Join(t.Reasons, "; "))
		}
	}
	return list
}

// warnings are those of the run and of its valid trials.
func warnings(s *Summary) []string {
	list := slices.Clone(s.Warnings)
	for _, t := range s.Trials {
		for _, w := range t.Warnings {
			list = append(list, t.Name+": "+w)
		}
	}
	return list
}

// short is a number for reading: three or more digits, thousands set apart.
func short(n Number) string {
	v := float64(n)
	switch size := math.Abs(v); {
	case !n.known():
		return "–"
	case size >= 100 || v == math.Trunc(v):
		return humanize.Comma(int64(math.Round(v)))
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func mebibytes(bytes Number) string { return short(bytes/(1<<20)) + " MiB" }
