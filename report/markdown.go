package report

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/stats"
)

// markdown is report.md.
func markdown(s *Summary, figures []*figure) []byte {
	b := new(page)
	b.printf("# eQUIC: %s\n\n", s.Scenario)
	b.printf("Run `%s`, seed %d, started %s. %s.\n\n", s.Run, s.Seed, s.manifest.Started.UTC().Format(time.RFC3339), capital(s.Interval))
	if s.comparesAsThePaper() {
		b.claims(s)
	}
	b.figures(figures)
	if len(s.Pairs) > 0 {
		b.table(pairsTable(s))
		b.printf("By the figure of each claim, from \"against\" to \"variant\"; p is corrected by Holm for all pairs of one metric. More and less are said only where the interval excludes no change.\n\n")
	}
	b.arms(s)
	b.table(metricsTable(s))
	b.notes(s)
	b.table(syscallsTable(s))
	b.printf("The paper's table I has 77,551 calls, 562 errors and 2.936784 s without eQUIC, and 8,178, 26 and 0.312806 s with it, counted over the whole system. Here only the server's own calls count. Its time is CPU time, as `strace -c` counts it: waiting is not in it.\n\n")
	b.syscallNames(s)
	b.table(requestsTable(s))
	b.table(attackTable(s))
	b.printf("The achieved rate is what the clients really started; their CPUs can be the limit.\n\n")
	if t := gatewayTable(s); t.Length() > 0 {
		b.table(t)
	}
	b.checks(s)
	b.limits()
	b.what(s)
	b.reproduce(s)
	return b.Bytes()
}

// page collects Markdown.
type page struct{ bytes.Buffer }

func (b *page) printf(format string, args ...any) { fmt.Fprintf(b, format, args...) }

func (b *page) table(t titled) { b.printf("## %s\n\n%s\n\n", t.title, t.RenderMarkdown()) }

func (b *page) list(items []string) {
	for _, item := range items {
		b.printf("- %s\n", item)
	}
	b.printf("\n")
}

func (b *page) claims(s *Summary) {
	b.table(claimsTable(s))
	b.printf("The paper's \"without eQUIC\" is the version that blocks in user space, so every claim compares xdp-block to userspace-block. ")
	b.printf("Each is put as the change in %% from the latter to the former. Paper's way: by the paper's own estimator, where it has one.\n\n")
	if slices.ContainsFunc(s.Claims, func(c Claim) bool { return c.hasInterval() }) {
		b.printf("The change is that of ratios paired by block, its typical value over the blocks, so it can differ from that of the two figures. Its interval and p-value are of the exact signed-rank test; p is corrected by Holm for all claims. A direction is claimed only where the interval excludes no change.\n\n")
	}
	var why []string
	for _, c := range s.Claims {
		line := fmt.Sprintf("**%s** (%s): %s. *%s*: %s.", c.ID, c.Where, c.Statement, c.Verdict, c.Reason)
		if c.Note != "" {
			line += " (" + c.Note + ")"
		}
		why = append(why, line)
	}
	b.list(why)
}

func (b *page) figures(figures []*figure) {
	b.printf("## Figures\n\n")
	for _, f := range figures {
		b.printf("![%s](%s.svg)\n\nAs [PNG](%s.png); its data: [%s.csv](%s.csv).\n\n", f.title, f.name, f.name, f.name, f.name)
	}
}

// notes says over which window and of what the figures are.
func (b *page) notes(s *Summary) {
	end := "each trial's last sequential request (closed loop)"
	if s.Window.LoadEndS.known() {
		end = "the scheduled end of the sequential load at " + short(s.Window.LoadEndS) + " s"
	}
	memory := "no memory limit was set, so memory is in bytes only"
	if s.Window.MemoryBytes > 0 {
		memory = "memory is in % of the server's limit of " + mebibytes(Number(s.Window.MemoryBytes))
	}
	b.list(append(bracketsNote(s.Blocks),
		"Throughput, CPU and memory are of the window from the epoch to "+end+".",
		fmt.Sprintf("CPU is the server process's CPU time, user and system, in %% of its %d CPU(s); %s.", max(1, s.Window.CPUs), memory),
		"Response time is from the intended start, service time from the actual one; both are of ok requests of the sequential clients.",
		"A percentile is given only where the sample supports it: p99 needs 441 requests, p95 needs 89, the median 9.",
		"Extra CPU time per client turned away is the busy time of the server's CPUs, softirq included, from the first to the last start of the attack, beyond the rate of the quiet time before it, by requests of the attack that were not served. It includes serving those that were, and is too small where the sequential clients got less served than before.",
		"A dash is a value that was not measured, does not exist, or, for a recovery, did not happen.",
	))
}

// bracketsNote says what the brackets behind a median of so many trials are;
// nothing where there are none.
func bracketsNote(trials int) []string {
	if trials < fewestBlocks {
		return nil
	}
	low, high, coverage := stats.QuantileOrders(trials, 0.5, confidence)
	return []string{fmt.Sprintf("In brackets: the 95 %% interval of the median over the trials. Of %d values it is number %d and number %d by size, which covers exactly %s %%.",
		trials, low, high, short(Number(coverage*100)))}
}

