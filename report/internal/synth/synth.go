// Package synth generates run directories for the tests of a report: plausible, the
// same on every machine, and not measured.
package synth

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Second in ns.
const Second = int64(1e9)

// Run is a generated run: plausible, the same on every machine, and not measured.
type Run struct {
	Experiment results.Experiment
	Cells      []results.Cell // none: the experiment is the only one
	Trials     []Trial
}

// Trial is one trial of a run; the hooks change its records.
type Trial struct {
	Variant string
	Cell    string
	arm     results.Arm
	Block   int
	Invalid string // the evidence of a failed check; "" is a valid trial
	rule    string // the broken rule; "" means a usual one
	// strength is that of the attack in a search.
	strength float64
	Request  func(role string, q *record.Request)
	Server   func(line *record.Line)
}

// shape is how a variant behaves under attack.
type shape struct {
	serviceMS, attackedMS float64 // of a sequential request
	lastsS                int64   // for how long it is disturbed
	refuses               bool
	drops                 bool
	cpu, attackedCPU      float64 // busy share
	rssMiB, growthMiB     int64
	calls                 uint64
}

func shapeOf(variant string) shape {
	switch variant {
	case "no-block":
		return shape{
			serviceMS: 9, attackedMS: 620, lastsS: 19, cpu: 0.17, attackedCPU: 0.96, rssMiB: 40, growthMiB: 120,
			calls: 91000,
		}
	case "userspace-block":
		return shape{
			serviceMS: 9, attackedMS: 170, lastsS: 9, refuses: true, cpu: 0.17, attackedCPU: 0.84, rssMiB: 40,
			growthMiB: 35, calls: 52000,
		}
	}
	return shape{
		serviceMS: 9, attackedMS: 11, lastsS: 7, drops: true, cpu: 0.17, attackedCPU: 0.21, rssMiB: 42,
		growthMiB: 3, calls: 21000,
	}
}

// PaperVariants returns the three variants of the paper.
func PaperVariants() []string { return []string{"no-block", "userspace-block", "xdp-block"} }

// OneBlock returns three variants, one trial each.
func OneBlock() *Run {
	s := &Run{Experiment: results.Experiment{
		Variants:   PaperVariants(),
		Sequential: results.Load{Clients: 4, Requests: 500, RatePerSecond: 10, MaxInFlight: 1},
		Parallel:   results.Load{Clients: 4, Requests: 300, RatePerSecond: 50, DelayNS: 15 * Second, MaxInFlight: 64},
		BodyBytes:  256 << 10, Quota: 5, ServerMemoryBytes: 256 << 20,
		RequestTimeoutNS: 5 * Second, IdleTimeoutNS: 5 * Second,
		ServerCPUs: []int{0}, ClientCPUs: []int{1}, ServerKey: "rsa-2048", XDPMode: "native", SampleIntervalNS: Second / 2,
	}}
	for _, v := range s.Experiment.Variants {
		s.Trials = append(s.Trials, Trial{Variant: v, Block: 1})
	}
	return s
}

// Write makes the run directory and returns its path.
func (s *Run) Write(t *testing.T) string {
	t.Helper()
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w, err := results.Create(t.TempDir(), "synthetic", started)
	testkit.Must(t, err)
	m := &results.Manifest{
		Schema: results.SchemaVersion, ID: w.ID, Started: started,
		Command:  []string{"/usr/bin/equic-bench", "run", "scenarios/synthetic.yaml"},
		Scenario: "synthetic", ScenarioSHA256: "0123", Seed: 42, Experiment: s.Experiment, Version: "v0.0.0-test",
		Go: "go1.26",
		Machine: results.Machine{
			OS: "linux", Kernel: "6.18", Arch: "amd64", CPUModel: "Example CPU", CPUs: 2,
			MemoryBytes: 8 << 30,
		},
		Runtime:  results.Runtime{Name: "docker", Version: "20.10"},
		Warnings: []string{"made by code, not measured"},
		Cells:    s.Cells,
	}
	testkit.Must(t, w.WriteManifest(m))
	for i, trial := range s.Trials {
		one := *s
		one.Experiment = *m.ExperimentOf(trial.Cell).At(results.PlannedTrial{Strength: trial.strength})
		one.writeTrial(t, w, i+1, trial)
	}
	return w.Dir
}

