package validity

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// evidence is the input of the rules: the manifest, trial.json, and the records of the
// trial, reduced to what the rules need.
type evidence struct {
	experiment *results.Experiment
	trial      *results.Trial
	variant    record.Variant
	// unmeasured: the server ran without a probe.
	unmeasured bool
	nodes      []*nodeEvidence // the server first
	// hosts: clients of a role may run on several hosts, each with CPUs of its own.
	hosts bool
}

// nodeEvidence is one node with its records.
type nodeEvidence struct {
	*results.Node

	load      results.Load // of its group
	readies   int
	ready     record.Ready
	client    *record.Client
	server    *record.Server
	gateway   *record.Gateway
	probe     *record.Probe
	probeLast bool
	// open: how many requests the client starts is known only when it ends.
	open bool
	// steal: stolen time counts as busy.
	steal bool
	// paced: a closed loop, whose requests are late by its pace.
	paced bool

	flooded window // from the first frame of a flood to its last
	frames  uint64
	// mostAtOnce is the longest burst of these frames; zero if none is recorded.
	mostAtOnce int
	floods     int // number of their records

	requests []span
	outcomes map[record.Outcome]int
	local    string // the error of the first request that ended as record.Local
	distinct []bool // by sequence number
	strange  int    // requests with a repeated or unplanned number, or with an unknown outcome

	served map[string]int // responses of a server, by client address
	usage  []usage
	swap   int64 // the most that was swapped out
	first  record.Sample
	last   record.Sample
}

// span is one request in time, relative to the epoch, including the time that its
// connection is held.
type span struct{ scheduled, start, end int64 }

// usage is the busy time of a node's CPUs, softirq and steal included, since boot.
type usage struct{ at, busy int64 }

// gather reads the trial's records, one line at a time.
func gather(m *results.Manifest, t *results.Trial, read Records) (*evidence, error) {
	variant, err := record.ParseVariant(t.Variant)
	if err != nil {
		return nil, err
	}
	if len(t.Nodes) == 0 || t.Nodes[0].Role != results.RoleServer {
		return nil, errors.New("the first node is no server")
	}
	experiment := m.ExperimentOf(t.Cell)
	if experiment == nil {
		return nil, fmt.Errorf("the manifest has no cell %q", t.Cell)
	}
	e := &evidence{
		experiment: experiment.At(t.PlannedTrial), trial: t, variant: variant, unmeasured: t.Arm == results.Unmeasured,
		hosts: VersionOf(m) >= pacedVersion,
	}
	for i := range t.Nodes {
		load := e.group(i)
		n := &nodeEvidence{
			Node:     &t.Nodes[i],
			load:     load,
			outcomes: map[record.Outcome]int{},
			distinct: make([]bool, max(0, load.Requests)),
			served:   map[string]int{},
			open:     load.DurationNS > 0,
			steal:    VersionOf(m) >= stealVersion,
			paced:    VersionOf(m) >= pacedVersion && load.RatePerSecond == 0,
		}
		add := func(l *record.Line) error {
			n.add(l)
			return nil
		}
		if err := read(n.Node, add); err != nil {
			return nil, err
		}
		e.nodes = append(e.nodes, n)
	}
	return e, nil
}

func (n *nodeEvidence) add(l *record.Line) {
	n.probeLast = l.Probe != nil
	switch {
	case l.Ready != nil:
		n.readies++
		n.ready = *l.Ready
	case l.Request != nil:
		n.addRequest(l.Request)
	case l.Connection != nil:
		n.served[l.Connection.Client] += l.Connection.Served
	case l.Sample != nil:
		n.addSample(l.Sample)
	case l.Client != nil:
		n.client = l.Client
	case l.Flood != nil:
		n.addFlood(l.Flood)
	case l.Server != nil:
		n.server = l.Server
	case l.Gateway != nil:
		n.gateway = l.Gateway
	case l.Probe != nil:
		n.probe = l.Probe
	}
}

func (n *nodeEvidence) addRequest(r *record.Request) {
	n.requests = append(n.requests, span{r.ScheduledNS, r.StartNS, r.StartNS + r.EndNS + r.HeldNS})
	if n.outcomes[r.Outcome]++; r.Outcome == record.Local && n.local == "" {
		n.local = r.Error
	}
	if n.open && r.Seq == len(n.distinct) {
		n.distinct = append(n.distinct, false)
	}
	if !slices.Contains(record.Outcomes, r.Outcome) || r.Seq < 0 || r.Seq >= len(n.distinct) || n.distinct[r.Seq] {
		n.strange++
		return
	}
	n.distinct[r.Seq] = true
}

func (n *nodeEvidence) addFlood(f *record.Flood) {
	if n.floods == 0 {
		n.flooded.from = f.FromNS
	}
	n.floods++
	n.flooded.to = f.ToNS
	n.frames += f.Frames
	n.mostAtOnce = max(n.mostAtOnce, f.MostAtOnce)
}

