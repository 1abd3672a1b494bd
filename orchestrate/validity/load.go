package validity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

const (
	secondNS = int64(1e9)

	// leastOverlap is the share of the attack during which sequential requests must
	// have been starting.
	leastOverlap = 0.5
	// Saturation: clients whose CPUs are busier than generatorBusy while the
	// server's are below serverIdle, for more than generatorShare of the attack.
	generatorBusy  = 0.95
	serverIdle     = 0.80
	generatorShare = 0.2
	// A sequential start is late from lateNS on. More than lateShare of the quiet
	// starts, or one later than tooLateNS, makes the trial invalid.
	lateNS    = int64(100e6)
	tooLateNS = int64(1e9)
	lateShare = 0.01
	// localShare is the share of the requests of a group that may fail on the clients'
	// own machine.
	localShare = 0.01
	// leastRate is the share of the scheduled attack rate below which there is a
	// warning.
	leastRate = 0.95
)

// attackOverlapsLoad uses actual starts on both sides: a closed loop of fast requests
// can be over before the attack begins.
func attackOverlapsLoad(e *evidence) (bool, string) {
	attack, attacked := e.starts(results.RoleParallel)
	load, loaded := e.starts(results.RoleSequential)
	if !attacked || !loaded {
		return !attackPlanned(e), "one group of clients has no requests: there is nothing to overlap"
	}
	both := window{max(attack.from, load.from), min(attack.to, load.to)}
	share := 0.0
	switch {
	case attack.ns() > 0:
		share = float64(both.ns()) / float64(attack.ns())
	case load.from <= attack.from && attack.from <= load.to:
		share = 1
	}
	return share >= leastOverlap, fmt.Sprintf("attack from %s to %s, sequential load from %s to %s: %.0f %% of the "+
		"attack met load",
		Seconds(attack.from), Seconds(attack.to), Seconds(load.from), Seconds(load.to), 100*share)
}

// attackPlanned reports whether an attack was to overlap the load of other clients.
func attackPlanned(e *evidence) bool {
	return e.experiment.Parallel.Clients > 0 && e.experiment.Sequential.Clients > 0
}

// saturation counts the slices of the attack, of about one second each, in which
// clients were saturated.
type saturation struct{ slices, clientsOnly, both int }

func (e *evidence) saturation() saturation {
	attack, ok := e.starts(results.RoleParallel)
	if !ok || attack.ns() == 0 {
		return saturation{}
	}
	n := max(1, attack.ns()/secondNS)
	s := saturation{slices: int(n)}
	for i := range n {
		slice := window{attack.from + attack.ns()*i/n, attack.from + attack.ns()*(i+1)/n}
		if e.busiestClient(slice) < generatorBusy {
			continue
		}
		if e.server().busy(slice) < serverIdle {
			s.clientsOnly++
		} else {
			s.both++
		}
	}
	return s
}

// busiestClient returns the busy share of the CPUs of sequential or of parallel
// clients, whichever is larger. All clients of a role on a host share their CPUs, so one
// node's samples represent them all.
func (e *evidence) busiestClient(w window) float64 {
	var most float64
	seen := map[string]bool{}
	for _, n := range e.clients() {
		group := n.Role
		if e.hosts {
			group += " on " + n.Host
		}
		if !seen[group] {
			seen[group] = true
			most = max(most, n.busy(w))
		}
	}
	return most
}

func generatorNotBottleneck(e *evidence) (bool, string) {
	if e.unmeasured {
		return true, "not asked: the server was not measured, as planned, so nobody knows how busy it was"
	}
	if e.experiment.SharesCPUs() {
		return true, "not asked: the server and the clients share CPUs"
	}
	s := e.saturation()
	facts := fmt.Sprintf("clients' CPUs busy 95 %% or more while the server's were under 80 %%: %d of %d s of the attack",
		s.clientsOnly, s.slices)
	if rate := e.attackRate(); rate != "" {
		facts += "; " + rate
	}
	return float64(s.clientsOnly) <= generatorShare*float64(s.slices), facts
}

// attackRate returns the achieved and the scheduled rate of the attack.
func (e *evidence) attackRate() string {
	achieved, scheduled := e.attackRates()
	switch {
	case achieved == 0:
		return ""
	case scheduled == 0 && e.experiment.Parallel.Kind.Flood():
		return fmt.Sprintf("attack: %.0f/s, as many as possible", achieved)
	case scheduled == 0:
		return fmt.Sprintf("attack: %.0f/s achieved in a closed loop", achieved)
	}
	return fmt.Sprintf("attack: %.0f/s achieved of %.0f/s scheduled", achieved, scheduled)
}