func (s *Run) writeTrial(t *testing.T, w *results.Writer, index int, trial Trial) {
	t.Helper()
	planned := results.PlannedTrial{
		Index: index, Block: trial.Block, Cell: trial.Cell, Variant: trial.Variant,
		Arm: trial.arm, Strength: trial.strength,
	}
	attempt := 1
	if trial.Invalid != "" && trial.strength > 0 {
		attempt = results.Attempts // in a search it counts only if no attempt is left
	}
	tw, err := w.BeginTrial(planned, attempt)
	testkit.Must(t, err)
	meta := &results.Trial{
		PlannedTrial: planned, Attempt: attempt, Valid: trial.Invalid == "",
		Checks: []results.Check{{
			Rule: cmp.Or(trial.rule, "every node was ready before the epoch"), OK: trial.Invalid == "",
			Evidence: trial.Invalid,
		}},
	}
	rng := rand.New(rand.NewPCG(7, uint64(index)))
	add := func(role, name string, emit func(*json.Encoder)) {
		file, err := tw.Create(name + ".jsonl")
		testkit.Must(t, err)
		emit(json.NewEncoder(file))
		testkit.Must(t, file.Close())
		text, err := os.ReadFile(file.Name())
		testkit.Must(t, err)
		meta.Nodes = append(meta.Nodes,
			results.Node{Name: name, Role: role, Records: name + ".jsonl", Lines: bytes.Count(text, []byte("\n"))})
	}
	add(results.RoleServer, "server", func(e *json.Encoder) { s.serverRecords(t, e, trial, rng) })
	for i := range s.Experiment.Sequential.Clients {
		add(results.RoleSequential, fmt.Sprintf("sequential-%d", i+1), func(e *json.Encoder) {
			s.clientRecords(t, e, trial, results.RoleSequential, s.Experiment.Sequential, rng)
		})
	}
	for i := range s.Experiment.Parallel.Clients {
		add(results.RoleParallel, fmt.Sprintf("parallel-%d", i+1), func(e *json.Encoder) {
			s.clientRecords(t, e, trial, results.RoleParallel, s.Experiment.Parallel, rng)
		})
	}
	for i := range s.Experiment.Neighbour.Clients {
		add(results.RoleNeighbour, fmt.Sprintf("neighbour-%d", i+1), func(e *json.Encoder) {
			s.clientRecords(t, e, trial, results.RoleNeighbour, s.Experiment.Neighbour, rng)
		})
	}
	testkit.Must(t, tw.Commit(meta))
}

// disturbed reports whether the attack is felt at a given time.
func (s *Run) disturbed(sh shape, atNS int64) bool {
	from := s.Experiment.Parallel.DelayNS
	return s.Experiment.Parallel.Clients > 0 && atNS >= from && atNS < from+sh.lastsS*Second
}

func (s *Run) clientRecords(t *testing.T, e *json.Encoder, trial Trial, role string, load results.Load,
	rng *rand.Rand,
) {
	t.Helper()
	sh := shapeOf(trial.Variant)
	free := load.DelayNS // when a sequential client may go on
	for i := range cmp.Or(load.Requests, int(load.RatePerSecond*float64(load.DurationNS)/1e9)) {
		q := &record.Request{Seq: i, Outcome: record.OK}
		if load.RatePerSecond > 0 {
			q.ScheduledNS = load.DelayNS + int64(float64(i)/load.RatePerSecond*1e9)
		} else {
			q.ScheduledNS = free
		}
		q.StartNS = q.ScheduledNS
		ms := sh.serviceMS
		if role != results.RoleParallel {
			q.StartNS = max(q.StartNS, free)
		}
		if s.disturbed(sh, q.StartNS) {
			ms = sh.attackedMS
		}
		q.EndNS = int64(ms * (0.8 + 0.4*rng.Float64()) * 1e6)
		q.HandshakeNS, q.FirstByteNS, q.BodyNS = q.EndNS*4/10, q.EndNS*6/10, q.EndNS
		if role == results.RoleParallel && i >= 5 {
			turnAway(q, sh)
		}
		if trial.Request != nil {
			trial.Request(role, q)
		}
		free = q.StartNS + max(q.EndNS, load.PaceNS)
		testkit.Must(t, e.Encode(record.Line{Request: q}))
	}
	testkit.Must(t, e.Encode(record.Line{Client: &record.Client{Requests: load.Requests, PeakInFlight: load.MaxInFlight}}))
}

// turnAway changes a request of an attacker to that of a client over quota.
func turnAway(q *record.Request, sh shape) {
	switch {
	case sh.refuses:
		q.Outcome, q.EndNS = record.Refused, 4e6
	case sh.drops:
		q.Outcome, q.EndNS = record.Timeout, 5*Second
	default:
		return
	}
	q.HandshakeNS, q.FirstByteNS, q.BodyNS = 0, 0, 0
}

