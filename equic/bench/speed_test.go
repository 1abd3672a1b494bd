package bench

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

var speedFile = flag.String("speed", "", "measure the gateway, and write the table to this file (make bench-gateway)")

// TestSpeed is the benchmark of `make bench-gateway`. It fails if something cannot be
// measured or a count is lost. Whether a goal is met appears only in the table, since
// that depends on the machine.
func TestSpeed(t *testing.T) {
	if *speedFile == "" {
		t.Skip("a benchmark: make bench-gateway")
	}
	testkit.NeedRoot(t)
	var table speedTable
	t.Run("one packet, hot", func(t *testing.T) { measureHot(t, &table) })
	t.Run("one packet, without CAP_PERFMON", func(t *testing.T) { measureUnprivileged(t, &table) })
	for _, clients := range []int{1, 1 << 10, 1 << 16, 1 << 20} {
		t.Run(fmt.Sprintf("%d clients", clients), func(t *testing.T) { measureSize(t, &table, clients) })
	}
	t.Run("rate limit", func(t *testing.T) { measureRate(t, &table) })
	t.Run("flood", func(t *testing.T) { measureFlood(t, &table) })
	t.Run("counts", func(t *testing.T) { measureCounts(t, &table) })
	t.Run("inserts", func(t *testing.T) { measureInserts(t, &table) })
	t.Run("half-open", func(t *testing.T) { measureHalfOpen(t, &table) })
	if !t.Failed() {
		testkit.Must(t, os.WriteFile(*speedFile, []byte(table.String()), 0o644))
	}
}

// column is a measured program.
type column int

// The programs, in the order of the table.
const (
	emptyColumn column = iota
	algorithm1
	clockless // Algorithm 1 without reading the clock
	oursClient
	oursNew
	columns
)

// runOrder is the order in which they run. No program follows one that has just used
// the same map and left it in the cache.
var runOrder = [columns]column{emptyColumn, algorithm1, oursClient, clockless, oursNew}

var policies = map[column]equic.Policy{oursClient: equic.PolicyClient, oursNew: equic.PolicyNew}

// The goals: the share of Algorithm 1's time that a program may take.
const (
	goalEstablished = 0.5 // an established flow under PolicyNew
	goalDrop        = 0.85
	goalAny         = 1.1
	goalMany        = 0.6 // with more clients than fit in the CPU's caches
	goalFlood       = 1.0 // the rate limit, and more clients than it has words
	noGoal          = 0
)

// speedCase is one packet and the verdicts of the programs.
type speedCase struct {
	name   string
	packet []byte
	// against is the case whose time of Algorithm 1 is the reference. Empty is this
	// case.
	against string
	drops   [columns]bool
	// goals of oursClient and oursNew; the others have none.
	goals [columns]float64
}

// speedBursts is twice the number in a trial, which has less time for them. It is 4n+3,
// as spreadOf requires.
const speedBursts = 31

// runsPerBurst is the same as in equic.MeasureDrop.
const runsPerBurst = 1000

const xdpDrop, xdpPass = 1, 2 // enum xdp_action

// spread is the quartiles of a sample.
type spread struct{ q1, median, q3 float64 }

// spreadOf sorts a sample of 4n+3 values. Its quartiles then are three of the values.
func spreadOf(sample []float64) spread {
	slices.Sort(sample)
	n := len(sample)
	return spread{sample[(n-3)/4], sample[n/2], sample[n-1-(n-3)/4]}
}

// less returns the spread minus a constant.
func (s spread) less(base float64) spread {
	return spread{s.q1 - base, s.median - base, s.q3 - base}
}

// measure runs the programs of a stage in turn, in short bursts, and records one row.
// The first round warms up the caches and is not counted.
func (s *speedStage) measure(t *testing.T, table *speedTable, c speedCase) {
	t.Helper()
	var samples [columns][]float64
	var bare []float64
	for round := range speedBursts + 1 {
		ns := s.burst(t, s.bare, c.packet, false)
		if round > 0 {
			bare = append(bare, ns)
		}
		for _, i := range runOrder {
			if policy, ok := policies[i]; ok {
				s.setPolicy(t, policy)
			}
			ns := s.burst(t, s.programs[i], c.packet, c.drops[i])
			if round > 0 {
				samples[i] = append(samples[i], ns)
			}
		}
		if c.name == establishedCase { // PolicyNew does not look it up: the caches would hold less of our table
			s.setPolicy(t, equic.PolicyClient)
			s.burst(t, s.programs[oursClient], c.packet, c.drops[oursClient])
		}
	}
	// The time of the calling program does not belong to the programs.
	caller := spreadOf(samples[emptyColumn]).median - spreadOf(bare).median
	var row [columns]spread
	for i := range samples {
		row[i] = spreadOf(samples[i]).less(caller)
	}
	table.addPrograms(c, row)
}

// burst returns the mean time of one run in nanoseconds, as the kernel reports it. The
// verdict of the last run must be the one of the case.
func (s *speedStage) burst(t *testing.T, p *ebpf.Program, packet []byte, drops bool) float64 {
	t.Helper()
	verdict, mean, err := p.Benchmark(packet, s.runs, nil)
	testkit.Must(t, err)
	if want := map[bool]uint32{true: xdpDrop, false: xdpPass}[drops]; verdict != want {
		t.Fatalf("%s returned %d, want %d", p, verdict, want)
	}
	return float64(mean.Nanoseconds())
}

// pinTest pins the test to the first CPU that it may use. The thread ends with the
// test.
func pinTest(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var allowed, one unix.CPUSet
	testkit.Must(t, unix.SchedGetaffinity(0, &allowed))
	first := 0
	for !allowed.IsSet(first) { // the kernel never returns an empty set
		first++
	}
	one.Set(first)
	testkit.Must(t, unix.SchedSetaffinity(0, &one))
}
