package orchestrate

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// saturatedMachine defines the costs of requests in a run whose capacity is known. Times are in ms.
type saturatedMachine struct {
	serve, refuse             float64 // of the server's CPU
	clientServe, clientRefuse float64 // of the clients' CPU
	serverBusy                float64 // in 0..1
	foreign                   float64 // of the server's CPU, by another process
}

// write writes the run of the saturated machine.
func (m saturatedMachine) write(t *testing.T) *results.Run {
	t.Helper()
	w, err := results.Create(t.TempDir(), "capacity", time.Now())
	testkit.Must(t, err)
	testkit.Must(t, w.WriteManifest(&results.Manifest{Schema: results.SchemaVersion, ID: w.ID}))
	for i, variant := range []record.Variant{record.NoBlock, record.UserspaceBlock} {
		m.trial(t, w, results.PlannedTrial{Index: i + 1, Block: 1, Variant: string(variant)})
	}
	run, err := results.Open(w.Dir)
	testkit.Must(t, err)
	return run
}

// trial keeps the server busy for 5 s; in userspace-block, three of four requests are
// refused.
func (m saturatedMachine) trial(t *testing.T, w *results.Writer, p results.PlannedTrial) {
	t.Helper()
	refused := 0.0
	if p.Variant == string(record.UserspaceBlock) {
		refused = 0.75
	}
	own := m.serverBusy - m.foreign
	perS := own * 1000 / ((1-refused)*m.serve + refused*m.refuse) // requests
	out, err := w.BeginTrial(p, 1)
	testkit.Must(t, err)
	trial := &results.Trial{PlannedTrial: p, Attempt: 1}
	node := func(role string, lines []record.Line) {
		f, err := out.Create(role + ".jsonl")
		testkit.Must(t, err)
		testkit.Must(t, record.NewPrinter(f).Print(lines...))
		testkit.Must(t, f.Close())
		trial.Nodes = append(trial.Nodes, results.Node{Name: role, Role: role, Records: role + ".jsonl", Lines: len(lines)})
	}
	var server, client []record.Line
	for ms := int64(0); ms <= 5000; ms += 100 {
		at, elapsed := ms*1e6, float64(ms)*1e6
		server = append(server, record.Line{Sample: &record.Sample{
			AtNS: at, BusyNS: int64(m.serverBusy * elapsed),
			// A tenth of its time it receives, in threads of the kernel.
			CPUNS: int64(0.9 * own * elapsed), ReceiveNS: int64(0.1 * own * elapsed),
		}})
		perRequest := (1-refused)*m.clientServe + refused*m.clientRefuse
		client = append(client, record.Line{Sample: &record.Sample{
			AtNS:  at,
			CPUNS: int64(perS * perRequest * float64(ms) * 1e3),
		}})
	}
	for i := range int(5 * perS) {
		q := &record.Request{Seq: i, StartNS: int64(float64(i) / perS * 1e9), Outcome: record.OK}
		if i%4 != 0 && refused > 0 {
			q.Outcome = record.Refused
		}
		client = append(client, record.Line{Request: q})
	}
	probe := record.Line{Probe: &record.Probe{CPUs: []int{0}}}
	node(results.RoleServer, append(server, probe))
	node(results.RoleParallel, append(client, probe))
	testkit.Must(t, out.Commit(trial))
}

func TestTheCapacityOfAKnownMachineIsFound(t *testing.T) {
	for name, m := range map[string]saturatedMachine{
		"a busy server":              {serve: 7, refuse: 5, clientServe: 2, clientRefuse: 1, serverBusy: 1},
		"clients that are the limit": {serve: 2, refuse: 1.5, clientServe: 2.7, clientRefuse: 1, serverBusy: 0.73},
		"a server of two thirds":     {serve: 2, refuse: 1, clientServe: 1, clientRefuse: 1, serverBusy: 0.66},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := readCapacity(m.write(t), "a")
			testkit.Must(t, err)
			near := func(what string, got, want float64) {
				if math.Abs(got/want-1) > 0.1 {
					t.Errorf("%s is %.2f, want %.2f", what, got, want)
				}
			}
			near("the capacity", c.ServingPerS, 1000/m.serve)
			near("refusals per second", c.RefusingPerS, 1000/m.refuse)
			near("a client's cost of a request", c.ServingClientNS, m.clientServe*1e6)
			near("a client's cost of a refusal", c.RefusingClientNS, m.clientRefuse*1e6)
			if c.Point != "a" || c.Requests == 0 || c.ClientCPUs != 1 {
				t.Errorf("evidence %+v", c)
			}
		})
	}
}

