package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

func TestAWholeRunIsWrittenAndSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		rt := newFake(s)
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(outcome.Trials) != 3 || rt.left() != 0 {
			t.Fatalf("%d trials, %d not removed; want 3 and 0", len(outcome.Trials), rt.left())
		}
		run := checkSealed(t, outcome.Dir)
		for _, trial := range run.Trials {
			if !trial.Valid {
				t.Errorf("%s: %s", trial.Name(), new(runner).verdict(trial))
			}
			if len(trial.Nodes) != 5 || len(trial.Warnings) != 0 {
				t.Errorf("%s: %d nodes, warnings %q", trial.Name(), len(trial.Nodes), trial.Warnings)
			}
			if want := (3900+5)*time.Millisecond.Nanoseconds() + 0; trial.LoadEndNS != want {
				t.Errorf("%s: load ended at %d ns, want %d", trial.Name(), trial.LoadEndNS, want)
			}
		}
		checkManifest(t, &run.Manifest, s, o)
	})
}

func checkManifest(t *testing.T, m *results.Manifest, s *scenarios.Scenario, o Options) {
	t.Helper()
	if m.Seed != o.Seed || !slices.Equal(m.Plan, Plan(s, o.Seed)) {
		t.Errorf("seed %d and plan %v are not those of the run", m.Seed, m.Plan)
	}
	if len(m.Binaries) != len(Binaries()) || m.Runtime.Name != "fake" || m.Version != "test" || m.Machine.CPUs == 0 {
		t.Errorf("the manifest is not complete: %+v", m)
	}
	if e := m.Experiment; len(e.Variants) != 3 || e.Parallel.DelayNS != 1e9 || !slices.Equal(e.ClientCPUs, []int{1}) {
		t.Errorf("experiment %+v", e)
	}
}

func TestEventsTellPhasesAndRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		var phases []string
		most := 0
		o.OnEvent = func(e Event) {
			if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
				phases = append(phases, e.Phase)
			}
			most = max(most, e.Requests)
		}
		if _, err := Run(t.Context(), s, newFake(s), o); err != nil {
			t.Fatal(err)
		}
		want := []string{PhasePrepare, PhaseStart, PhaseBefore, PhaseAttack, PhaseAfter, PhaseStop, PhaseCheck, PhaseDone}
		// A loaded host may add a warning, which is also an event of PhasePrepare.
		if !slices.Equal(phases, want) {
			t.Errorf("phases %q, want %q", phases, want)
		}
		if most != 120 {
			t.Errorf("at most %d requests were told, want all 120", most)
		}
	})
}

// nodeFault is a node that misbehaves, and the rule that it breaks.
type nodeFault struct {
	node    string
	program program
	rule    string
	says    string
}

func nodeFaults() map[string]nodeFault {
	hang := func(p *process) int { return 128 + int(<-p.signals) }
	return map[string]nodeFault{
		"the server dies in the middle": {"server", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{AtNS: p.now()}})
			if code, interrupted := p.until(2 * time.Second); interrupted {
				return code
			}
			return 137
		}, validity.RuleAlive, "server ended with exit code 137"},
		"the server ends early without an error": {"server", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{AtNS: p.now()}})
			return 0
		}, validity.RuleAlive, "server ended with exit code 0"},
		"a client dies, with last words": {"parallel-2", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{AtNS: p.now()}})
			fmt.Fprintln(p.stderr, "no route to host")
			return 1
		}, validity.RuleAlive, `its last words: "no route to host"`},
		"the server is never ready": {"server", hang, validity.RuleReady, "server was never ready"},
		"a client is never ready":   {"sequential-2", hang, validity.RuleReady, "sequential-2 was never ready"},
		"a client is ready too late": {"sequential-1", func(p *process) int {
			if code, interrupted := p.until(300 * time.Millisecond); interrupted {
				return code
			}
			return calmClient(p)
		}, validity.RuleReady, "sequential-1 was ready 0.300 s after the epoch"},
		"a client's clock is ahead": {"sequential-1", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now() + 2e8}})
			return hang(p)
		}, validity.RuleReady, "sequential-1 was ready 0.800 s before the epoch by its clock, but reported it " +
			"1.000 s before the epoch by ours: one clock is off, or was set, by about 0.200 s"},
		"a client's clock is ahead of the epoch": {"sequential-1", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now() + 60e9}})
			return hang(p)
		}, validity.RuleReady, "sequential-1 was ready 59.000 s after the epoch by its clock"},
		"the server's clock is behind": {"server", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now() - 4e9}})
			return hang(p)
		}, validity.RuleReady, "server was ready 5.000 s before the epoch by its clock"},
		"a client prints what is no record": {"parallel-1", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{AtNS: p.now()}})
			p.say("panic: oh dear\n")
			return calmClient(p)
		}, validity.RuleReadable, `"panic: oh dear"`},
		"a client prints without end and without a line": {"parallel-1", func(p *process) int {
			for range 100 {
				p.say(strings.Repeat("x", 10<<10))
			}
			return hang(p)
		}, validity.RuleReadable, "a line is longer than"},
		"a client never ends": {"sequential-2", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{AtNS: p.now()}})
			return hang(p)
		}, validity.RuleCompleted, "sequential-2 is still running 7.000 s after the epoch"},
		"the server does not stop": {"server", func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{AtNS: p.now()}})
			for {
				if s := <-p.signals; s == syscall.SIGKILL {
					return 137
				}
			}
		}, validity.RuleCompleted, "server is still running 10s after SIGTERM"},
	}
}

