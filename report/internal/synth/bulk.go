package synth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Bulk is a generated run of any size: nodes print everything that real ones print, in
// the same proportions, and nothing of it is kept in memory.
type Bulk struct {
	Requests int // of all clients and trials together, rounded down to whole clients
	Blocks   int
}

const (
	bulkClients  = 4 // of each group
	bulkInterval = Second / 10
)

// loads returns the groups of each trial: half of the requests each, and the attack in
// the middle of the sequential load.
func (b Bulk) loads() (sequential, parallel results.Load) {
	each := b.Requests / (b.Blocks * len(PaperVariants()) * 2 * bulkClients)
	sequential = results.Load{Clients: bulkClients, Requests: each, RatePerSecond: 100, MaxInFlight: 1}
	parallel = results.Load{Clients: bulkClients, Requests: each, RatePerSecond: 150, MaxInFlight: 64}
	parallel.DelayNS = sequential.ScheduledNS() / 6
	return sequential, parallel
}

// Write makes the run directory under root and returns its path.
func (b Bulk) Write(t *testing.T, root string) string {
	t.Helper()
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w, err := results.Create(root, "bulk", started)
	testkit.Must(t, err)
	m := &results.Manifest{
		Schema: results.SchemaVersion, ID: w.ID, Started: started,
		Command:  []string{"equic-bench", "run", "scenarios/bulk.yaml"},
		Scenario: "bulk", Seed: 42, Version: "v0.0.0-test", Go: "go1.26", Runtime: results.Runtime{Name: "docker"},
		Warnings: []string{"made by code, not measured"},
		Experiment: results.Experiment{
			Variants: PaperVariants(), BodyBytes: 256 << 10, Quota: 5, ServerMemoryBytes: 256 << 20,
			RequestTimeoutNS: 5 * Second, IdleTimeoutNS: 5 * Second, SampleIntervalNS: bulkInterval,
			ServerCPUs: []int{0}, ClientCPUs: []int{1}, ServerKey: "rsa-2048", XDPMode: "native",
		},
	}
	m.Experiment.Sequential, m.Experiment.Parallel = b.loads()
	testkit.Must(t, w.WriteManifest(m))
	for block := range b.Blocks {
		for i, variant := range m.Experiment.Variants {
			b.writeTrial(t, w, results.PlannedTrial{
				Index: block*len(m.Experiment.Variants) + i + 1, Block: block + 1,
				Variant: variant,
			})
		}
	}
	return w.Dir
}

func (b Bulk) writeTrial(t *testing.T, w *results.Writer, planned results.PlannedTrial) {
	t.Helper()
	tw, err := w.BeginTrial(planned, 1)
	testkit.Must(t, err)
	meta := &results.Trial{PlannedTrial: planned, Attempt: 1, Valid: true}
	node := &bulkNode{t: t, shape: shapeOf(planned.Variant), rng: rand.New(rand.NewPCG(11, uint64(planned.Index)))}
	add := func(role string, n int, emit func()) {
		name := fmt.Sprintf("%s-%d", role, n)
		file, err := tw.Create(name + ".jsonl")
		testkit.Must(t, err)
		out := bufio.NewWriterSize(file, 1<<20)
		node.encoder, node.sampled = json.NewEncoder(out), record.Sample{AtNS: -2 * Second, RSSBytes: 40 << 20}
		node.print(record.Line{Ready: &record.Ready{Node: name, AtNS: -3 * Second}})
		emit()
		node.finish()
		testkit.Must(t, out.Flush())
		testkit.Must(t, file.Close())
		meta.Nodes = append(meta.Nodes, results.Node{Name: name, Role: role, Records: name + ".jsonl"})
	}
	sequential, parallel := b.loads()
	add(results.RoleServer, 1, func() { node.server(sequential, parallel) })
	for n := range bulkClients {
		add(results.RoleSequential, n+1, func() { node.client(results.RoleSequential, sequential) })
		add(results.RoleParallel, n+1, func() { node.client(results.RoleParallel, parallel) })
	}
	testkit.Must(t, tw.Commit(meta))
}

// bulkNode prints the records of one node after the other.
type bulkNode struct {
	t       *testing.T
	encoder *json.Encoder
	rng     *rand.Rand
	shape   shape
	sampled record.Sample // the last
	samples int
}

func (n *bulkNode) print(line record.Line) {
	n.t.Helper()
	testkit.Must(n.t, n.encoder.Encode(&line))
}

