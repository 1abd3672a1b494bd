package validity

import (
	"fmt"
	"slices"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// synth is a run of one valid trial, generated and not measured: four seconds of load,
// with an attack of one second.
type synth struct {
	manifest *results.Manifest
	trial    *results.Trial
	records  map[string][]record.Line // by node
}

func newSynth(v record.Variant) *synth {
	s := &synth{
		manifest: &results.Manifest{ValidityVersion: Version, Experiment: results.Experiment{
			Variants: []string{string(v)}, Quota: 5, XDPMode: "native", Syscalls: new(true),
			Sequential: results.Load{Clients: 2, Requests: 40, RatePerSecond: 10, MaxInFlight: 1},
			Parallel:   results.Load{Clients: 2, Requests: 20, RatePerSecond: 20, DelayNS: 1e9, MaxInFlight: 20},
		}},
		trial: &results.Trial{
			PlannedTrial: results.PlannedTrial{Index: 1, Block: 1, Variant: string(v)}, Attempt: 1,
		},
		records: map[string][]record.Line{},
	}
	s.node(results.RoleServer, results.RoleServer, results.EndedAsked)
	for i, role := range []string{
		results.RoleSequential, results.RoleSequential, results.RoleParallel,
		results.RoleParallel,
	} {
		s.node(fmt.Sprintf("%s-%d", role, i%2+1), role, results.EndedItself)
	}
	s.server(v)
	return s
}

// node adds a node, and the records of a client.
func (s *synth) node(name, role string, ended results.NodeEnd) {
	s.trial.Nodes = append(s.trial.Nodes, results.Node{
		Name: name, Role: role, Address: fmt.Sprintf("10.9.8.%d", 10+len(s.trial.Nodes)),
		ReadyNS: -1e9, ReadySeenNS: -1e9, Ended: ended, Lines: 10, Records: name + ".jsonl",
	})
	load := s.manifest.Experiment.Sequential
	if role == results.RoleParallel {
		load = s.manifest.Experiment.Parallel
	}
	lines := []record.Line{{Ready: &record.Ready{Node: name, AtNS: -1e9}}}
	if role != results.RoleServer {
		for i := range load.Requests {
			at := load.DelayNS + load.ScheduledNS()*int64(i)/int64(load.Requests)
			lines = append(lines, record.Line{Request: &record.Request{
				Seq: i, ScheduledNS: at, StartNS: at, EndNS: 5e6, Outcome: record.OK,
			}})
		}
		lines = append(lines, record.Line{Client: &record.Client{Requests: load.Requests}})
	}
	s.records[name] = append(lines, probed()...)
}

// probed returns samples of a node whose CPU is half busy, and the probe's end.
func probed() []record.Line {
	var lines []record.Line
	for at := int64(-1e9); at < 4e9; at += 1e8 {
		lines = append(lines, record.Line{Sample: &record.Sample{AtNS: at, BusyNS: 1e9 + at/2, CPUNS: at / 2}})
	}
	return append(lines, record.Line{Probe: &record.Probe{CPUs: []int{0}, Samples: len(lines), SyscallCounter: true}})
}

// server adds what the server counts.
func (s *synth) server(v record.Variant) {
	lines := s.records[results.RoleServer]
	if v.InKernel() {
		lines[0].Ready.XDPMode = "native"
		lines = slices.Insert(lines, 1, record.Line{Gateway: &record.Gateway{
			Mode: "native", Seen: 10, Passed: 6, Dropped: 4, Packets: map[string]uint64{overQuota: 4},
		}})
	}
	totals := record.Server{PeakPerClient: 5}
	if !v.InKernel() && v != record.NoBlock {
		totals.Refusals = 3
	}
	lines = slices.Insert(lines, 1, record.Line{Server: &totals})
	for _, n := range s.trial.Nodes[1:] {
		served := 40
		if n.Role == results.RoleParallel {
			served = 20
		}
		lines = slices.Insert(lines, 1, record.Line{Connection: &record.Connection{Client: n.Address, Served: served}})
	}
	s.records[results.RoleServer] = lines
}

func (s *synth) read(n *results.Node, yield func(*record.Line) error) error {
	for i := range s.records[n.Name] {
		if err := yield(&s.records[n.Name][i]); err != nil {
			return err
		}
	}
	return nil
}

// edit changes the records of all nodes; false drops one.
func (s *synth) edit(edit func(n *results.Node, l *record.Line) bool) {
	for i := range s.trial.Nodes {
		n := &s.trial.Nodes[i]
		s.records[n.Name] = slices.DeleteFunc(s.records[n.Name], func(l record.Line) bool { return !edit(n, &l) })
	}
}

func (s *synth) print(node string, l record.Line) { s.records[node] = append(s.records[node], l) }

func (s *synth) printFirst(node string, l record.Line) {
	s.records[node] = slices.Insert(s.records[node], 0, l)
}

func (s *synth) named(node string) *results.Node {
	return &s.trial.Nodes[slices.IndexFunc(s.trial.Nodes, func(n results.Node) bool { return n.Name == node })]
}

// judge judges the trial in its current state.
func (s *synth) judge(t *testing.T) *Verdict {
	t.Helper()
	v, err := Judge(s.manifest, s.trial, s.read)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// recorded returns the run with the verdict on its current state.
func (s *synth) recorded(t *testing.T) *synth {
	t.Helper()
	v := s.judge(t)
	s.trial.Checks, s.trial.Valid = v.Checks, v.Valid()
	return s
}

func (s *synth) verify() results.Finding {
	read := func(_ *results.Trial, n *results.Node, yield func(*record.Line) error) error { return s.read(n, yield) }
	return Verify(s.manifest, []*results.Trial{s.trial}, read)
}
