package orchestrate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// interruptedRun makes a run of three trials that ended in its second.
func interruptedRun(t *testing.T, s *scenarios.Scenario, o Options) (dir string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.OnEvent = func(e Event) {
		if e.Trial.Index == 2 && e.Phase == PhaseAttack {
			cancel()
		}
	}
	outcome, err := Run(ctx, s, newFake(s), o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	return outcome.Dir
}

func TestAResumedRunGoesOnAtTheFirstTrialThatIsNotWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		o.Resume = interruptedRun(t, s, o)
		before := checkSealed(t, o.Resume)
		// Lost with the power: half a trial, and the seal.
		half := filepath.Join(o.Resume, results.TrialsDir, ".partial-002-x")
		if err := errors.Join(os.Mkdir(half, 0o755), os.Remove(filepath.Join(o.Resume, results.ChecksumsFile))); err != nil {
			t.Fatal(err)
		}
		o.Seed = 99 // does not matter
		rt := newFake(s)
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		after := checkSealed(t, o.Resume)
		if outcome.Dir != o.Resume || len(after.Trials) != 3 || rt.opened != 2 {
			t.Errorf("%d trials in %s, %d of them run now; want 3 in %s, 2 now", len(after.Trials), outcome.Dir, rt.opened,
				o.Resume)
		}
		for i, trial := range after.Trials {
			if trial.PlannedTrial != before.Manifest.Plan[i] || !trial.Valid {
				t.Errorf("trial %+v, want %+v as planned", trial.PlannedTrial, before.Manifest.Plan[i])
			}
		}
		if after.Manifest.Seed != before.Manifest.Seed || len(after.Manifest.Resumed) != 1 {
			t.Errorf("seed %d, resumed %v; want seed %d and one time", after.Manifest.Seed, after.Manifest.Resumed,
				before.Manifest.Seed)
		}
	})
}

func TestAnEndedRunThatWasNotSealedIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		outcome, err := Run(t.Context(), s, newFake(s), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(outcome.Dir, results.ChecksumsFile)); err != nil {
			t.Fatal(err)
		}
		o.Resume = outcome.Dir
		rt := newFake(s)
		if _, err := Run(t.Context(), s, rt, o); err != nil || rt.opened != 0 {
			t.Errorf("error %v, %d trials run now; want none", err, rt.opened)
		}
		checkSealed(t, outcome.Dir)
		if _, err := Run(t.Context(), s, newFake(s), o); !errors.Is(err, ErrResume) {
			t.Errorf("a sealed run: error %v, want ErrResume", err)
		}
	})
}

func TestAResumedTrialHasTheAttemptsThatWereLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		ctx, cancel := context.WithCancel(t.Context())
		broken := func(p *process) int {
			p.print(record.Line{Ready: &record.Ready{AtNS: p.now()}})
			return 1
		}
		rt := newFake(s)
		rt.programs = map[string]program{"server": broken}
		o.OnEvent = func(e Event) {
			if e.Phase == PhaseDone && strings.Contains(e.Message, "attempt 2 of") {
				cancel()
			}
		}
		outcome, err := Run(ctx, s, rt, o)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that of the context", err)
		}
		o.Resume, o.OnEvent = outcome.Dir, nil
		rt = newFake(s)
		rt.programs = map[string]program{"server": broken}
		outcome, err = Run(t.Context(), s, rt, o)
		if !errors.Is(err, ErrInvalid) || rt.opened != 1 || len(outcome.Trials) != Attempts {
			t.Errorf("error %v, %d attempts now, %d in all; want ErrInvalid, 1 and %d", err, rt.opened, len(outcome.Trials),
				Attempts)
		}
	})
}

func TestARunThatCannotBeResumedSaysWhy(t *testing.T) {
	tests := map[string]struct {
		change func(*scenarios.Scenario, *Options, *fakeRuntime)
		want   string
	}{
		"another binary": {func(_ *scenarios.Scenario, o *Options, _ *fakeRuntime) {
			if err := os.WriteFile(filepath.Join(o.BinDir, "equic-server"), []byte("new"), 0o600); err != nil {
				panic(err)
			}
		}, "equic-server is another binary"},
		"another scenario": {
			func(s *scenarios.Scenario, _ *Options, _ *fakeRuntime) { s.Text = []byte("name: other\n") },
			"the scenario is a different one",
		},
		"another runtime": {func(_ *scenarios.Scenario, _ *Options, rt *fakeRuntime) {
			rt.platform.Runtime.Name = "netns"
		}, "the runtime was fake and is netns"},
		"another version of the runtime": {func(_ *scenarios.Scenario, _ *Options, rt *fakeRuntime) {
			rt.platform.Runtime.Version = "28.0"
		}, "the runtime's version was 20.10 and is 28.0"},
		"other control groups": {func(_ *scenarios.Scenario, _ *Options, rt *fakeRuntime) {
			rt.platform.Runtime.CgroupMode = ""
		}, "the control groups' mode was v1 and is unknown"},
		"another limit": {func(_ *scenarios.Scenario, _ *Options, rt *fakeRuntime) {
			rt.platform.Runtime.Limits = []string{"no network", "read-only root"}
		}, "what limits the nodes was no new privileges and is no network"},
		"no memory limit": {func(_ *scenarios.Scenario, _ *Options, rt *fakeRuntime) {
			rt.platform.NoMemoryLimit = true
		}, "what limits the nodes was server memory 67108864 bytes, no swap and is nothing"},
		"other CPUs": {func(_ *scenarios.Scenario, _ *Options, rt *fakeRuntime) {
			rt.platform.CPUs = []int{0}
		}, "what limits the nodes was server on CPUs [0]"},
		"another version of equic-bench": {func(_ *scenarios.Scenario, o *Options, _ *fakeRuntime) {
			o.Version = "v2"
		}, "the version of equic-bench was test and is v2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := testScenario(), testOptions(t)
				o.Resume = interruptedRun(t, s, o)
				rt := newFake(s)
				test.change(s, &o, rt)
				_, err := Run(t.Context(), s, rt, o)
				if !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), test.want) || rt.opened != 0 {
					t.Errorf("error %v, want one that says %q, before anything runs", err, test.want)
				}
				checkSealed(t, o.Resume)
			})
		})
	}
	t.Run("another governor", func(t *testing.T) { // a test cannot change the governor
		was := &results.Manifest{Machine: results.Machine{Governor: "performance"}}
		is := &results.Manifest{Machine: results.Machine{Governor: "powersave"}}
		want := []string{"the CPUs' governor was performance and is powersave"}
		if got := differences(was, is); !slices.Equal(got, want) {
			t.Errorf("differences %q, want %q", got, want)
		}
		if got := differences(&results.Manifest{}, is); len(got) > 0 {
			t.Errorf("differences %q from a manifest that does not say it", got)
		}
	})
	t.Run("other rules for a valid trial", func(t *testing.T) { // of a newer version of equic-bench
		want := []string{"the version of the rules for a valid trial was 2 and is 1"}
		if got := differences(&results.Manifest{ValidityVersion: 2}, &results.Manifest{}); !slices.Equal(got, want) {
			t.Errorf("differences %q, want %q", got, want)
		}
	})
	t.Run("a whole run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, o := oneTrial(record.NoBlock), testOptions(t)
			outcome, err := Run(t.Context(), s, newFake(s), o)
			if err != nil {
				t.Fatal(err)
			}
			o.Resume = outcome.Dir
			if _, err := Run(t.Context(), s, newFake(s), o); !errors.Is(err, ErrResume) {
				t.Errorf("error %v, want ErrResume", err)
			}
		})
	})
}