func (s *Run) serverRecords(t *testing.T, e *json.Encoder, trial Trial, rng *rand.Rand) {
	t.Helper()
	sh := shapeOf(trial.Variant)
	emit := func(line *record.Line) {
		if trial.Server != nil {
			trial.Server(line)
		}
		testkit.Must(t, e.Encode(line))
	}
	emit(&record.Line{Ready: &record.Ready{Node: "server", AtNS: -3 * Second / 2}})
	served := s.Experiment.Sequential.Clients * s.Experiment.Sequential.Requests
	server := &record.Server{Connections: served, Served: served}
	for i := range served {
		c := &record.Connection{
			StartNS: arrivalNS(s.Experiment.Sequential, i), HandshakeNS: 3e6, EndNS: 9e6, Served: 1,
			End: record.ClosedByClient,
		}
		emit(&record.Line{Connection: c})
	}
	if sh.refuses {
		server.Refusals, server.PeakPerClient = max(0, s.Experiment.Parallel.Clients*(s.Experiment.Parallel.Requests-5)), 5
		server.EmptyWallNS, server.EmptyCPUNS = 480, 350
		for i := range server.Refusals {
			cpu := int64(180e3 + 120e3*rng.Float64())
			c := &record.Connection{
				StartNS: arrivalNS(s.Experiment.Parallel, i), HandshakeNS: 3e6, EndNS: 52e5,
				End: record.RefusedByQuota,
			}
			emit(&record.Line{Connection: c})
			emit(&record.Line{Refusal: &record.Refusal{AtNS: c.StartNS + 31e5, Stage: "accepted", CPUNS: cpu, WallNS: 2 * cpu}})
		}
	}
	if sh.drops {
		server.PeakPerClient = 5
		emit(&record.Line{Gateway: &record.Gateway{
			Interface: "eth0", Mode: "native", Seen: 61000, Passed: 56000, Dropped: 5000, DropNS: 82.5, EmptyNS: 31,
			Packets: map[string]uint64{"over-quota": 5000, "under-quota": 55400, "not-udp": 600},
		}})
	}
	emit(&record.Line{Server: server})
	if trial.arm == results.Unmeasured {
		return
	}
	for _, c := range []record.Syscall{
		{Number: 47, Name: "recvmsg", Calls: sh.calls / 2, Errors: 120, TimeNS: sh.calls * 4000},
		{Number: 46, Name: "sendmsg", Calls: sh.calls / 3, TimeNS: sh.calls * 9000},
		{Number: 202, Name: "futex", Calls: sh.calls / 6, Errors: 9, TimeNS: sh.calls * 11000},
	} {
		emit(&record.Line{Syscall: &c})
	}
	n := s.samples(sh, rng, emit)
	emit(&record.Line{Probe: &record.Probe{
		UserNS: 9 * Second, SystemNS: 4 * Second, PeakRSSBytes: (sh.rssMiB + sh.growthMiB + 1) << 20,
		OwnCPUNS: Second / 5, CPUs: s.Experiment.ServerCPUs, Samples: n, SyscallCounter: true,
	}})
}

// arrivalNS returns when the server sees the first packet of the i-th request of a
// load: those of its clients come one millisecond apart, in turn.
func arrivalNS(load results.Load, i int) int64 {
	rate := load.RatePerSecond
	if rate == 0 {
		rate = 50
	}
	return load.DelayNS + int64(float64(i/load.Clients)/rate*1e9) + int64(i%load.Clients)*1e6
}

// samples prints one sample each interval, from 2 s before the epoch to 3 s
// after the load, and returns how many.
func (s *Run) samples(sh shape, rng *rand.Rand, emit func(*record.Line)) int {
	state := record.Sample{RSSBytes: sh.rssMiB << 20}
	n := 0
	for at := -2 * Second; at <= 53*Second; at += s.Experiment.SampleIntervalNS {
		share := sh.cpu
		if s.disturbed(sh, at) {
			share = sh.attackedCPU
			state.RSSBytes = min(state.RSSBytes+(sh.growthMiB<<20)/8, (sh.rssMiB+sh.growthMiB)<<20)
		}
		used := int64(share * (0.92 + 0.08*rng.Float64()) * float64(s.Experiment.SampleIntervalNS))
		state.AtNS = at
		state.CPUNS += used
		state.BusyNS += used * 9 / 10
		state.SoftIRQNS += used / 5
		state.UDPInDatagrams += 400
		state.Syscalls += uint64(used / 50_000)
		sample := state
		emit(&record.Line{Sample: &sample})
		n++
	}
	return n
}