func TestATrialThatGoesWrongIsInvalidAndSaysWhy(t *testing.T) {
	for name, test := range nodeFaults() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := oneTrial(record.NoBlock), testOptions(t)
				rt := newFake(s)
				rt.programs = map[string]program{test.node: test.program}
				outcome, err := Run(t.Context(), s, rt, o)
				if !errors.Is(err, ErrInvalid) {
					t.Fatalf("error %v, want ErrInvalid", err)
				}
				run := checkSealed(t, outcome.Dir)
				if len(run.Trials) != Attempts || rt.left() != 0 {
					t.Fatalf("%d attempts, %d not removed; want %d and 0", len(run.Trials), rt.left(), Attempts)
				}
				for _, trial := range run.Trials {
					expectBroken(t, trial, test.rule, test.says)
				}
			})
		})
	}
}

// expectBroken looks for a broken rule with certain evidence.
func expectBroken(t *testing.T, trial *results.Trial, rule, says string) {
	t.Helper()
	if trial.Valid {
		t.Errorf("%s is valid", trial.Name())
	}
	for _, c := range trial.Checks {
		if c.Rule == rule && !c.OK && strings.Contains(c.Evidence, says) {
			expectFacts(t, c)
			return
		}
	}
	t.Errorf("%s: rule %s is not broken with %q in its evidence: %+v", trial.Name(), rule, says, trial.Checks)
}

// expectFacts checks that evidence names a node, or a group of them, and a number, or
// states that there was none at all.
func expectFacts(t *testing.T, c results.Check) {
	t.Helper()
	node := regexp.MustCompile(`\b(server|clients|(sequential|parallel)(-\d+)?)\b`)
	if !node.MatchString(c.Evidence) {
		t.Errorf("the evidence of rule %s names no node: %q", c.Rule, c.Evidence)
	}
	fact := regexp.MustCompile(`\d|\bno\b|\bnever\b|did not|unknown|records after|was measured|XDP mode`)
	if !fact.MatchString(node.ReplaceAllString(c.Evidence, "")) {
		t.Errorf("the evidence of rule %s has no number: %q", c.Rule, c.Evidence)
	}
}

func TestABrokenTrialEndsLongBeforeItsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Sequential.Requests = 36000 // an hour
		rt := newFake(s)
		rt.programs = map[string]program{"parallel-1": func(*process) int { return 1 }}
		start := time.Now() // of the bubble's clock, which advances only while waiting
		if _, err := Run(t.Context(), s, rt, o); !errors.Is(err, ErrInvalid) {
			t.Fatalf("error %v, want ErrInvalid", err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("three broken attempts took %s of the schedule", took)
		}
	})
}

