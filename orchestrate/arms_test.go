package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"path"
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
		again, unmeasured bool
		want              []string // labels of a block, sorted
	}{
		"plain":              {false, false, []string{"no-block", "xdp-block"}},
		"again":              {true, false, []string{"no-block", "no-block-again", "xdp-block", "xdp-block-again"}},
		"unmeasured":         {false, true, []string{"no-block", "no-block-unmeasured", "xdp-block", "xdp-block-unmeasured"}},
		"again + unmeasured": {true, true, []string{"no-block", "no-block-again", "no-block-unmeasured", "xdp-block", "xdp-block-again", "xdp-block-unmeasured"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := testScenario()
			s.Variants = []record.Variant{record.NoBlock, record.XDPBlock}
			s.Repetitions, s.Again, s.Trial.Unmeasured = 10, test.again, test.unmeasured
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

// unprobed leaves out what a probe would print, where there is none.
func unprobed(p *process, l *record.Line) bool {
	probed := path.Base(p.spec.Command[0]) == "equic-probe"
	return probed || l.Sample == nil && l.Probe == nil
}

func TestARunWithArmsIsWholeAndSaysWhichTrialIsWhich(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.XDPBlock), testOptions(t)
		s.Again, s.Trial.Unmeasured = true, true
		rt := newFake(s)
		rt.edit = unprobed
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		run := checkSealed(t, outcome.Dir)
		if want := []results.Arm{results.Again, results.Unmeasured}; !slices.Equal(run.Manifest.Experiment.Arms, want) || len(run.Manifest.Plan) != 3 {
			t.Errorf("arms %q and %d trials in the manifest, want %q and 3", run.Manifest.Experiment.Arms, len(run.Manifest.Plan), want)
		}
		var names []string
		for _, trial := range run.Trials {
			name := fmt.Sprintf("%03d-%s", trial.Index, trial.Label())
			if !trial.Valid || len(trial.Warnings) > 0 || trial.Name() != name || trial.Variant != "xdp-block" {
				t.Errorf("%s: %s, %q, of variant %s", trial.Name(), verdict(trial), trial.Warnings, trial.Variant)
			}
			names = append(names, trial.Label())
			if said := strings.Contains(evidenceOf(trial, ruleComplete), "not measured, as planned"); said != (trial.Arm == results.Unmeasured) {
				t.Errorf("%s: the rule says that nothing was asked of a probe: %v", trial.Name(), said)
			}
		}
		slices.Sort(names)
		if want := []string{"xdp-block", "xdp-block-again", "xdp-block-unmeasured"}; !slices.Equal(names, want) {
			t.Errorf("trials %q, want %q", names, want)
		}
	})
}

func evidenceOf(trial *results.Trial, rule string) string {
	for _, c := range trial.Checks {
		if c.Rule == rule {
			return c.Evidence
		}
	}
	return ""
}

