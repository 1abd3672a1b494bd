package compare_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

const second = int64(1e9)

// synth is a synthetic run: the same on every machine, and not measured.
type synth struct {
	seed     uint64
	blocks   int
	variants []string
	// scatter is the standard deviation of each figure's logarithm.
	scatter float64
	// The factors of the figures relative to an ordinary run.
	cpu, memory, duration, drop float64
	invalid                     func(variant string, block int) bool
	manifest                    func(*results.Manifest)
	trial                       func(*results.Trial)
}

// ordinary returns a run of ten blocks without anything special.
func ordinary(seed uint64) *synth {
	return &synth{
		seed: seed, blocks: 10, variants: []string{"userspace-block", "xdp-block"}, scatter: 0.01,
		cpu: 1, memory: 1, duration: 1, drop: 1,
		invalid:  func(string, int) bool { return false },
		manifest: func(*results.Manifest) {}, trial: func(*results.Trial) {},
	}
}

// write writes the run directory and returns its path.
func (s *synth) write(t *testing.T) string {
	t.Helper()
	started := time.Date(2026, 1, 1+int(s.seed), 3, 4, 5, 0, time.UTC)
	w, err := results.Create(t.TempDir(), "synthetic", started)
	testkit.Must(t, err)
	m := &results.Manifest{
		Schema: results.SchemaVersion, ID: w.ID, Started: started, Scenario: "synthetic", ScenarioSHA256: "0123",
		Seed: s.seed,
		Experiment: results.Experiment{
			Variants:   s.variants,
			Sequential: results.Load{Clients: 1, Requests: 450, RatePerSecond: 45, MaxInFlight: 1},
			Parallel:   results.Load{Clients: 1, Requests: 40, RatePerSecond: 10, DelayNS: 3 * second, MaxInFlight: 8},
			ServerCPUs: []int{0}, ClientCPUs: []int{1}, XDPMode: "native", SampleIntervalNS: second / 2,
		},
		Binaries: map[string]string{"equic-server": "aa", "equic-client": "bb"}, Version: "v1.0.0", Go: "go1.26",
		Machine: results.Machine{OS: "Linux", Kernel: "6.18", Arch: "amd64", CPUModel: "Example CPU", CPUs: 2},
		Runtime: results.Runtime{Name: "docker", Version: "20.10"},
	}
	s.manifest(m)
	testkit.Must(t, w.WriteManifest(m))
	rng := rand.New(rand.NewPCG(s.seed, 1))
	index := 0
	for block := range s.blocks {
		for _, v := range s.variants {
			index++
			s.writeTrial(t, w, results.PlannedTrial{Index: index, Block: block + 1, Variant: v}, rng)
		}
	}
	return w.Dir
}

func (s *synth) writeTrial(t *testing.T, w *results.Writer, p results.PlannedTrial, rng *rand.Rand) {
	t.Helper()
	valid := !s.invalid(p.Variant, p.Block)
	meta := &results.Trial{
		PlannedTrial: p, Attempt: 1, Valid: valid,
		Checks: []results.Check{{Rule: "made by code", OK: valid}},
	}
	if p.Variant == "xdp-block" {
		meta.XDPMode = "native"
	}
	s.trial(meta)
	tw, err := w.BeginTrial(meta.PlannedTrial, 1)
	testkit.Must(t, err)
	about := func(value float64) float64 { return value * math.Exp(s.scatter*rng.NormFloat64()) }
	for _, node := range []struct {
		role  string
		lines []record.Line
	}{
		{results.RoleServer, s.server(p.Variant, about)},
		{results.RoleSequential, requests(450, 0, second/45, about(9e6*s.duration))},
		{results.RoleParallel, requests(40, 3*second, second/10, 5e6)},
	} {
		file, err := tw.Create(node.role + ".jsonl")
		testkit.Must(t, err)
		e := json.NewEncoder(file)
		for i := range node.lines {
			testkit.Must(t, e.Encode(&node.lines[i]))
		}
		testkit.Must(t, file.Close())
		meta.Nodes = append(meta.Nodes, results.Node{Name: node.role, Role: node.role, Records: filepath.Base(file.Name())})
	}
	testkit.Must(t, tw.Commit(meta))
}

// requests returns n requests that are all served, each a little slower than the one
// before.
func requests(n int, fromNS, everyNS int64, ns float64) []record.Line {
	var lines []record.Line
	for i := range n {
		at := fromNS + int64(i)*everyNS
		lines = append(lines, record.Line{Request: &record.Request{
			Seq: i, ScheduledNS: at, StartNS: at, EndNS: int64(ns * (1 + float64(i)/float64(n))), Outcome: record.OK,
		}})
	}
	return lines
}

// server returns the records of the server of a trial. about adds scatter to a value.
func (s *synth) server(variant string, about func(float64) float64) []record.Line {
	var lines []record.Line
	share, calls := about(0.3*s.cpu), about(9000)
	for at := -second; at <= 11*second; at += second / 2 {
		lines = append(lines, record.Line{Sample: &record.Sample{
			AtNS: at, CPUNS: int64(share * float64(at+second)), RSSBytes: 30 << 20,
			Syscalls: uint64(calls * float64(at+second) / 1e9),
		}})
	}
	switch variant {
	case "userspace-block":
		lines = append(lines, record.Line{Refusal: &record.Refusal{CPUNS: int64(about(7500)), WallNS: 9000}})
	case "xdp-block":
		lines = append(lines, record.Line{Gateway: &record.Gateway{Mode: "native", DropNS: about(20 * s.drop)}})
	}
	return append(lines, record.Line{Probe: &record.Probe{
		PeakRSSBytes: int64(about(40 * s.memory * (1 << 20))), CPUs: []int{0}, SyscallCounter: true,
	}})
}
