package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

func TestABlockHasEveryVariantOnceInEachArm(t *testing.T) {
	tests := map[string]struct {
		again bool
		want  []string // labels of a block, sorted
	}{
		"plain": {false, []string{"no-block", "xdp-block"}},
		"again": {true, []string{"no-block", "no-block-again", "xdp-block", "xdp-block-again"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := testScenario()
			s.Variants = []record.Variant{record.NoBlock, record.XDPBlock}
			s.Repetitions, s.Again = 10, test.again
			plan := Plan(s, 1)
			if !slices.Equal(plan, Plan(s, 1)) {
				t.Error("the same seed gives another plan")
			}
			n := len(test.want)
			if len(plan) != n*s.Repetitions {
				t.Fatalf("%d trials, want %d", len(plan), n*s.Repetitions)
			}
			orders := map[string]bool{}
			for b := range s.Repetitions {
				var labels []string
				for i, p := range plan[n*b : n*b+n] {
					if p.Block != b+1 || p.Index != n*b+i+1 {
						t.Errorf("trial %+v is out of place", p)
					}
					labels = append(labels, p.Label())
				}
				orders[strings.Join(labels, " ")] = true
				slices.Sort(labels)
				if !slices.Equal(labels, test.want) {
					t.Errorf("block %d has %q, want %q", b+1, labels, test.want)
				}
			}
			if len(orders) < 2 {
				t.Error("all blocks have the same order")
			}
		})
	}
}

func TestARunWithArmsIsWholeAndSaysWhichTrialIsWhich(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.XDPBlock), testOptions(t)
		s.Again = true
		outcome, err := Run(t.Context(), s, newFake(s), o)
		if err != nil {
			t.Fatal(err)
		}
		run := checkSealed(t, outcome.Dir)
		if want := []results.Arm{results.Again}; !slices.Equal(run.Manifest.Experiment.Arms, want) ||
			len(run.Manifest.Plan) != 2 {
			t.Errorf("arms %q and %d trials in the manifest, want %q and 2", run.Manifest.Experiment.Arms,
				len(run.Manifest.Plan), want)
		}
		var names []string
		for _, trial := range run.Trials {
			name := fmt.Sprintf("%03d-%s", trial.Index, trial.Label())
			if !trial.Valid || len(trial.Warnings) > 0 || trial.Name() != name || trial.Variant != "xdp-block" {
				t.Errorf("%s: %s, %q, of variant %s", trial.Name(), new(runner).verdict(trial), trial.Warnings, trial.Variant)
			}
			names = append(names, trial.Label())
		}
		slices.Sort(names)
		if want := []string{"xdp-block", "xdp-block-again"}; !slices.Equal(names, want) {
			t.Errorf("trials %q, want %q", names, want)
		}
	})
}

func TestOnlyTheServersProbeAlternates(t *testing.T) {
	s := testScenario()
	s.Trial.Alternate = 500 * time.Millisecond
	for _, n := range NodeSpecs(s, "xdp-block", "/") {
		i := slices.Index(n.Command, "--alternate")
		if alternates := i > 0 && n.Command[i+1] == "500ms"; alternates != (n.Role == results.RoleServer) {
			t.Errorf("%s: %q", n.Name, n.Command)
		}
	}
	if e := experiment(s); e.AlternateNS != 5e8 {
		t.Errorf("the manifest has stretches of %d ns", e.AlternateNS)
	}
}

func TestOnlyVariantsThatAnswerWithARetryGetItsFlag(t *testing.T) {
	s := testScenario()
	for _, retry := range []string{"", "always", "64"} {
		s.Server.Retry = retry
		for variant, retries := range map[string]bool{"userspace-retry": true, "xdp-block-new": true, "xdp-block": false} {
			command := NodeSpecs(s, variant, "/")[0].Command
			i := slices.Index(command, "--retry")
			if got := i > 0 && command[i+1] == retry; got != (retries && retry != "") {
				t.Errorf("server.retry %q, %s: %q", retry, variant, command)
			}
		}
		if e := experiment(s); e.ServerRetry != retry {
			t.Errorf("the manifest has %q, want %q", e.ServerRetry, retry)
		}
	}
}

func TestWithoutCountingAndXDPTheServerNeedsNoCapability(t *testing.T) {
	for name, test := range map[string]struct {
		variants []record.Variant
		count    bool
		kernel   bool
	}{
		"counted":     {[]record.Variant{record.NoBlock}, true, true},
		"in XDP":      {[]record.Variant{record.NoBlock, record.XDPBlock}, false, true},
		"neither one": {[]record.Variant{record.NoBlock, record.UserspaceEarly}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := testScenario()
			s.Variants, s.Trial.Syscalls = test.variants, test.count
			server := NodeSpecs(s, "no-block", "/")[0]
			if counts := slices.Contains(server.Command, "--syscalls"); counts != test.count || server.Kernel != test.kernel {
				t.Errorf("%q, capable %v; want a counter %v, capable %v", server.Command, server.Kernel, test.count, test.kernel)
			}
		})
	}
}

func TestAnAttackIsNoPartOfAScenarioWithoutOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.XDPBlock), testOptions(t)
		s.Parallel = scenarios.Clients{CPUs: s.Sequential.CPUs}
		var phases []string
		o.OnEvent = func(e Event) { phases = append(phases, e.Phase) }
		outcome, err := Run(t.Context(), s, newFake(s), o)
		if err != nil || !outcome.Trials[0].Valid || len(outcome.Trials[0].Nodes) != 3 {
			t.Fatalf("%+v, %v; want a valid trial of three nodes", outcome.Trials, err)
		}
		if !slices.Contains(phases, PhaseLoad) || slices.Contains(phases, PhaseBefore) ||
			slices.Contains(phases, PhaseAttack) {
			t.Errorf("phases %q", phases)
		}
	})
}

func TestARunWithArmsIsResumedAsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Again, s.Repetitions = true, 2
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first := o
		first.OnEvent = func(e Event) {
			if e.Trial.Index == 2 && e.Phase == PhaseAttack {
				cancel()
			}
		}
		outcome, err := Run(ctx, s, newFake(s), first)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that of the context", err)
		}
		o.Resume = outcome.Dir
		rt := newFake(s)
		if _, err := Run(t.Context(), s, rt, o); err != nil {
			t.Fatal(err)
		}
		run := checkSealed(t, o.Resume)
		if len(run.Trials) != 4 || rt.opened != 3 {
			t.Fatalf("%d trials, %d of them now; want 4 and 3", len(run.Trials), rt.opened)
		}
		for i, trial := range run.Trials {
			if trial.PlannedTrial != run.Manifest.Plan[i] || !trial.Valid {
				t.Errorf("%+v (%s), want %+v as planned", trial.PlannedTrial, new(runner).verdict(trial), run.Manifest.Plan[i])
			}
		}
	})
}