// syscallNames lists the most frequent system calls.
func (b *page) syscallNames(s *Summary) {
	var items []string
	for _, v := range s.measured() {
		names := slices.SortedFunc(maps.Keys(v.Syscalls.ByName), func(x, y string) int {
			if a, c := v.Syscalls.ByName[x].Calls, v.Syscalls.ByName[y].Calls; a != c {
				return int(c - a)
			}
			return strings.Compare(x, y)
		})
		var top []string
		for _, name := range names[:min(6, len(names))] {
			top = append(top, fmt.Sprintf("`%s` %s", name, short(v.Syscalls.ByName[name].Calls)))
		}
		if len(top) > 0 {
			items = append(items, fmt.Sprintf("%s, most frequent: %s", v.Name, strings.Join(top, ", ")))
		}
	}
	if len(items) > 0 {
		b.list(items)
	}
}

// checks says which trials count, and why the others do not.
func (b *page) checks(s *Summary) {
	b.printf("## Validity\n\n| trial | valid | checks passed | why not |\n|:--- |:--- | ---:|:--- |\n")
	for _, t := range s.Trials {
		passed := 0
		for _, c := range t.Checks {
			if c.OK {
				passed++
			}
		}
		valid := "yes"
		if !t.Valid {
			valid = "no"
		}
		b.printf("| %s | %s | %d of %d | %s |\n", t.Name, valid, passed, len(t.Checks), cell(strings.Join(t.Reasons, "; ")))
	}
	b.printf("\nAn invalid trial is kept with its records and is in no figure.\n\n")
	if len(s.Outliers) > 0 {
		b.printf("Valid trials that are far from the others of their variant, by the median absolute deviation. They stay in every figure:\n\n")
		var far []string
		for _, o := range s.Outliers {
			far = append(far, o.String())
		}
		b.list(far)
	}
	if w := warnings(s); len(w) > 0 {
		b.printf("Warnings:\n\n")
		b.list(w)
	}
}

func (b *page) limits() {
	b.printf("## Known limits\n\n")
	b.list([]string{
		"On a veth pair a packet is already a socket buffer when native XDP sees it, and the sender's CPU does the receive work: what blocking in the kernel costs is charged in part to the clients' CPUs.",
		"Generic XDP sees packets before they are segmented, so its drop counts cannot be compared to those of native mode.",
		"Server and clients share one machine. Ratios between variants hold; absolute figures are this machine's.",
		"A client costs about as much CPU as the server, so without blocking the attackers saturate their own CPUs too: compare scheduled and achieved rate.",
		"Requests of one trial are not independent. The replicate is the trial, and below six blocks no 95 % interval exists for a median.",
	})
}

// what says what was run on what.
func (b *page) what(s *Summary) {
	m, e := s.manifest, &s.manifest.Experiment
	b.printf("## What was run, on what\n\n| | |\n|:--- |:--- |\n")
	for _, row := range [][2]string{
		{"sequential clients", loadWords(e.Sequential)},
		{"parallel clients", loadWords(e.Parallel)},
		{"response", fmt.Sprintf("%s bytes, quota %d connections per client", short(Number(e.BodyBytes)), e.Quota)},
		{"CPUs", fmt.Sprintf("server %v, clients %v", e.ServerCPUs, e.ClientCPUs)},
		{"key of the server's certificate", e.ServerKey},
		{"XDP mode", e.XDPMode},
		{"machine", fmt.Sprintf("%s, %d CPUs, %s of memory", m.Machine.CPUModel, m.Machine.CPUs, mebibytes(Number(m.Machine.MemoryBytes)))},
		{"kernel", strings.TrimSpace(m.Machine.OS + " " + m.Machine.Kernel + " " + m.Machine.Arch)},
		{"runtime", strings.TrimSpace(m.Runtime.Name + " " + m.Runtime.Version)},
		{"equic-bench", strings.TrimSpace(m.Version + " " + m.Go)},
		{"scenario", fmt.Sprintf("%s, SHA-256 `%s`", m.Scenario, m.ScenarioSHA256)},
	} {
		b.printf("| %s | %s |\n", row[0], cell(row[1]))
	}
	b.printf("\nThe rest, with the digests of all binaries and the versions of all modules, is in `../%s`.\n\n", results.ManifestFile)
}

func loadWords(l results.Load) string {
	rate := "one after the other"
	if l.RatePerSecond > 0 {
		rate = fmt.Sprintf("at %g/s", l.RatePerSecond)
	}
	return fmt.Sprintf("%d, each %d requests %s, from %g s", l.Clients, l.Requests, rate, seconds(l.DelayNS))
}

func (b *page) reproduce(s *Summary) {
	command := slices.Clone(s.manifest.Command)
	if len(command) == 0 {
		command = []string{"equic-bench", "run", "scenarios/" + s.Scenario + ".yaml"}
	}
	command[0] = filepath.Base(command[0])
	if !slices.ContainsFunc(command, func(arg string) bool { return strings.HasPrefix(arg, "--seed") }) {
		command = append(command, "--seed", fmt.Sprint(s.Seed))
	}
	b.printf("## To reproduce\n\n```sh\n%s\n```\n\n", strings.Join(command, " "))
	b.printf("This report alone, from the records that are here: `equic-bench report %s`.\n", s.Run)
}

// cell makes text fit for a cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