// attackRates returns rates per second, over all attackers; achieved is zero if there
// are fewer than two requests or frames.
func (e *evidence) attackRates() (achieved, scheduled float64) {
	attack, _ := e.starts(results.RoleParallel)
	n, from := 0, attack.from // the latest of the first starts: clients may start in turn
	for _, c := range e.clients() {
		if c.Role != results.RoleParallel || len(c.requests)+int(c.frames) == 0 {
			continue
		}
		n += len(c.requests) + int(c.frames) - 1 // no interval follows the last start of each
		if len(c.requests) > 0 {
			first := slices.MinFunc(c.requests, func(a, b span) int { return cmp.Compare(a.start, b.start) })
			from = max(from, first.start)
		}
	}
	if attack.to > from {
		achieved = float64(n) / (float64(attack.to-from) / 1e9)
	}
	return achieved, e.experiment.Parallel.RatePerSecond * float64(e.experiment.Parallel.Clients)
}

// sequentialOnTime checks the phases before and after the attack. A request is late
// only if its client was free to start it: the server causes the wait for the previous
// one.
func sequentialOnTime(e *evidence) (bool, string) {
	attack := e.attackSpan()
	var quiet, late int
	var worst int64
	who := "sequential clients"
	for _, n := range e.clients() {
		if n.Role != results.RoleSequential {
			continue
		}
		for _, l := range n.lateness(attack) {
			quiet++
			if l > worst {
				worst, who = l, n.Name
			}
			if l > lateNS {
				late++
			}
		}
	}
	ok := worst <= tooLateNS && float64(late) <= lateShare*float64(quiet)
	return ok, fmt.Sprintf("%d of %d sequential requests outside the attack started more than 0.1 s late; the latest "+
		"%s, of %s (allowed: 1 %%, and 1 s)",
		late, quiet, Seconds(worst), who)
}

// fewLocalFailures checks that all groups sent what they counted: requests that fail on
// the clients' own machine are no load.
func fewLocalFailures(e *evidence) (bool, string) {
	holds := true
	var facts []string
	for _, role := range []string{results.RoleSequential, results.RoleParallel, results.RoleBackground, results.RoleNeighbour} {
		if !slices.ContainsFunc(e.nodes, func(n *nodeEvidence) bool { return n.Role == role }) {
			continue
		}
		var local, all int
		first := ""
		for _, n := range e.clients() {
			if n.Role != role {
				continue
			}
			all += len(n.requests)
			local += n.outcomes[record.Local]
			if n.local != "" && first == "" {
				first = fmt.Sprintf(", the first of %s: %s", n.Name, n.local)
			}
		}
		holds = holds && float64(local) <= localShare*float64(all)
		facts = append(facts, fmt.Sprintf("%d of %d %s requests failed on the clients' own machine%s", local, all, role,
			first))
	}
	return holds, strings.Join(facts, "; ") + " (allowed: 1 %)"
}

// attackSpan returns the window from the first attacking request to the end of the
// last.
func (e *evidence) attackSpan() window {
	attack := e.requests(results.RoleParallel)
	if len(attack) == 0 {
		if w, ok := e.flooded(results.RoleParallel); ok {
			return w
		}
		return window{1<<63 - 1, 1<<63 - 1}
	}
	w := window{attack[0].start, attack[0].end}
	for _, r := range attack {
		w.to = max(w.to, r.end)
	}
	return w
}

// lateness returns how late each request outside a window started, after both its
// schedule and the end of the request before it. The schedule of a closed loop is its
// pace after the start of the request before.
func (n *nodeEvidence) lateness(except window) []int64 {
	ordered := slices.Clone(n.requests)
	slices.SortFunc(ordered, func(a, b span) int { return int(a.start - b.start) })
	var late []int64
	var free, next int64
	for i, r := range ordered {
		due := r.scheduled
		if n.paced && i > 0 {
			due = next
		}
		if r.scheduled < except.from || r.scheduled > except.to {
			late = append(late, r.start-max(due, free))
		}
		free, next = max(free, r.end), r.start+n.load.PaceNS
	}
	return late
}