func (n *nodeEvidence) addSample(s *record.Sample) {
	if len(n.usage) == 0 {
		n.first = *s
	}
	n.last = *s
	busy := s.BusyNS + s.SoftIRQNS
	if n.steal {
		busy += s.StealNS
	}
	n.usage = append(n.usage, usage{s.AtNS, busy})
	n.swap = max(n.swap, s.SwapBytes)
}

// servedTo returns the responses of a server to all addresses of a client.
func (n *nodeEvidence) servedTo(client *nodeEvidence) int {
	sources, err := netip.ParsePrefix(client.Sources)
	if err != nil {
		return n.served[client.Address]
	}
	served := 0
	for address, responses := range n.served {
		if a, err := netip.ParseAddr(address); err == nil && sources.Contains(a) {
			served += responses
		}
	}
	return served
}

func (e *evidence) server() *nodeEvidence { return e.nodes[0] }

func (e *evidence) clients() []*nodeEvidence {
	return slices.DeleteFunc(slices.Clone(e.nodes), func(n *nodeEvidence) bool { return runsUntilStopped(n.Role) })
}

// runsUntilStopped reports whether a node of a role runs until it is stopped, unlike a client.
func runsUntilStopped(role string) bool {
	return role == results.RoleServer || role == results.RoleGateway
}

// countsSyscalls reports whether the server's system calls were to be counted all the
// time.
func (e *evidence) countsSyscalls() bool {
	return e.experiment.Syscalls != nil && *e.experiment.Syscalls && e.experiment.AlternateNS == 0
}

// group returns the load of the i-th node; none for a server.
func (e *evidence) group(i int) results.Load {
	switch e.trial.Nodes[i].Role {
	case results.RoleSequential:
		return e.experiment.Sequential
	case results.RoleParallel:
		return e.experiment.Parallel
	case results.RoleNeighbour:
		return e.experiment.Neighbour
	case results.RoleBackground:
		return e.background(i)
	}
	return results.Load{}
}

// background returns the load of the i-th node, one of those in the background.
func (e *evidence) background(i int) results.Load {
	before := 0
	for _, n := range e.trial.Nodes[:i] {
		if n.Role == results.RoleBackground {
			before++
		}
	}
	for _, load := range e.experiment.Background {
		if before < load.Clients {
			return load
		}
		before -= load.Clients
	}
	return results.Load{}
}

// requests returns the requests of all clients of a role, in the order of their start.
func (e *evidence) requests(role string) []span {
	var all []span
	for _, n := range e.nodes {
		if n.Role == role {
			all = append(all, n.requests...)
		}
	}
	slices.SortFunc(all, func(a, b span) int { return int(a.start - b.start) })
	return all
}

// window is a stretch of a trial, relative to the epoch.
type window struct{ from, to int64 }

func (w window) ns() int64 { return max(0, w.to-w.from) }

// starts returns the window from the first to the last actual start of a role's
// requests, or frames; ok is false if there are none.
func (e *evidence) starts(role string) (w window, ok bool) {
	all := e.requests(role)
	if len(all) == 0 {
		return e.flooded(role)
	}
	return window{all[0].start, all[len(all)-1].start}, true
}

// flooded returns the window in which the floods of a role sent.
func (e *evidence) flooded(role string) (w window, ok bool) {
	for _, n := range e.nodes {
		if n.Role != role || n.floods == 0 {
			continue
		}
		if !ok {
			w, ok = n.flooded, true
		}
		w = window{min(w.from, n.flooded.from), max(w.to, n.flooded.to)}
	}
	return w, ok
}

// lastEnd returns when the last request, or flood, of any client ended.
func (e *evidence) lastEnd() int64 {
	var end int64
	for _, n := range e.clients() {
		end = max(end, n.flooded.to)
		for _, r := range n.requests {
			end = max(end, r.end)
		}
	}
	return end
}

// busy returns the share of a node's CPUs that was busy in a window, from 0 to 1, as
// far as samples cover it. Between two samples the busy time is assumed to grow evenly.
func (n *nodeEvidence) busy(w window) float64 {
	if n.probe == nil || len(n.probe.CPUs) == 0 || len(n.usage) == 0 {
		return 0
	}
	w = window{max(w.from, n.usage[0].at), min(w.to, n.usage[len(n.usage)-1].at)}
	if w.ns() == 0 {
		return 0
	}
	return (n.busyAt(w.to) - n.busyAt(w.from)) / float64(w.ns()) / float64(len(n.probe.CPUs))
}

// busyAt returns the busy time at a time that samples cover.
func (n *nodeEvidence) busyAt(at int64) float64 {
	i, _ := slices.BinarySearchFunc(n.usage, at, func(u usage, at int64) int { return int(u.at - at) })
	if i == 0 {
		return float64(n.usage[0].busy)
	}
	a, b := n.usage[i-1], n.usage[i]
	return float64(a.busy) + float64(b.busy-a.busy)*float64(at-a.at)/float64(b.at-a.at)
}