func TestOnlyTheServerOfAnUnmeasuredTrialHasNoProbe(t *testing.T) {
	s := testScenario()
	for arm, probed := range map[results.Arm]bool{results.Plain: true, results.Again: true, results.Unmeasured: false} {
		spec, err := newSpec(s, "run", results.PlannedTrial{Index: 1, Block: 1, Variant: "xdp-block", Arm: arm}, 1, time.Now(), Platform{BinDir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range spec.Nodes {
			first := path.Base(n.Command[0])
			switch {
			case n.Role != results.RoleServer || probed:
				if first != "equic-probe" {
					t.Errorf("%q: %s begins with %s", arm, n.Name, first)
				}
			case first != "equic-server" || !slices.Contains(n.Command, "xdp-block") || !n.Kernel:
				t.Errorf("%q: %s is %q, capable %v", arm, n.Name, n.Command, n.Kernel)
			}
		}
	}
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

func TestSystemCallsAreNotMissedWhereHalfOfThemIsCounted(t *testing.T) {
	n := &nodeEvidence{server: &record.Server{}, probe: &record.Probe{Samples: 2}, probeLast: true, usage: make([]usage, 2)}
	trial := scenarios.Trial{Syscalls: true}
	if why := n.serverIncomplete(record.NoBlock, false, trial); !strings.Contains(why, "did not count") {
		t.Errorf("a server that is measured all the time: %q", why)
	}
	trial.Alternate = time.Second
	if why := n.serverIncomplete(record.NoBlock, false, trial); why != "" {
		t.Errorf("a server that is measured half of the time: %q", why)
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

func TestAnUnmeasuredTrialIsInvalidForWhatCanBeKnown(t *testing.T) {
	tests := map[string]struct {
		edit func(p *process, l *record.Line) bool
		rule string
		says string
	}{
		"its server was measured":         {func(*process, *record.Line) bool { return true }, ruleComplete, "server was measured, against the plan"},
		"its server leaves no totals":     {func(p *process, l *record.Line) bool { return unprobed(p, l) && l.Server == nil }, ruleComplete, "left no server record"},
		"its gateway leaves no totals":    {func(p *process, l *record.Line) bool { return unprobed(p, l) && l.Gateway == nil }, ruleComplete, "left no gateway record"},
		"a client of it was not measured": {func(p *process, l *record.Line) bool { return unprobed(p, l) && l.Probe == nil }, ruleComplete, "left no probe record"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := oneTrial(record.XDPBlock), testOptions(t)
				s.Trial.Unmeasured = true
				rt := newFake(s)
				rt.edit = func(p *process, l *record.Line) bool {
					if p.trial.Trial.Arm == results.Plain {
						return true
					}
					return test.edit(p, l)
				}
				outcome, err := Run(t.Context(), s, rt, o)
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "xdp-block-unmeasured") {
					t.Fatalf("error %v, want ErrInvalid of the unmeasured trial", err)
				}
				for _, trial := range outcome.Trials {
					if trial.Arm == results.Unmeasured {
						expectBroken(t, &trial, test.rule, test.says)
					} else if !trial.Valid {
						t.Errorf("%s: %s", trial.Name(), verdict(&trial))
					}
				}
			})
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
		if !slices.Contains(phases, PhaseLoad) || slices.Contains(phases, PhaseBefore) || slices.Contains(phases, PhaseAttack) {
			t.Errorf("phases %q", phases)
		}
	})
}

func TestARunWithArmsIsResumedAsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Again, s.Trial.Unmeasured = true, true
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		first := o
		first.OnEvent = func(e Event) {
			if e.Trial.Index == 2 && e.Phase == PhaseAttack {
				cancel()
			}
		}
		rt := newFake(s)
		rt.edit = unprobed
		outcome, err := Run(ctx, s, rt, first)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that of the context", err)
		}
		o.Resume = outcome.Dir
		rt = newFake(s)
		rt.edit = unprobed
		if _, err := Run(t.Context(), s, rt, o); err != nil {
			t.Fatal(err)
		}
		run := checkSealed(t, o.Resume)
		if len(run.Trials) != 3 || rt.opened != 2 {
			t.Fatalf("%d trials, %d of them now; want 3 and 2", len(run.Trials), rt.opened)
		}
		for i, trial := range run.Trials {
			if trial.PlannedTrial != run.Manifest.Plan[i] || !trial.Valid {
				t.Errorf("%+v (%s), want %+v as planned", trial.PlannedTrial, verdict(trial), run.Manifest.Plan[i])
			}
		}
	})
}

func TestNobodyAsksWhetherTheGeneratorWasTheBottleneckOfAnUnmeasuredServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Trial.Unmeasured = true
		rt := newFake(s)
		rt.edit = func(p *process, l *record.Line) bool {
			if l.Sample != nil && p.trial.Trial.Arm == results.Unmeasured {
				l.Sample.BusyNS = 1e9 + l.Sample.AtNS // all the time
			}
			return unprobed(p, l)
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, trial := range outcome.Trials {
			asked := !strings.HasPrefix(evidenceOf(&trial, ruleGenerator), "not asked")
			if asked == (trial.Arm == results.Unmeasured) || len(trial.Warnings) > 0 {
				t.Errorf("%s: %q, warnings %q", trial.Name(), evidenceOf(&trial, ruleGenerator), trial.Warnings)
			}
		}
	})
}
