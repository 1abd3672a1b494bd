package tables

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/stats"
)

// Section is a table and its explanation: the same in report.md and in report.html. Its
// text may contain `code`, *emphasis* and **weight**.
type Section struct {
	Titled
	After []string // paragraphs under the table
	Items []string // a list under them
}

// Sections returns all tables except that of the claims, in the order of the report,
// cell by cell. Tables without a row are left out.
func Sections(r *analysis.Report) []Section {
	all := []Section{
		{Titled: BreakingTable(r), After: BreakingWords(r)},
		{Titled: LadderTable(r), After: LadderWords(r)},
		{Titled: serversTable(r), After: serversWords()},
		{Titled: ladderCostTable(r)},
		{Titled: neighbourTable(r), After: []string{"These clients are honest, and share the address of an attacker. The " +
			"policy `client` turns the whole address away; `new` only new connections above its quota."}},
	}
	for _, p := range r.Parts {
		for _, s := range sectionsOf(p.Summary) {
			s.Titled = s.forCell(p)
			all = append(all, s)
		}
	}
	return slices.DeleteFunc(all, func(of Section) bool { return of.Length() == 0 })
}

func sectionsOf(s *analysis.Summary) []Section {
	if len(s.BreakingPoints) > 0 {
		return []Section{{Titled: attackTrialsTable(s)}}
	}
	return slices.Concat([]Section{
		{Titled: pairsTable(s), After: []string{"By each headline figure, from \"against\" to \"variant\"; p is corrected " +
			"by Holm for all pairs of one metric. The verdict is more or less only if the interval excludes zero change."}},
	}, armSections(s), []Section{
		{Titled: metricsTable(s), Items: notes(s)},
		{
			Titled: syscallsTable(s),
			After:  []string{"The paper's table I has 77,551 calls, 562 errors and 2.936784 s without eQUIC, and 8,178, 26 and 0.312806 s with it, counted over the whole system. Here only the server's own calls count. Its time is CPU time, as `strace -c` counts it: waiting is not in it."},
			Items:  syscallNames(s),
		},
		{Titled: requestsTable(s)},
		{Titled: attackTable(s), After: []string{"The achieved rate is what the clients really started; their CPUs can be " +
			"the limit."}},
		{Titled: gatewayTable(s)},
	})
}

// notes describes the window of the figures, and what their percentages refer to.
func notes(s *analysis.Summary) []string {
	end := "the end of each trial's load (closed loop)"
	if s.Window.LoadEndS.Known() {
		end = "the scheduled end of the sequential load at " + s.Window.LoadEndS.Short() + " s"
	}
	memory := "no memory limit was set, so memory is in bytes only"
	if s.Window.MemoryBytes > 0 {
		memory = "memory is in % of the server's limit of " + analysis.Number(s.Window.MemoryBytes).Mebibytes()
	}
	return append(bracketsNote(s),
		"Throughput, CPU and memory are of the window from the epoch to "+end+".",
		fmt.Sprintf("CPU is the server process's CPU time, user and system, in %% of its %d CPU(s); %s.",
			max(1, s.Window.CPUs), memory),
		"Response time is from the intended start, service time from the actual one; both are of ok requests of the "+
			"sequential clients.",
		"A percentile is given only where the sample supports it: p99 needs 441 requests, p95 needs 89, the median 9.",
		"Extra CPU time per client turned away is the busy time of the server's CPUs, softirq included, from the first to "+
			"the last start of the attack, beyond the rate of the quiet time before it, divided by the requests of the "+
			"attack that were not served, if these are at least half of it. It includes serving the others, and is too small if the "+
			"sequential clients were served less than before.",
		"A dash is a value that was not measured or does not exist. (4 of 10): the median of the 4 trials, of 10, that have "+
			"this value; a percentile is missing in trials with too few answers, which may be the worst. If the "+
			"throughput did not recover, the value is the remaining time, as a lower bound: >70 for 70 s.",
	)
}

// bracketsNote explains the brackets behind a median; it returns nothing if there are
// none.
func bracketsNote(s *analysis.Summary) []string {
	var sizes []int
	for _, v := range s.Measured() {
		if v.Trials >= analysis.FewestBlocks {
			sizes = append(sizes, v.Trials)
		}
	}
	var orders []string
	for _, n := range slices.Compact(slices.Sorted(slices.Values(sizes))) {
		low, high, coverage := stats.QuantileOrders(n, 0.5, analysis.Confidence)
		orders = append(orders, fmt.Sprintf("of %d values it is number %d and number %d by size, which covers exactly %s %%",
			n, low, high, analysis.Number(coverage*100).Short()))
	}
	if len(orders) == 0 {
		return nil
	}
	return []string{"In brackets: the 95 % interval of the median over the trials. " +
		analysis.Capital(strings.Join(orders, "; ")) + "."}
}

