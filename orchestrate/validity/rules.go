package validity

import (
	"fmt"
	"strings"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// each collects the problems of nodes. If there are none, it returns true and the text fine.
func each(nodes []*nodeEvidence, wrong func(*nodeEvidence) string, fine string) (bool, string) {
	var all []string
	for _, n := range nodes {
		if w := wrong(n); w != "" {
			all = append(all, n.Title()+" "+w)
		}
	}
	if len(all) > 0 {
		return false, strings.Join(all, "; ")
	}
	return true, fine
}

func recordsComplete(e *evidence) (bool, string) {
	var requests int
	ok, facts := each(e.nodes, func(n *nodeEvidence) string {
		requests += len(n.requests)
		switch n.Role {
		case results.RoleServer:
			return n.serverIncomplete(e)
		case results.RoleGateway:
			return n.probeIncomplete()
		}
		planned := n.load.Requests
		if n.load.Kind.Flood() {
			return n.floodIncomplete()
		}
		if n.open && n.client != nil {
			planned = n.client.Requests
		}
		return n.clientIncomplete(planned)
	}, "")
	if ok {
		facts = fmt.Sprintf("%d requests of %d clients, each once and with its outcome", requests, len(e.clients())) +
			e.notMeasured()
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

func (n *nodeEvidence) floodIncomplete() string {
	switch {
	case n.client == nil:
		return "left no client record"
	case n.frames == 0 || n.frames != uint64(n.client.Requests):
		return fmt.Sprintf("left %d frames and counts %d", n.frames, n.client.Requests)
	}
	return n.probeIncomplete()
}

// notMeasured explains why a rule does not apply to the server; empty if it does.
func (e *evidence) notMeasured() string {
	if !e.unmeasured {
		return ""
	}
	return "; the server was not measured, as planned, so nothing is asked of its probe"
}

func (n *nodeEvidence) serverIncomplete(e *evidence) string {
	switch {
	case n.server == nil && !e.experiment.Foreign():
		return "left no server record"
	case e.variant.Drops() && n.gateway == nil:
		return "left no gateway record"
	case e.unmeasured && n.probe != nil:
		return "was measured, against the plan"
	case e.unmeasured:
		return ""
	case n.probe != nil && e.countsSyscalls() && !n.probe.SyscallCounter:
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
	case n.probe.ExitCode != 0 && (n.Role != results.RoleServer || n.probe.ExitCode != endedBySIGTERM):
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

// interfaceKept finds nodes that lost their connection to the others: every request
// then times out, as under an attack, with no other difference.
func interfaceKept(e *evidence) (bool, string) {
	return each(e.nodes, func(n *nodeEvidence) string {
		if n.probe != nil && len(n.probe.LostInterfaces) > 0 {
			return "lost its interface " + strings.Join(n.probe.LostInterfaces, ", ") + ", or it was changed"
		}
		return ""
	}, "no node's interface was taken away or changed"+e.notMeasured())
}

// notOurs is why a rule does not apply to a server.
const notOurs = "not asked: the server is not ours, and keeps no records"

// servedAddsUp compares both ends, by address: a neighbour has its attacker's. A served
// response may have come too late for its client, or the client may have failed locally. So
// served lies between ok and ok + timeouts + errors + local failures.
func servedAddsUp(e *evidence) (bool, string) {
	if e.experiment.Foreign() {
		return true, notOurs
	}
	var ok, served int
	seen := map[string]bool{}
	holds, facts := each(e.clients(), func(n *nodeEvidence) string {
		if seen[n.Address] {
			return ""
		}
		seen[n.Address] = true
		s, o, most := e.server().servedTo(n), 0, 0
		for _, of := range e.clients() {
			if of.Address == n.Address {
				o += of.outcomes[record.OK]
				most += of.outcomes[record.OK] + of.outcomes[record.Timeout] + of.outcomes[record.Failed] + of.outcomes[record.Local]
			}
		}
		ok, served = ok+o, served+s
		if s < o || s > most {
			return fmt.Sprintf("got %d whole responses and can have got at most %d, but the server counted %d", o, most, s)
		}
		return ""
	}, "")
	if holds {
		facts = fmt.Sprintf("the server served %d responses, %d arrived whole", served, ok)
	}
	return holds, facts
}

func quotaHeld(e *evidence) (bool, string) {
	if e.experiment.Foreign() {
		return true, notOurs
	}
	s, quota := e.server().server, e.experiment.Quota
	switch {
	case s == nil:
		return false, "server left no totals"
	case s.StillCounted != 0:
		return false, fmt.Sprintf("server still counts %d connections after the last one ended", s.StillCounted)
	case e.variant != record.NoBlock && s.PeakPerClient > quota:
		return false, fmt.Sprintf("server had %d connections of one client at once, the quota is %d", s.PeakPerClient, quota)
	}
	return true, fmt.Sprintf("at most %d connections of one client at once (quota %d), none counted at the end",
		s.PeakPerClient, quota)
}

// overQuota is the reason for which the XDP program drops a packet of a client
// at its quota (equic.Stats).
const overQuota = "drop_over_quota"

// kernelBlocked checks that packets were dropped in the place that the variant names. The server
// enforces the quota on all connections that get through, and would hide a place that fails.
//
// Under policy client, a client at the quota loses the next packet of any of its
// connections. Under policy new, it loses only packets that open one. If it sends none
// while it is at the quota, the server refuses nothing either. The connections that the
// server does refuse were in progress when the quota was reached. They are fewer than
// the dropped packets.
func kernelBlocked(e *evidence) (bool, string) {
	g, s := e.server().gateway, e.server().server
	switch {
	case !e.variant.Drops():
		return true, "not asked for"
	case g == nil || s == nil:
		return false, "server left no gateway record or no totals"
	case g.UpdateErrors > 0:
		return false, fmt.Sprintf("server has %d counts that did not reach the kernel", g.UpdateErrors)
	case e.variant.Spec().Policy == record.PolicyClient && s.PeakPerClient >= e.experiment.Quota && g.Packets[overQuota] == 0:
		return false, fmt.Sprintf("server had %d connections of one client (quota %d), but no packet was dropped "+
			"over quota", s.PeakPerClient, e.experiment.Quota)
	case uint64(s.Refusals) > g.Packets[overQuota]:
		return false, fmt.Sprintf("server had to refuse %d connections by itself, but only %d packets were dropped over "+
			"quota", s.Refusals, g.Packets[overQuota])
	}
	return true, fmt.Sprintf("%d of %d packets dropped, every count reached the kernel", g.Dropped, g.Seen)
}

func xdpModeAsAsked(e *evidence) (bool, string) {
	got, asked := e.server().ready.XDPMode, e.variant.Mode(e.experiment.XDPMode)
	if got != asked {
		return false, fmt.Sprintf("server has XDP mode %q, but %q was asked for", got, asked)
	}
	if asked == "" {
		return true, "no XDP program, as asked"
	}
	return true, "XDP in mode " + got
}
