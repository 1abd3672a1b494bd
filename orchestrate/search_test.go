package orchestrate

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// searchScenario returns testScenario with a search that tries 17 strengths, and a
// capacity of 100 requests/s.
func searchScenario(t *testing.T) (*scenarios.Scenario, Options) {
	t.Helper()
	s, o := testScenario(), testOptions(t)
	s.Variants = []record.Variant{record.NoBlock, record.UserspaceBlock}
	s.Search = &scenarios.Search{From: 0.25, To: 8, Factor: 1.25, KeepPercent: 99, P99: 3}
	s.Parallel.Strength, s.Parallel.UpTo = 8, true
	o.Capacity = 100
	o.JudgeAttack = holdsUpTo(2.3, 0.6)
	return s, o
}

// holdsUpTo returns a judgement in which no-block holds up to one strength, and
// userspace-block up to another.
func holdsUpTo(noBlock, userspaceBlock float64) JudgeAttack {
	return func(_ *results.Run, t *results.Trial) (results.Verdict, error) {
		edge := map[string]float64{"no-block": noBlock, "userspace-block": userspaceBlock}[t.Variant]
		switch {
		case t.Limited():
			return results.AttackLimited, nil
		case !t.Valid:
			return results.AttackInvalid, nil
		case t.Strength <= edge:
			return results.AttackHeld, nil
		}
		return results.AttackBroke, nil
	}
}

// found is the result of a search: the strongest attack that held and the weakest that
// did not, and the number of trials. Zero means none.
type found struct {
	holds, fails float64
	trials       int
}

func foundIn(plan []results.PlannedTrial, verdicts Verdicts, variant string) found {
	var f found
	for _, p := range plan {
		switch {
		case p.Variant != variant:
			continue
		case verdicts[p.Index] == results.AttackHeld:
			f.holds = max(f.holds, p.Strength)
		case f.fails == 0 || p.Strength < f.fails:
			f.fails = p.Strength
		}
		f.trials++
	}
	return f
}

// play plans a search to its end, with a verdict on each trial.
func play(t *testing.T, s *scenarios.Scenario, seed uint64, judge func(results.PlannedTrial) results.Verdict) (
	[]results.PlannedTrial, Verdicts,
) {
	t.Helper()
	verdicts := Verdicts{}
	plan, most := PlanAfter(s, seed, verdicts)
	for len(verdicts) < len(plan) {
		p := plan[len(verdicts)]
		if p.Index != len(verdicts)+1 {
			t.Fatalf("trial %+v stands at %d", p, len(verdicts)+1)
		}
		verdicts[p.Index] = judge(p)
		grown, fewer := PlanAfter(s, seed, verdicts)
		if !slices.Equal(grown[:len(plan)], plan) || len(grown) > fewer || fewer > most {
			t.Fatalf("after %v there are at most %d trials, planned %v; before, at most %d, planned %v", verdicts, fewer, grown,
				most, plan)
		}
		plan, most = grown, fewer
	}
	return plan, verdicts
}

func TestTheBreakingPointOfAKnownServerIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		edge float64
		want found
	}{
		"in the middle":    {2.3, found{2.18, 2.71, 6}},
		"near the begin":   {0.25, found{0.25, 0.31, 6}},
		"near the end":     {7.9, found{6.44, 8, 6}},
		"holds everywhere": {100, found{8, 0, 2}},
		"breaks at once":   {0.1, found{0, 0.25, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := searchScenario(t)
			if _, most := PlanAfter(s, 1, nil); most != 2*6 {
				t.Errorf("at most %d trials, want 12", most)
			}
			plan, verdicts := play(t, s, 1, func(p results.PlannedTrial) results.Verdict {
				if p.Strength <= test.edge {
					return results.AttackHeld
				}
				return results.AttackBroke
			})
			got := foundIn(plan, verdicts, "no-block")
			if got != test.want {
				t.Errorf("found %+v, want %+v", got, test.want)
			}
			if got.holds > 0 && got.fails > 1.25*1.01*got.holds { // strengths have three digits
				t.Errorf("the bounds %+v are too far apart", got)
			}
		})
	}
}