// until prints the samples that are due before a given time.
func (n *bulkNode) until(atNS int64) {
	for s := &n.sampled; s.AtNS < atNS; n.samples++ {
		used := int64(n.shape.cpu * (0.9 + 0.2*n.rng.Float64()) * float64(bulkInterval))
		s.AtNS += bulkInterval
		s.CPUNS += used
		s.BusyNS += used * 9 / 10
		s.SoftIRQNS += used / 5
		s.RSSBytes += int64(n.rng.IntN(8)-4) << 12
		s.Syscalls += uint64(n.rng.IntN(2000))
		s.UDPInDatagrams += uint64(n.rng.IntN(400))
		n.print(record.Line{Sample: s})
	}
}

func (n *bulkNode) finish() {
	n.print(record.Line{Syscall: &record.Syscall{
		Number: 47, Name: "recvmsg", Calls: n.shape.calls, Errors: 120,
		TimeNS: n.shape.calls * 4000,
	}})
	n.print(record.Line{Probe: &record.Probe{
		UserNS: 9 * Second, SystemNS: 4 * Second, PeakRSSBytes: 60 << 20, OwnCPUNS: Second / 5,
		CPUs: []int{0}, Samples: n.samples, SyscallCounter: true,
	}})
	n.samples = 0
}

// spread returns a duration around a median, with a long tail.
func (n *bulkNode) spread(medianMS float64) int64 {
	return int64(medianMS * 1e6 * math.Exp(0.5*n.rng.NormFloat64()))
}

func (n *bulkNode) client(role string, load results.Load) {
	step := float64(Second) / load.RatePerSecond
	for i := range load.Requests {
		q := &record.Request{
			Seq: i, ScheduledNS: load.DelayNS + int64(float64(i)*step), Outcome: record.OK,
			BodyBytes: 256 << 10,
		}
		q.StartNS = q.ScheduledNS + n.rng.Int64N(200_000)
		q.EndNS = n.spread(n.shape.serviceMS)
		q.HandshakeNS, q.FirstByteNS, q.BodyNS = q.EndNS*4/10, q.EndNS*6/10, q.EndNS-n.rng.Int64N(q.EndNS/10)
		if role == results.RoleParallel && i >= 5 {
			turnBulkAway(q, n.shape)
		}
		n.until(q.ScheduledNS)
		n.print(record.Line{Request: q})
		if i%int(load.RatePerSecond) == 0 {
			n.print(record.Line{Progress: &record.Progress{AtNS: q.StartNS, Started: i + 1, Done: i, OK: i}})
		}
	}
	n.print(record.Line{Client: &record.Client{Requests: load.Requests, PeakInFlight: load.MaxInFlight}})
}

// turnBulkAway is turnAway, with the fields that a client prints besides the times.
func turnBulkAway(q *record.Request, sh shape) {
	turnAway(q, sh)
	switch q.Outcome {
	case record.Refused:
		q.Code, q.Error = new(uint64(0x107)), "Application error 0x107 (remote): over quota"
	case record.Timeout:
		q.Error = "context deadline exceeded"
	default:
		return
	}
	q.BodyBytes = 0
}

func (n *bulkNode) server(sequential, parallel results.Load) {
	served := sequential.Clients * sequential.Requests
	totals := &record.Server{PeakPerClient: 5}
	for i := range served {
		n.connection(sequential, i, record.ClosedByClient)
	}
	switch offered := parallel.Clients * parallel.Requests; {
	case n.shape.refuses:
		totals.Refusals = offered
		for i := range offered {
			at := n.connection(parallel, i, record.RefusedByQuota)
			cpu := n.spread(0.02)
			n.print(record.Line{Refusal: &record.Refusal{
				Client: bulkAddress(i), AtNS: at, Stage: "accepted", CPUNS: cpu,
				WallNS: 2 * cpu,
			}})
		}
	case n.shape.drops:
		n.print(record.Line{Gateway: &record.Gateway{
			Interface: "eth0", Mode: "native", Seen: 61000, Passed: 56000,
			Dropped: 5000, DropNS: 82.5, EmptyNS: 31,
		}})
	default:
		for i := range offered {
			n.connection(parallel, i, record.ClosedByClient)
		}
		served += offered
	}
	totals.Connections, totals.Served = served, served
	n.print(record.Line{Server: totals})
}

// connection prints the i-th connection of a group, and returns its start.
func (n *bulkNode) connection(load results.Load, i int, end record.ConnectionEnd) int64 {
	c := &record.Connection{Client: bulkAddress(i), End: end, HandshakeNS: n.spread(3), EndNS: n.spread(9)}
	c.StartNS = load.DelayNS + int64(float64(i/load.Clients)*float64(Second)/load.RatePerSecond)
	if end == record.ClosedByClient {
		c.Served, c.BodyBytes = 1, 256<<10
	}
	n.until(c.StartNS)
	n.print(record.Line{Connection: c})
	return c.StartNS
}

func bulkAddress(i int) string { return fmt.Sprintf("172.28.0.%d", 10+i%bulkClients) }
