package orchestrate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// The rules of docs/method.md, "A trial is invalid", as trial.json names them.
// Its table has each.
const (
	ruleCompleted  = "completed"
	ruleReady      = "ready-before-epoch"
	ruleAlive      = "nodes-alive"
	ruleReadable   = "records-readable"
	ruleInterface  = "interface-kept"
	ruleThrottled  = "not-throttled"
	ruleSwapped    = "not-swapped"
	ruleComplete   = "records-complete"
	ruleServed     = "served-adds-up"
	ruleQuota      = "quota-held"
	ruleXDPMode    = "xdp-mode"
	ruleKernel     = "kernel-blocked"
	ruleOverlap    = "attack-overlaps-load"
	ruleGenerator  = "generator-not-bottleneck"
	ruleSequential = "sequential-on-time"
)

// rule is one condition of a valid trial. It returns whether the condition
// holds, and the facts that say so.
type rule struct {
	name string
	hold func(*evidence) (bool, string)
}

// startRules hold for every trial, rules for one that ran to its end.
func startRules() []rule {
	return []rule{
		{ruleReady, readyBeforeEpoch},
		{ruleAlive, nodesAlive},
		{ruleReadable, recordsReadable},
		{ruleInterface, interfaceKept},
	}
}

func rules() []rule {
	return append(startRules(),
		rule{ruleComplete, recordsComplete},
		rule{ruleThrottled, notThrottled},
		rule{ruleSwapped, notSwapped},
		rule{ruleServed, servedAddsUp},
		rule{ruleQuota, quotaHeld},
		rule{ruleXDPMode, xdpModeAsAsked},
		rule{ruleKernel, kernelBlocked},
		rule{ruleOverlap, attackOverlapsLoad},
		rule{ruleGenerator, generatorNotBottleneck},
		rule{ruleSequential, sequentialOnTime},
	)
}

// judge holds the rules against a trial. If early is not empty it says why the
// trial ended before its load did.
func (t *trial) judge(early string) (*results.Trial, error) {
	e, err := t.gather()
	if err != nil {
		return nil, err
	}
	whole := t.record(e)
	if early != "" {
		whole.Checks = append([]results.Check{{Rule: ruleCompleted, Evidence: early}}, e.check(startRules())...)
	} else {
		done := results.Check{Rule: ruleCompleted, OK: true, Evidence: "all clients ended, then the server"}
		whole.Checks = append([]results.Check{done}, e.check(rules())...)
		whole.Warnings = append(whole.Warnings, e.warnings()...)
	}
	whole.Valid = !slices.ContainsFunc(whole.Checks, func(c results.Check) bool { return !c.OK })
	return whole, nil
}

// record is the trial without its verdict.
func (t *trial) record(e *evidence) *results.Trial {
	ended := time.Now()
	trial := &results.Trial{
		PlannedTrial: t.plan,
		Attempt:      t.attempt,
		Epoch:        t.epoch,
		EpochUnixNS:  t.epoch.UnixNano(),
		Started:      t.started,
		Ended:        ended,
		LoadEndNS:    e.lastEnd(),
		XDPMode:      e.server().ready.XDPMode,
		Settling:     t.settled,
	}
	if w := settleWarning(t.settled); w != "" {
		trial.Warnings = append(trial.Warnings, w)
	}
	trial.OverheadNS = ended.Sub(t.started).Nanoseconds() - trial.LoadEndNS
	for _, m := range t.members {
		trial.Nodes = append(trial.Nodes, m.node())
	}
	return trial
}

func (e *evidence) check(rules []rule) []results.Check {
	checks := make([]results.Check, 0, len(rules))
	for _, r := range rules {
		ok, facts := r.hold(e)
		checks = append(checks, results.Check{Rule: r.name, OK: ok, Evidence: facts})
	}
	return checks
}

// each collects what is wrong with nodes. Where nothing is, fine says so.
func each(nodes []*nodeEvidence, wrong func(*nodeEvidence) string, fine string) (bool, string) {
	var all []string
	for _, n := range nodes {
		if w := wrong(n); w != "" {
			all = append(all, n.name+" "+w)
		}
	}
	if len(all) > 0 {
		return false, strings.Join(all, "; ")
	}
	return true, fine
}