func TestTheOrderOfASearchFollowsFromItsSeed(t *testing.T) {
	s, _ := searchScenario(t)
	s.Repetitions = 3
	holds := func(p results.PlannedTrial) results.Verdict {
		if p.Strength < 2 {
			return results.AttackHeld
		}
		return results.AttackBroke
	}
	plan, _ := play(t, s, 1, holds)
	if again, _ := play(t, s, 1, holds); !slices.Equal(plan, again) {
		t.Error("the same seed gives another plan")
	}
	if other, _ := play(t, s, 2, holds); slices.Equal(plan, other) {
		t.Error("another seed gives the same plan")
	}
	if len(plan) != 3*2*6 || plan[0].Block != 1 || plan[12].Block != 2 || plan[35].Block != 3 {
		t.Errorf("%d trials: %v", len(plan), plan)
	}
}

// Between 2x and 3x, this server holds or breaks at random.
func TestANoisyEdgeIsFoundSomewhereInIt(t *testing.T) {
	for seed := range uint64(50) {
		s, _ := searchScenario(t)
		plan, verdicts := play(t, s, seed, func(p results.PlannedTrial) results.Verdict {
			chance := math.Sin(float64(seed+1)*p.Strength) > 0
			if p.Strength < 2 || p.Strength < 3 && chance {
				return results.AttackHeld
			}
			return results.AttackBroke
		})
		if f := foundIn(plan, verdicts, "no-block"); f.holds < 2/1.25 || f.fails > 3*1.25 || f.fails < f.holds {
			t.Errorf("seed %d: found %+v", seed, f)
		}
	}
}

func TestASearchEndsBelowWhatTheClientsCanStart(t *testing.T) {
	s, _ := searchScenario(t)
	s.Parallel.Reached = 2
	plan, verdicts := play(t, s, 1, func(results.PlannedTrial) results.Verdict { return results.AttackHeld })
	if got, want := foundIn(plan, verdicts, "no-block"), (found{1.76, 0, 2}); got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
	c := &results.Capacity{ServingPerS: 500, ServingClientNS: 10e6, RefusingClientNS: 1e6, ClientCPUs: 1}
	if err := reaches(s, c); !errors.Is(err, ErrCapacity) || !strings.Contains(err.Error(), "search.from") {
		t.Errorf("the clients can start 0.1 times the capacity: %v", err)
	}
	s.Parallel.Kind = record.Junk
	if err := reaches(s, c); err != nil {
		t.Errorf("a flood needs no such clients: %v", err)
	}
}

func TestARunSearchesInCheckedTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := searchScenario(t)
		rt := newFake(s)
		rates := map[float64]string{}
		rt.open = func(_ context.Context, spec Spec) error {
			command := spec.Nodes[len(spec.Nodes)-1].Command
			rates[spec.Trial.Strength] = command[slices.Index(command, "--rate")+1]
			return nil
		}
		var last Event
		o.OnEvent = func(e Event) { last = e }
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		run := checkSealed(t, outcome.Dir)
		verdicts := Verdicts{}
		for _, trial := range run.Trials {
			verdicts[trial.Index], _ = o.JudgeAttack(run, trial)
		}
		if got, want := foundIn(run.Manifest.Plan, verdicts, "no-block"), (found{2.18, 2.71, 6}); got != want {
			t.Errorf("no-block: found %+v, want %+v", got, want)
		}
		if got, want := foundIn(run.Manifest.Plan, verdicts, "userspace-block"), (found{0.595, 0.738, 6}); got != want {
			t.Errorf("userspace-block: found %+v, want %+v", got, want)
		}
		if rates[0.25] != "12.5" || rates[8] != "400" {
			t.Errorf("rates of an attacker by strength: %v", rates)
		}
		if !last.Search || last.Trials != 12 || !strings.Contains(run.Trials[0].Name(), "-block-0.25x") {
			t.Errorf("the last of %d trials, the first is %s", last.Trials, run.Trials[0].Name())
		}
		if f := VerifySearch(run, o.JudgeAttack); f.Status != results.Holds {
			t.Errorf("%+v", f)
		}
		if f := VerifySearch(run, holdsUpTo(2.3, 7)); f.Status != results.Broken {
			t.Errorf("trials that follow from other verdicts: %+v", f)
		}
	})
}

func TestASearchIsResumedInItsMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := searchScenario(t)
		whole, err := Run(t.Context(), s, newFake(s), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first := o
		first.OnEvent = func(e Event) {
			if e.Trial.Index == 6 && e.Phase == PhaseAttack {
				cancel()
			}
		}
		s, _ = searchScenario(t)
		outcome, err := Run(ctx, s, newFake(s), first)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that of the context", err)
		}
		half := checkSealed(t, outcome.Dir)
		if f := VerifySearch(half, o.JudgeAttack); f.Status != results.Holds {
			t.Errorf("%+v", f)
		}
		o.Resume, o.Seed = outcome.Dir, 99 // the run has its own seed
		other := o
		other.JudgeAttack = holdsUpTo(0.1, 0.1)
		if _, err := Run(t.Context(), s, newFake(s), other); !errors.Is(err, ErrResume) {
			t.Errorf("error %v of trials that do not follow from their verdicts", err)
		}
		if _, err := Run(t.Context(), s, newFake(s), o); err != nil {
			t.Fatal(err)
		}
		got, want := checkSealed(t, o.Resume), checkSealed(t, whole.Dir)
		if !slices.Equal(got.Manifest.Plan, want.Manifest.Plan) || len(got.Trials) != 12 {
			t.Errorf("%d trials, planned\n%v\nwant\n%v", len(got.Trials), got.Manifest.Plan, want.Manifest.Plan)
		}
	})
}

func TestATrialThatStaysInvalidIsABoundOfASearch(t *testing.T) {
	tooStrong := func(p *process) bool { return p.trial.Trial.Strength > 2 }
	for name, test := range map[string]struct {
		change func(*fakeRuntime)
		err    error
	}{
		"as the server died": {func(rt *fakeRuntime) {
			rt.programs = map[string]program{"server": func(p *process) int {
				if tooStrong(p) {
					return 1
				}
				return calmServer(p)
			}}
		}, ErrInvalid},
		"as the clients could not start as much": {func(rt *fakeRuntime) {
			rt.edit = func(p *process, l *record.Line) bool {
				if l.Sample != nil && tooStrong(p) && p.spec.Role != results.RoleServer {
					l.Sample.BusyNS = 2e9 + l.Sample.AtNS
				}
				return true
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := searchScenario(t)
				o.JudgeAttack = holdsUpTo(100, 100)
				rt := newFake(s)
				test.change(rt)
				outcome, err := Run(t.Context(), s, rt, o)
				if !errors.Is(err, test.err) {
					t.Fatalf("error %v, want %v", err, test.err)
				}
				run := checkSealed(t, outcome.Dir)
				verdicts, attempts := Verdicts{}, 0
				for _, trial := range run.Trials {
					verdicts[trial.Index], _ = o.JudgeAttack(run, trial)
					attempts = max(attempts, trial.Attempt)
				}
				if got, want := foundIn(run.Manifest.Plan, verdicts, "no-block"), (found{1.76, 2.18, 6}); got != want {
					t.Errorf("found %+v, want %+v", got, want)
				}
				if attempts != Attempts {
					t.Errorf("%d attempts at most, want %d", attempts, Attempts)
				}
			})
		})
	}
}
