package orchestrate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRuntime runs nodes as goroutines. By default they behave like a calm server and
// its clients.
type fakeRuntime struct {
	Runtime  // nil: the trial loop neither cleans nor closes
	scenario *scenarios.Scenario
	platform Platform
	prepare  func(ctx context.Context) error
	open     func(ctx context.Context, s Spec) error
	// start and signal are called before a node is started or signalled.
	start, signal func(ctx context.Context, name string) error
	// locations are where nodes run, by name.
	locations map[string]Location
	// arrived is the frames of floods that reached the server; nil is unknown.
	arrived *Arrivals
	// programs replace the behaviour of nodes, by name.
	programs map[string]program
	// edit changes a record before it is printed; false drops it.
	edit func(p *process, l *record.Line) bool

	mu     sync.Mutex
	opened int
	live   map[*fakeNodes]bool
}

func (r *fakeRuntime) Platform() Platform { return r.platform }

func (r *fakeRuntime) Prepare(ctx context.Context, _ string) error {
	if r.prepare == nil {
		return nil
	}
	return r.prepare(ctx)
}

func (r *fakeRuntime) Open(ctx context.Context, s Spec) (Nodes, error) {
	if r.open != nil {
		if err := r.open(ctx, s); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &fakeNodes{runtime: r, spec: s, processes: map[string]*process{}}
	r.opened++
	r.live[n] = true
	return n, nil
}

// left returns for how many trials the nodes have not been removed.
func (r *fakeRuntime) left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live)
}

// fakeNodes are the nodes of one trial.
type fakeNodes struct {
	runtime *fakeRuntime
	spec    Spec

	mu        sync.Mutex
	processes map[string]*process
}

func (n *fakeNodes) Start(ctx context.Context, name string, stdout, stderr io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n.runtime.start != nil {
		if err := n.runtime.start(ctx, name); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(n.spec.Nodes, func(s NodeSpec) bool { return s.Name == name })
	p := &process{
		runtime: n.runtime, trial: n.spec, spec: n.spec.Nodes[i],
		stdout: stdout, stderr: stderr,
		signals: make(chan syscall.Signal, 2), done: make(chan struct{}),
	}
	n.mu.Lock()
	n.processes[name] = p
	n.mu.Unlock()
	go p.run()
	return nil
}

func (n *fakeNodes) process(name string) *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.processes[name]
}

func (n *fakeNodes) Wait(ctx context.Context, name string) (int, error) {
	p := n.process(name)
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-p.done:
		return p.exitCode, nil
	}
}

func (n *fakeNodes) Signal(ctx context.Context, name string, s syscall.Signal) error {
	if err := ctx.Err(); err != nil { // as an engine answers
		return err
	}
	if n.runtime.signal != nil {
		if err := n.runtime.signal(ctx, name); err != nil {
			return err
		}
	}
	select {
	case n.process(name).signals <- s:
	default:
	}
	return nil
}

func (n *fakeNodes) Location(name string) Location { return n.runtime.locations[name] }

func (n *fakeNodes) Arrived() (*Arrivals, error) { return n.runtime.arrived, nil }

func (n *fakeNodes) Detach() {
	n.mu.Lock()
	all := slices.Collect(maps.Values(n.processes))
	n.mu.Unlock()
	for _, p := range all {
		select {
		case p.signals <- syscall.SIGKILL:
		default:
		}
		<-p.done
	}
}

func (n *fakeNodes) Remove(ctx context.Context) error {
	n.Detach()
	n.runtime.mu.Lock()
	defer n.runtime.mu.Unlock()
	delete(n.runtime.live, n)
	return ctx.Err()
}

// program is the behaviour of a node; it returns the exit code.
type program func(p *process) int

// process is one running node.
type process struct {
	runtime        *fakeRuntime
	trial          Spec
	spec           NodeSpec
	stdout, stderr io.Writer
	signals        chan syscall.Signal
	done           chan struct{}
	exitCode       int
}

func (p *process) run() {
	defer close(p.done)
	do := map[string]program{results.RoleServer: calmServer}[p.spec.Role]
	if do == nil {
		do = calmClient
	}
	if other := p.runtime.programs[p.spec.Name]; other != nil {
		do = other
	}
	p.exitCode = do(p)
}

// print prints records, after the test's edit.
func (p *process) print(lines ...record.Line) {
	for _, l := range lines {
		if p.runtime.edit == nil || p.runtime.edit(p, &l) {
			p.printAsItIs(l)
		}
	}
}

func (p *process) printAsItIs(l record.Line) {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	p.say(string(text) + "\n")
}

func (p *process) say(text string) {
	if _, err := io.WriteString(p.stdout, text); err != nil {
		panic(err)
	}
}

func (p *process) epoch() time.Time {
	for _, e := range p.spec.Env {
		if text, ok := strings.CutPrefix(e, "EQUIC_EPOCH="); ok {
			ns, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				panic(err)
			}
			return time.Unix(0, ns)
		}
	}
	panic("node " + p.spec.Name + " was given no epoch")
}

func (p *process) now() int64 { return time.Since(p.epoch()).Nanoseconds() }