func TestACapacityThatIsNotTheServersIsAnError(t *testing.T) {
	m := saturatedMachine{serve: 7, refuse: 5, clientServe: 2, clientRefuse: 1, serverBusy: 1, foreign: 0.3}
	_, err := readCapacity(m.write(t), "")
	if !errors.Is(err, ErrCapacity) ||
		!strings.Contains(err.Error(),
			"100 requests/s were served by a busy server, but by its CPU time it can serve 143/s") {
		t.Errorf("something else has 30 %% of the server's CPU: %v", err)
	}
	run := m.write(t)
	run.Trials = run.Trials[1:]
	if _, err := readCapacity(run, ""); !errors.Is(err, ErrCapacity) {
		t.Errorf("error %v without a trial that serves", err)
	}
}

func TestTheCapacityIsMeasuredUntilTheClientsCanStartTheAttack(t *testing.T) {
	can := func(multiple float64) any { // the clients' CPU is the limit
		return &results.Capacity{
			ServingPerS: 100, ServingClientNS: 5e6, ClientCPUs: 1,
			RefusingClientNS: 0.4e9 / (100 * (multiple - 1)),
		}
	}
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		measured []any   // capacities and errors, in turn
		want     float64 // the multiple by which the clients can start most
		err      error
	}{
		"the first is enough":                 {[]any{can(2.5), broken}, 2.5, nil},
		"the second is enough":                {[]any{can(1.5), can(2.5), broken}, 2.5, nil},
		"none is enough: the best":            {[]any{can(1.5), can(1.8), can(1.4), broken}, 1.8, nil},
		"a disturbed one is measured again":   {[]any{errDisturbed, can(2.5), broken}, 2.5, nil},
		"a disturbed one takes no other away": {[]any{can(1.5), errDisturbed, errDisturbed, broken}, 1.5, nil},
		"all are disturbed":                   {[]any{errDisturbed, errDisturbed, errDisturbed, broken}, 0, errDisturbed},
		"an error ends it":                    {[]any{can(1.5), broken, can(2.5)}, 0, broken},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			c, err := measureUntil(2, func(again string) (*results.Capacity, error) {
				if first != (again == "") {
					t.Errorf("first measurement: %v, reason for another: %q", first, again)
				}
				first = false
				next := test.measured[0]
				test.measured = test.measured[1:]
				if err, ok := next.(error); ok {
					return nil, err
				}
				return next.(*results.Capacity), nil
			})
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil && math.Abs(strongest(c)-test.want) > 1e-9 {
				t.Errorf("the clients can start %v times the capacity, want %v", strongest(c), test.want)
			}
		})
	}
}

func TestAnAttackThatTheClientsCannotMakeIsRefused(t *testing.T) {
	c := &results.Capacity{ServingPerS: 500, ServingClientNS: 1.6e6, RefusingClientNS: 0.8e6, ClientCPUs: 1}
	attack := func(strength float64) *scenarios.Scenario {
		return &scenarios.Scenario{Parallel: scenarios.Clients{Count: 4, Strength: strength}}
	}
	if err := reaches(attack(1.2), c); err != nil {
		t.Errorf("1.2x needs 0.88 of a CPU: %v", err)
	}
	err := reaches(attack(2), c)
	if !errors.Is(err, ErrCapacity) || !strings.Contains(err.Error(), "can start 1.2 times that at most, not 2 times") {
		t.Errorf("2x needs 1.2 CPUs: %v", err)
	}
	content := attack(2)
	content.Parallel.UpTo = true
	if err := reaches(content, c); err != nil {
		t.Errorf("what the clients can start will do: %v", err)
	}
	c.ServingClientNS = 100e6
	if err := reaches(content, c); !errors.Is(err, ErrCapacity) {
		t.Errorf("less than 0.1x is no attack: %v", err)
	}
	if err := reaches(attack(2), &results.Capacity{ServingPerS: 500, Given: true}); err != nil {
		t.Errorf("a capacity that was given says nothing of the clients: %v", err)
	}
}

