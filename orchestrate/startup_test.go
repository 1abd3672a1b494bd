package orchestrate

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestARuntimeThatKnowsItsNodesStartsSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Trial.Startup = 10 * time.Second
		rt := newFake(s)
		rt.platform.Startup = func(nodes int) time.Duration { return time.Duration(nodes) * 100 * time.Millisecond }
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		trial := outcome.Trials[0]
		if got := trial.Epoch.Sub(trial.Started); got != 500*time.Millisecond {
			t.Errorf("the epoch is %s after the start, want 100 ms for each of 5 nodes", got)
		}
		if outcome.Overhead < 500*time.Millisecond || outcome.Overhead > 2*time.Second {
			t.Errorf("overhead %s", outcome.Overhead)
		}
	})
}

func TestARuntimeThatIsWrongAboutItsNodesLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Trial.Startup = 10 * time.Second
		rt := newFake(s)
		rt.platform.Startup = func(int) time.Duration { return time.Second }
		rt.open = func(context.Context, Spec) error {
			time.Sleep(5 * time.Second) // in a bubble: no real time passes
			return nil
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := startups(outcome.Trials),
			[]time.Duration{time.Second, 8500 * time.Millisecond}; !slices.Equal(got, want) {
			t.Errorf("%v from start to epoch, want %v", got, want)
		}
		if last := outcome.Trials[len(outcome.Trials)-1]; !last.Valid {
			t.Errorf("last attempt %+v, want it valid", last)
		}
	})
}

// slowNodes runs that many trials with a start-up of ten seconds. Making the nodes
// takes the times in took, in the order of opening.
func slowNodes(t *testing.T, repetitions int, took ...time.Duration) []results.Trial {
	t.Helper()
	s, o := oneTrial(record.NoBlock), testOptions(t)
	s.Repetitions, s.Trial.Startup = repetitions, 10*time.Second
	rt, opened := newFake(s), 0
	rt.open = func(context.Context, Spec) error {
		time.Sleep(took[opened]) // in a bubble: no real time passes
		opened++
		return nil
	}
	outcome, err := Run(t.Context(), s, rt, o)
	if err != nil || len(outcome.Trials) != len(took) {
		t.Fatalf("%v, %d trials; want %d", err, len(outcome.Trials), len(took))
	}
	return outcome.Trials
}

func startups(trials []results.Trial) []time.Duration {
	all := make([]time.Duration, len(trials))
	for i, t := range trials {
		all[i] = t.Epoch.Sub(t.Started)
	}
	return all
}

func TestARunLearnsHowLongItsNodesTake(t *testing.T) {
	tests := map[string]struct{ took, want []time.Duration }{
		"half as much again, and a second": {
			took: []time.Duration{2 * time.Second, 2 * time.Second},
			want: []time.Duration{10 * time.Second, 4 * time.Second},
		},
		"of the slowest, not of the last": {
			took: []time.Duration{2 * time.Second, 3 * time.Second, time.Second, time.Second},
			want: []time.Duration{10 * time.Second, 4 * time.Second, 5500 * time.Millisecond, 5500 * time.Millisecond},
		},
		"no more than the scenario says, where that was enough": {
			took: []time.Duration{8 * time.Second, time.Second},
			want: []time.Duration{10 * time.Second, 10 * time.Second},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := startups(slowNodes(t, len(test.took), test.took...)); !slices.Equal(got, test.want) {
					t.Errorf("%v from start to epoch, want %v", got, test.want)
				}
			})
		})
	}
}

// The scenario's limit is for a usual machine. On a slower one, a run loses an attempt,
// but not all of its trials.
func TestARunTakesTheTimeThatASlowMachineNeeds(t *testing.T) {
	tests := map[string]struct{ took, want []time.Duration }{
		"after one attempt": {
			took: []time.Duration{12 * time.Second, 12 * time.Second, 13 * time.Second},
			want: []time.Duration{10 * time.Second, 19 * time.Second, 19 * time.Second},
		},
		"after two": {
			took: []time.Duration{12 * time.Second, 24 * time.Second, 24 * time.Second},
			want: []time.Duration{10 * time.Second, 19 * time.Second, 37 * time.Second},
		},
		"at most four times what the scenario says": {
			took: []time.Duration{35 * time.Second, 35 * time.Second, 35 * time.Second},
			want: []time.Duration{10 * time.Second, 40 * time.Second, 40 * time.Second},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				valid := 0
				trials := slowNodes(t, repetitionsOf(test.took, test.want), test.took...)
				for _, trial := range trials {
					if trial.Valid {
						valid++
					}
				}
				if got := startups(trials); !slices.Equal(got, test.want) || valid != repetitionsOf(test.took, test.want) {
					t.Errorf("%v from start to epoch, %d valid; want %v, all valid that had time enough", got, valid, test.want)
				}
			})
		})
	}
}

// repetitionsOf returns how many of the attempts have enough time.
func repetitionsOf(took, given []time.Duration) int {
	n := 0
	for i := range took {
		if took[i] < given[i] {
			n++
		}
	}
	return n
}

// A trial that was later than the estimate improves it more than its next attempt.
func TestARunLearnsFromATrialThatWasLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := startups(slowNodes(t, 3, time.Second, 5*time.Second, time.Second, 5*time.Second))
		want := []time.Duration{10 * time.Second, 2500 * time.Millisecond, 10 * time.Second, 8500 * time.Millisecond}
		if !slices.Equal(got, want) {
			t.Errorf("%v from start to epoch, want %v", got, want)
		}
	})
}

// The learnt time is an estimate: if it was wrong, the scenario's limit counts.
func TestANextAttemptHasAllTheTimeThatTheScenarioAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trials := slowNodes(t, 2, time.Second, 5*time.Second, 5*time.Second)
		if want := []time.Duration{
			10 * time.Second, 2500 * time.Millisecond,
			10 * time.Second,
		}; !slices.Equal(startups(trials), want) {
			t.Errorf("%v from start to epoch, want %v", startups(trials), want)
		}
		if !trials[0].Valid || trials[1].Valid || !trials[2].Valid || trials[2].Attempt != 2 {
			t.Errorf("trials %+v; want the second attempt alone to be invalid", trials)
		}
		expectBroken(t, &trials[1], validity.RuleCompleted,
			"server and clients were made 2.500 s after the epoch: if this recurs, raise trial.startup")
	})
}

// A slow engine is not treated as one that is gone.
func TestNodesThatAreMadeAfterTheEpochMakeTheirTrialInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		rt := newFake(s)
		rt.open = func(_ context.Context, spec Spec) error {
			if spec.Attempt == 1 {
				time.Sleep(s.Trial.Startup + time.Second) // from the beginning of the trial
			}
			return nil
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil || len(outcome.Trials) != 2 || outcome.Trials[0].Valid || !outcome.Trials[1].Valid {
			t.Fatalf("%v, trials %+v; want an invalid one and a valid one", err, outcome.Trials)
		}
		expectBroken(t, &outcome.Trials[0], validity.RuleCompleted,
			"server and clients were made 1.000 s after the epoch: if this recurs, raise trial.startup")
	})
}