// until waits until a time after the epoch, or for a signal, and returns the signal's
// exit code.
func (p *process) until(at time.Duration) (code int, interrupted bool) {
	timer := time.NewTimer(time.Until(p.epoch().Add(at)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0, false
	case s := <-p.signals:
		return 128 + int(s), true
	}
}

// calmServer is ready at once, serves all clients, and stops when it is asked to.
func calmServer(p *process) int {
	ready := record.Ready{Node: p.spec.Name, AtNS: p.now()}
	xdp := record.Variant(p.trial.Trial.Variant).InKernel()
	if xdp {
		ready.XDPMode = p.runtime.scenario.Server.XDPMode
	}
	p.print(record.Line{Ready: &ready})
	if s := <-p.signals; s != syscall.SIGTERM {
		return 128 + int(s)
	}
	for _, n := range p.trial.Nodes[1:] {
		p.print(record.Line{Connection: &record.Connection{Client: n.Address.String(), Served: p.group(n.Role).Requests}})
	}
	if xdp {
		p.print(record.Line{Gateway: &record.Gateway{
			Mode: ready.XDPMode, Seen: 10, Passed: 6, Dropped: 4,
			Packets: map[string]uint64{"drop_over_quota": 4},
		}})
	}
	totals := record.Server{PeakPerClient: p.runtime.scenario.Server.Quota}
	if !xdp && record.Variant(p.trial.Trial.Variant) != record.NoBlock {
		totals.Refusals = 3
	}
	p.print(record.Line{Server: &totals})
	p.probe()
	return 0
}

// calmClient keeps its schedule; each of its requests takes 5 ms.
func calmClient(p *process) int {
	c := p.group(p.spec.Role)
	p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now()}})
	if code, interrupted := p.until(c.Delay + c.Scheduled()/2); interrupted {
		return code
	}
	p.print(record.Line{Progress: &record.Progress{Started: c.Requests / 2, Done: c.Requests / 2}})
	if code, interrupted := p.until(c.End()); interrupted {
		return code
	}
	for i := range c.Requests {
		at := (c.Delay + c.Scheduled()*time.Duration(i)/time.Duration(c.Requests)).Nanoseconds()
		p.print(record.Line{Request: &record.Request{Seq: i, ScheduledNS: at, StartNS: at, EndNS: 5e6, Outcome: record.OK}})
	}
	p.print(record.Line{Client: &record.Client{Requests: c.Requests}})
	p.probe()
	return 0
}

func (p *process) group(role string) scenarios.Clients {
	if role == results.RoleSequential {
		return p.runtime.scenario.Sequential
	}
	return p.runtime.scenario.Parallel
}

// probe prints samples of a node whose CPUs are half busy, and the end.
func (p *process) probe() {
	n := 0
	for at := -p.runtime.scenario.Trial.Startup.Nanoseconds(); at < p.now(); at += 1e8 {
		p.print(record.Line{Sample: &record.Sample{AtNS: at, BusyNS: 1e9 + at/2, CPUNS: at / 2}})
		n++
	}
	p.print(record.Line{Probe: &record.Probe{CPUs: []int{0}, Samples: n, SyscallCounter: true}})
}

// testScenario returns a small experiment: four seconds of load, with an attack of one
// second.
func testScenario() *scenarios.Scenario {
	return &scenarios.Scenario{
		Name:        "test",
		Variants:    []record.Variant{record.NoBlock, record.UserspaceBlock, record.XDPBlock},
		Repetitions: 1,
		Server: scenarios.Server{
			Body: 1024, Quota: 5, IdleTimeout: time.Second, CPUs: []int{0}, Memory: 64 << 20, XDPMode: "native",
		},
		Sequential: scenarios.Clients{
			Count: 2, Requests: 40, Rate: 10, MaxInFlight: 1, Timeout: time.Second, CPUs: []int{1},
			KeyExchange: "x25519",
		},
		Parallel: scenarios.Clients{
			Count: 2, Requests: 20, Rate: 20, Delay: time.Second, MaxInFlight: 20, Timeout: time.Second, CPUs: []int{1},
			KeyExchange: "x25519",
		},
		Network: scenarios.Network{Subnet: "10.9.8.0/24", Port: 4433},
		Trial: scenarios.Trial{
			Startup: time.Second, SampleInterval: 100 * time.Millisecond, Drain: 2 * time.Second,
			Syscalls: true,
		},
		Text: []byte("name: test\n"),
	}
}

// oneTrial returns testScenario with one variant.
func oneTrial(v record.Variant) *scenarios.Scenario {
	s := testScenario()
	s.Variants = []record.Variant{v}
	return s
}

func newFake(s *scenarios.Scenario) *fakeRuntime {
	return &fakeRuntime{
		scenario: s,
		platform: Platform{Runtime: fakeMachine(), CPUs: []int{0, 1}, BinDir: "/"},
		live:     map[*fakeNodes]bool{},
	}
}

func fakeMachine() results.Runtime {
	return results.Runtime{
		Name: "fake", Version: "20.10", CgroupMode: "v1",
		Limits: []string{"no new privileges", "read-only root"},
	}
}

func testOptions(t *testing.T) Options {
	t.Helper()
	bin := t.TempDir()
	for _, name := range Binaries() {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Options{Results: t.TempDir(), Seed: 7, BinDir: bin, Command: []string{"equic-bench", "run"}, Version: "test"}
}

// checkSealed opens a run directory and verifies it, as `equic-bench verify` does.
func checkSealed(t *testing.T, dir string) *results.Run {
	t.Helper()
	run, err := results.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if run.Manifest.Ended.IsZero() {
		t.Error("the manifest does not say when the run ended")
	}
	verified, err := results.Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	judged := validity.Verify(verified.Manifest, verified.Trials, run.Lines)
	for _, f := range append(verified.Findings, judged) {
		if f.Status != results.Holds {
			t.Errorf("the run does not verify: %+v", f)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, results.TrialsDir))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(run.Trials) {
		t.Errorf("%d trial folders, %d whole trials", len(entries), len(run.Trials))
	}
	return run
}

var errEngine = errors.New("engine is gone")