// warnings returns warnings about a trial that was not given up. They do not make it invalid.
func (e *evidence) warnings() []string {
	var all []string
	if achieved, scheduled := e.attackRates(); achieved > 0 && achieved < leastRate*scheduled {
		all = append(all, e.attackRate())
	}
	if s := e.saturation(); s.both > 0 && !e.unmeasured {
		both := fmt.Sprintf("server and clients were both saturated in %d of %d s of the attack", s.both, s.slices)
		if rate := e.attackRate(); rate != "" {
			both += "; " + rate
		}
		all = append(all, both)
	}
	if s := e.server(); e.variant != record.NoBlock && e.experiment.Parallel.Clients > 0 && e.experiment.Search == nil &&
		!e.experiment.Parallel.Kind.Flood() && s.server != nil && !s.turnedAway() {
		all = append(all, fmt.Sprintf("nobody was turned away: clients had at most %d connections at once (quota %d)",
			s.server.PeakPerClient, e.experiment.Quota))
	}
	if lost := e.queueLost(); lost > 0 {
		all = append(all, fmt.Sprintf("%d frames were lost in the queue of the server's interface, in front of every place "+
			"of blocking%s", lost, e.burst()))
	}
	if lost, sent := e.lostOnTheWay(); lost > e.mostLost()*sent {
		all = append(all, fmt.Sprintf("%.0f of %.0f datagrams that the clients sent never came to the server: the network "+
			"between them lost %.0f %%", lost, sent, 100*lost/sent))
	}
	if share := e.server().foreign(); share > mostForeign && !e.experiment.SharesCPUs() {
		all = append(all, fmt.Sprintf("something else used %.0f %% of the server's CPUs: end it, and run again", 100*share))
	}
	for _, n := range e.nodes {
		all = append(all, n.warnings(e.floodsAt(n.Address))...)
	}
	return all
}

// mostLost returns the share of the clients' datagrams that may be lost on the way to the server
// without a warning: 1 % between hosts, and 5 % on one machine, whose queues an attack may fill.
func (e *evidence) mostLost() float64 {
	if e.server().Host != "" {
		return 0.01
	}
	return 0.05
}

// lostOnTheWay returns how many of the clients' datagrams neither the server's socket nor its
// program counted, and how many they sent; zero if that is not known, as in older runs.
func (e *evidence) lostOnTheWay() (lost, sent float64) {
	s := e.server()
	// Frames of floods bypass a sender's counters, and those of a host are not only for us.
	if s.server == nil || e.experiment.Parallel.Kind.Flood() || e.experiment.HostNetwork {
		return 0, 0
	}
	seen := map[string]bool{} // nodes with one address share their counters
	for _, n := range e.clients() {
		if n.last.UDPOutDatagrams == 0 {
			return 0, 0
		}
		if seen[n.Address] {
			continue
		}
		seen[n.Address] = true
		sent += float64(n.last.UDPOutDatagrams - n.first.UDPOutDatagrams)
	}
	came := float64(s.last.UDPInDatagrams - s.first.UDPInDatagrams)
	if e.variant.Spec().Place == record.PlaceSocket { // its drops are errors too, and counted below
		came += float64(s.last.UDPRcvbufErrors - s.first.UDPRcvbufErrors)
	} else {
		came += float64(s.last.UDPInErrors - s.first.UDPInErrors)
	}
	if s.gateway != nil && e.variant.Spec().Place != record.PlaceAppDrop { // which reads what it drops: counted above
		came += float64(s.gateway.Dropped)
	}
	return max(0, sent-came), sent
}

// turnedAway reports whether the server or its XDP program refused or dropped any client.
func (n *nodeEvidence) turnedAway() bool {
	return n.server.Refusals > 0 || n.gateway != nil && n.gateway.Dropped > 0
}

// mostForeign is the share of the server's CPUs that other processes may use without a
// warning.
const mostForeign = 0.1

// foreign returns the share of a node's CPUs, from 0 to 1, used by neither the measured
// process nor the kernel's packet processing, from the first sample to the last.
func (n *nodeEvidence) foreign() float64 {
	wall := n.last.AtNS - n.first.AtNS
	if n.probe == nil || len(n.probe.CPUs) == 0 || wall <= 0 {
		return 0
	}
	busy := n.last.BusyNS - n.first.BusyNS
	own := n.last.CPUNS - n.first.CPUNS + n.last.ReceiveNS - n.first.ReceiveNS
	return float64(busy-own) / float64(wall) / float64(len(n.probe.CPUs))
}

// floodsAt reports whether a flood has the address: its sockets read nothing.
func (e *evidence) floodsAt(address string) bool {
	return slices.ContainsFunc(e.clients(), func(n *nodeEvidence) bool { return n.floods > 0 && n.Address == address })
}

func (n *nodeEvidence) warnings(flooding bool) []string {
	var all []string
	warn := func(format string, args ...any) { all = append(all, n.Name+" "+fmt.Sprintf(format, args...)) }
	if lost := n.last.UDPRcvbufErrors - n.first.UDPRcvbufErrors; lost > 0 && !flooding {
		warn("lost %d datagrams to a full receive buffer", lost)
	}
	if (n.Role == results.RoleParallel || n.Role == results.RoleBackground) && n.client != nil && n.client.Held > 0 {
		warn("held back %d requests at its limit in flight", n.client.Held)
	}
	if n.probe != nil && n.probe.Missed > n.probe.Samples/20 {
		warn("took %d of %d samples more than one interval late", n.probe.Missed, n.probe.Samples)
	}
	return all
}