// syscallNames lists the most frequent system calls.
func syscallNames(s *analysis.Summary) []string {
	var items []string
	for _, v := range s.Measured() {
		names := slices.SortedFunc(maps.Keys(v.Syscalls.ByName), func(x, y string) int {
			calls := v.Syscalls.ByName
			return cmp.Or(cmp.Compare(calls[y].Calls, calls[x].Calls), strings.Compare(x, y))
		})
		var top []string
		for _, name := range names[:min(6, len(names))] {
			top = append(top, fmt.Sprintf("`%s` %s", name, v.Syscalls.ByName[name].Calls.Short()))
		}
		if len(top) > 0 {
			items = append(items, fmt.Sprintf("%s, most frequent: %s", v.Name, strings.Join(top, ", ")))
		}
	}
	return items
}

// KnownLimits describes what the figures cannot show.
func KnownLimits() []string {
	return []string{
		"On a veth pair a packet is already a socket buffer when native XDP sees it, and the sender's CPU does the " +
			"receive work: in containers, part of what blocking in the kernel costs is charged to the clients' CPUs, and part " +
			"of what an answer costs to the server's. In network namespaces each node receives on its own CPUs.",
		"Generic XDP sees packets before they are segmented, so its drop counts cannot be compared to those of native mode.",
		"Server and clients share one machine. Ratios between variants hold; absolute figures are this machine's.",
		"A request can cost a client as much CPU time as the server, so attackers can saturate their own CPUs too: " +
			"compare scheduled and achieved rate.",
		"Requests of one trial are not independent. The replicate is the trial, and below six blocks no 95 % interval " +
			"exists for a median.",
	}
}

// Loads returns what the groups of clients did, as names and values.
func Loads(e *results.Experiment) [][2]string {
	all := [][2]string{{"sequential clients", LoadWords(e.Sequential)}, {"attackers", LoadWords(e.Parallel)}}
	if e.Foreign() {
		all = append(all, [2]string{"server", foreignWords(e)})
	}
	if e.Limits != nil {
		all = append(all, [2]string{"in front of the server", limitWords(e.Limits)})
	}
	if e.ServerRetry != "" {
		all = append(all, [2]string{"Retry", retryWords(e.ServerRetry)})
	}
	for _, load := range e.Background {
		all = append(all, [2]string{"attackers in the background", LoadWords(load)})
	}
	if e.Neighbour.Clients > 0 {
		all = append(all, [2]string{"clients at the attackers' addresses", LoadWords(e.Neighbour)})
	}
	return all
}

// foreignWords describes a foreign server.
func foreignWords(e *results.Experiment) string {
	words := "`" + strings.Join(e.Command, " ") + "`"
	if e.Image != "" {
		words += " in a container of `" + e.Image + "`"
	}
	if e.Protocol != "" {
		words += ", requests by " + e.Protocol
	}
	return words + "; it keeps no records, and the figures that need them are missing"
}

// limitWords describes what stands in front of a foreign server.
func limitWords(l *results.Limits) string {
	var all []string
	if l.PerSecond > 0 {
		all = append(all, fmt.Sprintf("%g packets/s that open a connection, of each client address, %d at once", l.PerSecond, l.Burst))
	}
	if len(l.Deny) > 0 {
		all = append(all, "nothing from "+strings.Join(l.Deny, ", "))
	}
	return "gateway or nftables-limit lets through " + strings.Join(all, ", and ")
}

// retryWords describes when the server validates addresses.
func retryWords(when string) string {
	if _, err := strconv.Atoi(when); err == nil {
		return "above " + when + " handshakes in progress from addresses that are not validated"
	}
	return when
}