// readyBeforeEpoch holds where each node was ready in time, by clocks that can be
// believed.
func readyBeforeEpoch(e *evidence) (bool, string) {
	if set := stepped(e.step); set != "" {
		return false, set
	}
	latest := int64(-1 << 62)
	ok, facts := each(e.nodes, func(n *nodeEvidence) string {
		latest = max(latest, n.ready.AtNS)
		switch {
		case n.readies == 0:
			return "was never ready"
		case n.clock != "":
			return n.clock
		case n.ready.AtNS > 0:
			return fmt.Sprintf("was ready %s after the epoch", seconds(n.ready.AtNS))
		}
		return ""
	}, "")
	if ok {
		facts = fmt.Sprintf("the last of %d nodes was ready %s before the epoch", len(e.nodes), seconds(-latest))
	}
	return ok, facts
}

// nodesAlive finds nodes that died or started twice.
func nodesAlive(e *evidence) (bool, string) {
	var dead []string
	for i, m := range e.members {
		if died := m.died(); died != "" {
			dead = append(dead, died)
		} else if e.nodes[i].readies > 1 {
			dead = append(dead, fmt.Sprintf("%s was ready %d times", m.spec.Name, e.nodes[i].readies))
		}
	}
	if len(dead) > 0 {
		return false, strings.Join(dead, "; ")
	}
	return true, "no node died or started twice"
}

// recordsReadable reports what the recorders kept out of the files.
func recordsReadable(e *evidence) (bool, string) {
	var faults []string
	lines := 0
	for _, m := range e.members {
		seen := m.records.seen()
		lines += seen.lines
		if seen.fault != "" {
			faults = append(faults, m.spec.Name+": "+seen.fault)
		}
	}
	if len(faults) > 0 {
		return false, strings.Join(faults, "; ")
	}
	return true, fmt.Sprintf("%d lines, each a record", lines)
}

func recordsComplete(e *evidence) (bool, string) {
	var requests int
	ok, facts := each(e.nodes, func(n *nodeEvidence) string {
		requests += len(n.requests)
		if n.role == results.RoleServer {
			return n.serverIncomplete(e.variant, e.unmeasured, e.scenario.Trial)
		}
		return n.clientIncomplete(e.group(n.role).Requests)
	}, "")
	if ok {
		facts = fmt.Sprintf("%d requests of %d clients, each once and with its outcome", requests, len(e.clients())) + e.notMeasured()
	}
	return ok, facts
}

func (n *nodeEvidence) clientIncomplete(planned int) string {
	switch {
	case n.client == nil:
		return "left no client record"
	case len(n.requests) != planned || n.client.Requests != planned:
		return fmt.Sprintf("left %d requests and counts %d, of %d planned", len(n.requests), n.client.Requests, planned)
	case n.strange > 0:
		return fmt.Sprintf("left %d requests whose number repeats or is not planned, or whose outcome is unknown", n.strange)
	}
	return n.probeIncomplete()
}

// notMeasured says where a rule asks nothing of the server.
func (e *evidence) notMeasured() string {
	if !e.unmeasured {
		return ""
	}
	return "; the server was not measured, as planned, so nothing is asked of its probe"
}

func (n *nodeEvidence) serverIncomplete(v record.Variant, unmeasured bool, trial scenarios.Trial) string {
	switch {
	case n.server == nil:
		return "left no server record"
	case v.InKernel() && n.gateway == nil:
		return "left no gateway record"
	case unmeasured && n.probe != nil:
		return "was measured, against the plan"
	case unmeasured:
		return ""
	case n.probe != nil && trial.Syscalls && trial.Alternate == 0 && !n.probe.SyscallCounter:
		return "did not count its system calls"
	}
	return n.probeIncomplete()
}

func (n *nodeEvidence) probeIncomplete() string {
	switch {
	case n.probe == nil:
		return "left no probe record"
	case !n.probeLast:
		return "printed records after the probe's last"
	case n.probe.ExitCode != 0:
		return fmt.Sprintf("measured a process that ended with exit code %d", n.probe.ExitCode)
	case len(n.usage) < 2 || len(n.usage) != n.probe.Samples:
		return fmt.Sprintf("left %d samples, of %d taken; two are needed", len(n.usage), n.probe.Samples)
	}
	return ""
}

func notThrottled(e *evidence) (bool, string) {
	return each(e.nodes, func(n *nodeEvidence) string {
		if n.probe != nil && n.probe.ThrottledPeriods > 0 {
			return fmt.Sprintf("was throttled in %d periods", n.probe.ThrottledPeriods)
		}
		return ""
	}, "no CPU quota stopped a node, as far as the host tells"+e.notMeasured())
}