func TestAnInvalidTrialIsRunAgainAndTheNextOnesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		rt := newFake(s)
		rt.edit = func(p *process, l *record.Line) bool {
			if p.trial.Trial.Index == 2 && p.trial.Attempt == 1 && l.Probe != nil {
				l.Probe.ThrottledPeriods = 3
			}
			return true
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, trial := range outcome.Trials {
			got = append(got, fmt.Sprintf("%d.%d %v", trial.Index, trial.Attempt, trial.Valid))
		}
		want := []string{"1.1 true", "2.1 false", "2.2 true", "3.1 true"}
		if !slices.Equal(got, want) {
			t.Errorf("trials %q, want %q", got, want)
		}
		checkSealed(t, outcome.Dir)
	})
}

func TestATrialThatStaysInvalidIsRepeatedTwiceAndTheOthersAreRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		rt := newFake(s)
		rt.edit = func(p *process, l *record.Line) bool {
			if p.trial.Trial.Index == 2 && l.Probe != nil {
				l.Probe.ThrottledPeriods = 3
			}
			return true
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "after 3 attempts: 2 (") {
			t.Errorf("error %v, want ErrInvalid of trial 2 after 3 attempts", err)
		}
		var got []string
		for _, trial := range checkSealed(t, outcome.Dir).Trials {
			got = append(got, fmt.Sprintf("%d.%d %v", trial.Index, trial.Attempt, trial.Valid))
		}
		want := []string{"1.1 true", "2.1 false", "2.2 false", "2.3 false", "3.1 true"}
		if !slices.Equal(got, want) {
			t.Errorf("trials %q, want %q", got, want)
		}
	})
}

func TestMissingBinariesAreAnErrorWithTheRemedy(t *testing.T) {
	s, o := testScenario(), testOptions(t)
	o.BinDir = t.TempDir()
	_, err := Run(t.Context(), s, newFake(s), o)
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

func TestEveryNodeIsGivenTheSameEpochAndItsOwnAddress(t *testing.T) {
	s := testScenario()
	var mu sync.Mutex
	var spec Spec
	rt := newFake(s)
	rt.open = func(_ context.Context, got Spec) error {
		mu.Lock()
		defer mu.Unlock()
		spec = got
		return errEngine
	}
	if _, err := Run(t.Context(), s, rt, testOptions(t)); !errors.Is(err, errEngine) {
		t.Fatal(err)
	}
	var got []string
	for _, n := range spec.Nodes {
		if n.Env[1] != spec.Nodes[0].Env[1] {
			t.Errorf("%s has %s, the server %s", n.Name, n.Env[1], spec.Nodes[0].Env[1])
		}
		got = append(got, fmt.Sprintf("%s %s %v %v", n.Name, n.Address, n.CPUs, n.Kernel))
	}
	want := []string{
		"server 10.9.8.2 [0] true",
		"sequential-1 10.9.8.11 [1] false",
		"sequential-2 10.9.8.12 [1] false",
		"parallel-1 10.9.8.13 [1] false",
		"parallel-2 10.9.8.14 [1] false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("nodes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	command := strings.Join(spec.Nodes[3].Command, " ")
	if want := "/equic-probe --interval 100ms -- /equic-client --server 10.9.8.2:4433 --mode parallel " +
		"--requests 20 --rate 20 --delay 1s --max-in-flight 20 --timeout 1s --key-exchange x25519 --body 1024"; command != want {
		t.Errorf("command\n%s\nwant\n%s", command, want)
	}
}

func TestAnAttackerIsToldHowLongToHoldItsConnections(t *testing.T) {
	s := testScenario()
	s.Parallel.Kind, s.Parallel.Hold = record.Hold, 2*time.Second
	for _, n := range NodeSpecs(s, "no-block", "/") {
		told := strings.Contains(strings.Join(n.Command, " "), "--requests 20 --hold 2s ")
		if attacks := n.Role == results.RoleParallel; told != attacks {
			t.Errorf("%s: %q", n.Name, n.Command)
		}
	}
	if l := experiment(s).Parallel; l.Kind != "hold" || l.HoldNS != 2e9 {
		t.Errorf("the manifest has %+v", l)
	}
	if p := saturatingScenario(s).Parallel; p.Kind != record.Requests || p.Hold != 0 {
		t.Errorf("the capacity is measured with %+v", p)
	}
}