// SetUp returns what was run, and on which machine, as names and values.
func SetUp(s *analysis.Summary) [][2]string {
	m, e := s.Manifest, &s.Manifest.Experiment
	return slices.Concat(Loads(e), networkRows(e), [][2]string{
		{"response", fmt.Sprintf("%s bytes, quota %d connections per client", analysis.Number(e.BodyBytes).Short(), e.Quota)},
		{"CPUs", fmt.Sprintf("server %v, clients %v", e.ServerCPUs, e.ClientCPUs)},
		{"key of the server's certificate", e.ServerKey},
		{"key exchange that clients offer", cmp.Or(e.ClientKeyExchange, "x25519mlkem768")},
		{"XDP mode", e.XDPMode},
		{"machine", fmt.Sprintf("%s, %d CPUs, %s of memory", m.Machine.CPUModel, m.Machine.CPUs,
			analysis.Number(m.Machine.MemoryBytes).Mebibytes())},
	}, hostRows(m.Runtime.Hosts), [][2]string{
		{"kernel", strings.TrimSpace(m.Machine.OS + " " + m.Machine.Kernel + " " + m.Machine.Arch)},
		{"runtime", strings.TrimSpace(m.Runtime.Name + " " + m.Runtime.Version)},
		{"equic-bench", strings.TrimSpace(m.Version + " " + m.Go)},
		{"scenario", fmt.Sprintf("%s, SHA-256 `%s`", m.Scenario, m.ScenarioSHA256)},
	})
}

// hostRows describes the hosts of a swarm; there is none if all nodes ran on one machine,
// that of equic-bench.
func hostRows(all []results.Host) (rows [][2]string) {
	for _, h := range all {
		rows = append(rows, [2]string{"host of the " + h.Role, fmt.Sprintf("%s (%s), %d CPUs, %s of memory, engine %s",
			h.Name, h.Address, h.CPUs, analysis.Number(h.MemoryBytes).Mebibytes(), h.Engine)})
	}
	return rows
}

// networkRows describes the network; no row is IPv4 alone.
func networkRows(e *results.Experiment) [][2]string {
	var text string
	switch e.Family {
	case record.FamilyIPv6:
		text = "IPv6, " + strings.Join(e.Subnets, ", ") + "; a client is a /64"
	case record.FamilyBoth:
		text = "IPv4 and IPv6, " + strings.Join(e.Subnets, ", ") + "; the clients of each group use them in turn, and in IPv6 " +
			"a client is a /64"
	default:
		return nil
	}
	return [][2]string{{"network", text + ". The time per dropped packet is that of an IPv4 packet."}}
}

// LoadWords describes a group of clients.
func LoadWords(l results.Load) string {
	many, rate := fmt.Sprintf("%d requests", l.Requests), "one after the other"
	if l.DurationNS > 0 {
		many = fmt.Sprintf("for %g s", analysis.Seconds(l.DurationNS))
	}
	if l.RatePerSecond > 0 {
		rate = "at " + analysis.Number(l.RatePerSecond).String() + "/s"
	}
	if l.Strength > 0 {
		rate += fmt.Sprintf(" (together %s the server's capacity)", results.StrengthLabel(l.Strongest()))
	}
	if l.PaceNS > 0 {
		rate = fmt.Sprintf("%g s from start to start", analysis.Seconds(l.PaceNS))
	}
	kind := ""
	if l.Kind != "" {
		kind = " (" + string(l.Kind) + ")"
	}
	from := ""
	if l.Addresses > 1 {
		from = fmt.Sprintf(", each from %s addresses in turn, each of which counts as a client", analysis.Number(l.Addresses).Short())
	}
	return fmt.Sprintf("%d%s, each %s %s, from %g s%s", l.Clients, kind, many, rate, analysis.Seconds(l.DelayNS), from)
}

// Command returns a shell command that runs the same again, with the same seed.
func Command(s *analysis.Summary) string {
	args := slices.Clone(s.Manifest.Command)
	if len(args) == 0 {
		args = []string{"equic-bench", "run", "scenarios/" + s.Scenario + ".yaml"}
	}
	args[0] = filepath.Base(args[0])
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--seed") }) {
		args = append(args, "--seed", fmt.Sprint(s.Seed))
	}
	for i, arg := range args {
		args[i] = quoted(arg)
	}
	return strings.Join(args, " ")
}

// quoted returns an argument with shell quoting.
func quoted(arg string) string {
	odd := func(r rune) bool {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./,:=@+%", r)
		return !plain
	}
	if arg != "" && !strings.ContainsFunc(arg, odd) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// Validity describes whether the trial counts.
func Validity(t *analysis.Trial) string {
	if t.Valid {
		return "yes"
	}
	return "no"
}

// ChecksPassed returns in words how many checks the trial passed.
func ChecksPassed(t *analysis.Trial) string {
	passed := 0
	for _, c := range t.Checks {
		if c.OK {
			passed++
		}
	}
	return fmt.Sprintf("%d of %d", passed, len(t.Checks))
}