func notSwapped(e *evidence) (bool, string) {
	return each(e.nodes, func(n *nodeEvidence) string {
		if n.swap > 0 {
			return fmt.Sprintf("had %d bytes swapped out", n.swap)
		}
		return ""
	}, "no node had memory swapped out"+e.notMeasured())
}

// interfaceKept finds nodes that lost their way to the others: every request is a
// time-out then, which nothing else tells from an attack's.
func interfaceKept(e *evidence) (bool, string) {
	return each(e.nodes, func(n *nodeEvidence) string {
		if n.probe != nil && len(n.probe.LostInterfaces) > 0 {
			return "lost its interface " + strings.Join(n.probe.LostInterfaces, ", ") + ", or it was changed"
		}
		return ""
	}, "no node's interface was taken away or changed"+e.notMeasured())
}

// servedAddsUp compares both ends. A response that was served may have come too
// late for its client, so served lies between ok and ok + timeouts + errors.
func servedAddsUp(e *evidence) (bool, string) {
	var ok, served int
	holds, facts := each(e.clients(), func(n *nodeEvidence) string {
		s, o := e.server().served[n.address], n.outcomes[record.OK]
		ok, served = ok+o, served+s
		if most := o + n.outcomes[record.Timeout] + n.outcomes[record.Failed]; s < o || s > most {
			return fmt.Sprintf("got %d responses whole and at most %d, but the server says %d", o, most, s)
		}
		return ""
	}, "")
	if holds {
		facts = fmt.Sprintf("the server served %d responses, %d arrived whole", served, ok)
	}
	return holds, facts
}

func quotaHeld(e *evidence) (bool, string) {
	s, quota := e.server().server, e.scenario.Server.Quota
	switch {
	case s == nil:
		return false, "server left no totals"
	case s.StillCounted != 0:
		return false, fmt.Sprintf("server still counts %d connections after the last one ended", s.StillCounted)
	case e.variant != record.NoBlock && s.PeakPerClient > quota:
		return false, fmt.Sprintf("server had %d connections of one client at once, the quota is %d", s.PeakPerClient, quota)
	}
	return true, fmt.Sprintf("at most %d connections of one client at once (quota %d), none counted at the end", s.PeakPerClient, quota)
}

// overQuota is the reason for which the XDP program drops a packet of a client
// at its quota (equic.Stats).
const overQuota = "drop_over_quota"

// kernelBlocked sees that it was the kernel that blocked: the server enforces
// the quota too, for what the kernel lets through, and would hide its failure.
//
// Under policy client, whoever is at the quota loses the next packet of any of
// its connections. Under policy new it loses only what opens one, and it may
// open none while it is there: then the server had nobody to refuse either. What
// it did refuse was under way when the quota was reached; a kernel that drops
// does that to more packets than there are such connections.
func kernelBlocked(e *evidence) (bool, string) {
	g, s := e.server().gateway, e.server().server
	switch {
	case !e.variant.InKernel():
		return true, "not asked for"
	case g == nil || s == nil:
		return false, "server left no gateway record or no totals"
	case g.UpdateErrors > 0:
		return false, fmt.Sprintf("server has %d counts that did not reach the kernel", g.UpdateErrors)
	case e.variant == record.XDPBlock && s.PeakPerClient >= e.scenario.Server.Quota && g.Packets[overQuota] == 0:
		return false, fmt.Sprintf("server had %d connections of one client (quota %d), but its kernel dropped no packet over quota", s.PeakPerClient, e.scenario.Server.Quota)
	case uint64(s.Refusals) > g.Packets[overQuota]:
		return false, fmt.Sprintf("server had to refuse %d connections by itself, as its kernel dropped %d packets over quota", s.Refusals, g.Packets[overQuota])
	}
	return true, fmt.Sprintf("%d of %d packets dropped, every count reached the kernel", g.Dropped, g.Seen)
}

func xdpModeAsAsked(e *evidence) (bool, string) {
	got, asked := e.server().ready.XDPMode, e.scenario.Server.XDPMode
	if !e.variant.InKernel() {
		asked = ""
	}
	if got != asked {
		return false, fmt.Sprintf("server has XDP mode in force %q, asked for %q", got, asked)
	}
	if asked == "" {
		return true, "no XDP program, as asked"
	}
	return true, "XDP in mode " + got
}