func TestTheCapacityOfAServerIsFoundOnceForAllStrengths(t *testing.T) {
	const file = `name: x
clients: {parallel: {count: 4, requests: 10, rate: 1x}}
matrix:
  server.key: [rsa-2048, ecdsa-p256]
  clients.parallel.rate: [0.5x, 2x]
`
	s, err := scenarios.Parse("x.yaml", []byte(file))
	testkit.Must(t, err)
	all, err := withCapacity(t.Context(), s, nil, Options{Capacity: 100})
	testkit.Must(t, err)
	if len(all) != 2 || all[0].Point != "rsa-2048" || all[1].Point != "ecdsa-p256" {
		t.Errorf("capacities %+v, want one for each key", all)
	}
	for cell, want := range map[string]float64{"rsa-2048-0.5x": 12.5, "ecdsa-p256-2x": 50} {
		if got := s.CellNamed(cell).Parallel.Rate; got != want {
			t.Errorf("%s: each attacker starts %v/s, want %v", cell, got, want)
		}
	}
}

func TestRatesFollowFromTheCapacityOfThePoint(t *testing.T) {
	const file = `name: x
loads:
  a: {parallel: {count: 4, requests: 10, rate: 2x}}
  b: {parallel: {count: 2, requests: 10, rate: 7/s}}
  c: {parallel: {count: 4, requests: 10, rate: up to 2x}}
  d: {parallel: {count: 4, requests: 10, rate: up to 1x}}
matrix:
  server.key: [rsa-2048, ecdsa-p256]
`
	s, err := scenarios.Parse("x.yaml", []byte(file))
	testkit.Must(t, err)
	s.SetRates(func(point string) (capacity, most float64) {
		return map[string]float64{"rsa-2048": 500, "ecdsa-p256": 600}[point], 1.5
	})
	for cell, want := range map[string]struct{ rate, reached float64 }{
		"a-rsa-2048": {250, 0}, "a-ecdsa-p256": {300, 0}, "b-rsa-2048": {7, 0},
		"c-rsa-2048": {187.5, 1.5}, "c-ecdsa-p256": {225, 1.5}, "d-rsa-2048": {125, 0},
	} {
		if got := s.CellNamed(cell).Parallel; got.Rate != want.rate || got.Reached != want.reached {
			t.Errorf("%s: %v/s at %vx, want %+v", cell, got.Rate, got.Reached, want)
		}
	}
}

func TestTheClientsCPUsAreThoseOfAllTheirHosts(t *testing.T) {
	run := saturatedMachine{serve: 7, refuse: 5, clientServe: 2, clientRefuse: 1, serverBusy: 1}.write(t)
	for _, trial := range run.Trials {
		second := trial.Nodes[1]
		trial.Nodes[1].Host, second.Host = "a", "b"
		trial.Nodes = append(trial.Nodes, second, second)
	}
	c, err := readCapacity(run, "")
	testkit.Must(t, err)
	if c.ClientCPUs != 2 || c.ServerCPUs != 1 {
		t.Errorf("%d and %d CPUs, want one of each of two hosts, and the server's", c.ClientCPUs, c.ServerCPUs)
	}
}

func TestATrialThatWasGivenUpIsRepeatedInAMeasurementToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		o.Once = true
		rt, started := newFake(s), 0
		rt.start = func(_ context.Context, name string) error {
			if name != "sequential-1" {
				return nil
			}
			if started++; started == 1 {
				return &LostError{"its host is down"}
			}
			return nil
		}
		outcome, err := Run(t.Context(), s, rt, o)
		testkit.Must(t, err)
		if run := checkSealed(t, outcome.Dir); len(run.Trials) != 2 || !run.Trials[1].Valid {
			t.Errorf("%d trials", len(run.Trials))
		}
	})
}

func TestAnErrorAfterAnInvalidTrialEndsTheMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testScenario()
		rt, opened := newFake(saturatingScenario(s)), 0
		rt.open = func(context.Context, Spec) error {
			if opened++; opened > 1 {
				return errEngine
			}
			return nil // and the trial is invalid: its clients start nothing
		}
		if c, err := saturate(t.Context(), s, rt, testOptions(t)); !errors.Is(err, errEngine) {
			t.Errorf("%+v, error %v; want that of the engine", c, err)
		}
	})
}
