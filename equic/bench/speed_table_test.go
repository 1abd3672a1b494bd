package bench

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	prettytext "github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"
)

// speedTable is the output of `make bench-gateway`, as Markdown.
type speedTable struct {
	rows []table.Row
	// base are the medians of Algorithm 1 in a section, by case: including the empty
	// program, and without it.
	base map[string][2]float64
}

// section starts a group of rows.
func (s *speedTable) section(name string) {
	s.base = make(map[string][2]float64)
	s.rows = append(s.rows, table.Row{"**" + name + "**"})
}

// addPrograms records the times of the programs on one packet.
func (s *speedTable) addPrograms(c speedCase, row [columns]spread) {
	empty := row[emptyColumn].median
	s.base[c.name] = [2]float64{row[algorithm1].median, row[algorithm1].median - empty}
	against := c.against
	if against == "" {
		against = c.name
	}
	cells := table.Row{c.name, "ns", nanoseconds(row[emptyColumn])}
	for _, i := range []column{algorithm1, clockless, oursClient, oursNew} {
		cells = append(cells, nanoseconds(row[i].less(empty)))
	}
	for _, i := range []column{oursClient, oursNew} {
		cells = append(cells, ratioCell(row[i].median, empty, s.base[against], c.goals[i]))
	}
	s.rows = append(s.rows, cells)
}

// add records a figure of our program only.
func (s *speedTable) add(name, unit string, value spread, goal float64) {
	cell := nanoseconds(value)
	if unit == "s" {
		cell = fmt.Sprintf("%.2f (%.2f–%.2f)", value.median, value.q1, value.q3)
	}
	verdict := ""
	if goal != noGoal {
		verdict = fmt.Sprintf("goal %g %s: %s", goal, unit, goalMet(value.median, goal))
	}
	s.rows = append(s.rows, table.Row{name, unit, "", "", "", cell, cell, verdict, verdict})
}

// addShare records a figure of our program with limits, relative to the figure without.
func (s *speedTable) addShare(name string, with, without float64, unit string, goal float64) {
	share := fmt.Sprintf("%.2f", with/without)
	if goal != noGoal {
		share = fmt.Sprintf("%s, goal %.2f: %s", share, goal, goalMet(with/without, goal))
	}
	cell := fmt.Sprintf("%.2f of %.2f", with, without)
	s.rows = append(s.rows, table.Row{name, unit, "", "", "", "", cell, "", share})
}

// addMemory records the memory of maps, in MiB.
func (s *speedTable) addMemory(name string, algorithm1, ours float64) {
	baseline, cell := fmt.Sprintf("%.1f", algorithm1), fmt.Sprintf("%.1f", ours)
	times := fmt.Sprintf("%.2f", ours/algorithm1)
	s.rows = append(s.rows, table.Row{name, "MiB", "", baseline, baseline, cell, cell, times, times})
}

func nanoseconds(s spread) string {
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s.median, s.q1, s.q3)
}

// ratioCell returns the ratio of a program's time to Algorithm 1's: of the totals, and
// in brackets of the programs alone. A goal is met only if both meet it.
func ratioCell(total, empty float64, base [2]float64, goal float64) string {
	of, alone := total/base[0], (total-empty)/base[1]
	cell := fmt.Sprintf("%.2f [%.2f]", of, alone)
	if goal == noGoal {
		return cell
	}
	return fmt.Sprintf("%s, goal %.2f: %s", cell, goal, goalMet(max(of, alone), goal))
}

func goalMet(value, goal float64) string {
	if value <= goal {
		return "met"
	}
	return "MISSED"
}

// String returns the table with the explanations that a reader needs.
func (s *speedTable) String() string {
	w := table.NewWriter()
	w.AppendHeader(table.Row{
		"", "unit", "empty program", "Algorithm 1", "the same without its clock",
		"ours, `client`", "ours, `new`", "`client` to Algorithm 1", "`new` to Algorithm 1",
	})
	w.AppendRows(s.rows)
	configs := make([]table.ColumnConfig, 0, columns)
	for i := 3; i <= 7; i++ {
		configs = append(configs, table.ColumnConfig{Number: i, Align: prettytext.AlignRight})
	}
	w.SetColumnConfigs(configs)
	return w.RenderMarkdown() + "\n\n" + s.notes()
}

func (s *speedTable) notes() string {
	return strings.Join([]string{
		speedMachine() + ".",
		fmt.Sprintf("Programs: median (quartiles) of %d bursts (BPF_PROG_TEST_RUN) of %s runs, or %s where each packet has",
			speedBursts, thousands(runsPerBurst), thousands(rotatedRuns)),
		"another client; the programs in turn, on one CPU. The empty program's median is taken off the others. Ratios are of",
		"the totals that the kernel reports, with the empty program in both, and in brackets of the programs alone; a " +
			"goal is",
		"met by both. Algorithm 1 passes IPv6 and VLAN unread: there, the ratio is to its time for the same packet in " +
			"plain IPv4.",
		fmt.Sprintf("Inc and Dec: median (quartiles) of %d rounds of %s pairs on %d clients. Clients that come: of %d "+
			"rounds.", countRounds, thousands(countPairs), countClients, insertRounds),
	}, "\n") + "\n"
}

// speedMachine describes the machine of the figures.
func speedMachine() string {
	var name unix.Utsname
	kernel := "Linux"
	if unix.Uname(&name) == nil {
		kernel += " " + unix.ByteSliceToString(name.Release[:])
	}
	return fmt.Sprintf("%s, %d CPUs, %s, %s", kernel, runtime.NumCPU(), processor(), runtime.Version())
}

// processor returns the CPU's name as the kernel reports it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// thousands formats a number with thousands separators.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
