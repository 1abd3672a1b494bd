package validity

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// olderSynth returns a run whose trial.json has no observations of the run.
func olderSynth(t *testing.T) *synth {
	t.Helper()
	s := newSynth(record.NoBlock)
	s.manifest.ValidityVersion = 0
	s.recorded(t).manifest.Experiment.Syscalls = nil
	for i := range s.trial.Nodes {
		n := &s.trial.Nodes[i]
		n.Ended, n.ReadySeenNS = "", 0
	}
	return s
}

// record records another outcome of a rule.
func (s *synth) record(rule string, ok bool) {
	i := slices.IndexFunc(s.trial.Checks, func(c results.Check) bool { return c.Rule == rule })
	s.trial.Checks[i].OK = ok
	s.trial.Valid = valid(s.trial.Checks)
}

func TestARecordedVerdictThatWasChangedIsNamed(t *testing.T) {
	tests := map[string]struct {
		change func(*synth)
		want   string
	}{
		"a rule that holds": {
			func(s *synth) { s.record(RuleQuota, false) },
			"quota-held: recorded not ok, judged ok: at most 5 connections",
		},
		"a rule that does not": {func(s *synth) {
			s.manifest.Experiment.Sequential.Requests = 41
			s.recorded(t).record(RuleComplete, true)
		}, "records-complete: recorded ok, judged not ok: sequential-1 left 40 requests"},
		"what the run observed": {
			func(s *synth) { s.record(RuleAlive, false) },
			"nodes-alive: recorded not ok, judged ok: no node died",
		},
		"the verdict alone": {func(s *synth) { s.trial.Valid = false }, "recorded invalid, its checks say valid"},
		"a check that was taken": {
			func(s *synth) { s.trial.Checks = s.trial.Checks[1:] },
			"completed: not recorded, judged ok: all clients ended, then the server",
		},
		"a check that was added": {
			func(s *synth) { s.trial.Checks = append(s.trial.Checks, results.Check{Rule: "lucky", OK: true}) },
			"lucky: recorded ok, no rule for this trial",
		},
		"a variant that there is not": {
			func(s *synth) { s.trial.Variant = "magic" },
			`cannot be judged: unknown variant "magic"`,
		},
		"a trial without nodes": {
			func(s *synth) { s.trial.Nodes = nil },
			"cannot be judged: the first node is no server",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSynth(record.NoBlock).recorded(t)
			test.change(s)
			f := s.verify()
			if f.Status != results.Broken || len(f.Faults) != 1 ||
				!strings.HasPrefix(f.Faults[0].Fault, test.want) || f.Faults[0].File != "trials/"+s.trial.Name() {
				t.Errorf("%+v, want one fault: %q", f, test.want)
			}
		})
	}
}

func TestATrialThatWasGivenUpIsJudgedByTheRulesForIt(t *testing.T) {
	s := newSynth(record.NoBlock)
	s.trial.GivenUp = "server is still running 10s after SIGTERM"
	s.records["sequential-1"] = nil
	s.recorded(t)
	if len(s.trial.Checks) != 5 || s.trial.Valid || s.trial.Checks[0].Evidence != s.trial.GivenUp {
		t.Errorf("checks %+v", s.trial.Checks)
	}
	if f := s.verify(); f.Status != results.Holds {
		t.Errorf("%+v", f)
	}
}

func TestWhatOnlyAnOlderRunObservedIsKept(t *testing.T) {
	tests := map[string]struct {
		change func(*synth)
		want   string // the one fault; empty: none
	}{
		"a valid trial":                    {func(*synth) {}, ""},
		"a clock was set":                  {func(s *synth) { s.record(RuleReady, false) }, ""},
		"a node died":                      {func(s *synth) { s.record(RuleAlive, false) }, ""},
		"a node printed what is no record": {func(s *synth) { s.record(RuleReadable, false) }, ""},
		"a client ended with an error": {
			func(s *synth) { s.named("parallel-1").ExitCode = 1 },
			"nodes-alive: recorded ok, judged not ok",
		},
		"a node was ready too late": {
			func(s *synth) { s.records["server"][0].Ready.AtNS = 1 },
			"ready-before-epoch: recorded ok, judged not ok",
		},
		"calls were not counted, as asked":   {uncounted, ""},
		"calls were not counted, as is said": {func(s *synth) { uncounted(s); s.record(RuleComplete, false) }, ""},
		"calls were counted, against that": {
			func(s *synth) { s.record(RuleComplete, false) },
			"records-complete: recorded not ok, judged ok",
		},
		"it was given up, its clients killed": {func(s *synth) {
			s.record(RuleCompleted, false)
			s.trial.Checks = s.trial.Checks[:5]
			s.named("parallel-1").ExitCode = 137
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := olderSynth(t)
			test.change(s)
			f := s.verify()
			switch {
			case test.want != "":
				if len(f.Faults) != 1 || !strings.HasPrefix(f.Faults[0].Fault, test.want) {
					t.Errorf("%+v, want one fault: %q", f, test.want)
				}
			case f.Status != results.Holds ||
				!strings.HasSuffix(f.Evidence, "; 4 of them rest on what was observed during this older run and not recorded"):
				t.Errorf("%+v, want no fault, and what is kept", f)
			}
		})
	}
}

func TestAnOlderRunIsJudgedByItsOwnRules(t *testing.T) {
	s := newSynth(record.NoBlock)
	s.manifest.ValidityVersion = 0
	if checks := s.judge(t).Checks; len(checks) != len(rules1) || checks[len(checks)-1].Rule == RuleLocal {
		t.Errorf("%d checks, want the %d of version 1: %+v", len(checks), len(rules1), checks)
	}
}

func uncounted(s *synth) {
	s.edit(func(n *results.Node, l *record.Line) bool {
		if server(n) && l.Probe != nil {
			l.Probe.SyscallCounter = false
		}
		return true
	})
}

func TestWhatCannotBeJudgedIsNotChecked(t *testing.T) {
	s := newSynth(record.NoBlock).recorded(t)
	s.manifest.ValidityVersion = Version + 1
	if f := s.verify(); f.Status != results.NotChecked ||
		!strings.Contains(f.Evidence, fmt.Sprintf("version %d, this program has 1 to %d", Version+1, Version)) {
		t.Errorf("a newer run: %+v", f)
	}
	if _, err := Judge(s.manifest, s.trial, s.read); err == nil {
		t.Error("a trial is judged by rules that are not known")
	}
	for name, f := range map[string]results.Finding{
		"no manifest": Verify(nil, nil, nil),
		"no trials":   Verify(&results.Manifest{}, nil, nil),
	} {
		if f.Status != results.NotChecked || f.Means == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	unreadable := func(*results.Trial, *results.Node, func(*record.Line) error) error { return errors.New("no disk") }
	f := Verify(&results.Manifest{}, []*results.Trial{s.trial}, unreadable)
	if f.Status != results.Broken || f.Faults[0].Fault != "cannot be judged: no disk" {
		t.Errorf("records that cannot be read: %+v", f)
	}
}

// The evidence of old verdicts also matches the recorded texts.
func TestTheReferenceRunIsJudgedAsItWas(t *testing.T) {
	run, err := results.Open("../../results/reference/paper")
	if err != nil {
		t.Fatal(err)
	}
	outcomes := cmp.Options{}
	if VersionOf(&run.Manifest) < Version { // the same outcomes, in other words
		outcomes = cmp.Options{cmpopts.IgnoreFields(results.Check{}, "Evidence")}
	}
	for _, trial := range run.Trials {
		m, again := backfilled(run.Manifest, *trial)
		v, err := Judge(&m, &again, func(n *results.Node, yield func(*record.Line) error) error {
			return run.Lines(trial, n, yield)
		})
		if err != nil {
			t.Fatal(err)
		}
		warned := slices.DeleteFunc(slices.Clone(trial.Warnings), func(w string) bool {
			return strings.HasPrefix(w, "the machine was not quiet after ") // of the wait before the trial, not of its records
		})
		if diff := cmp.Diff(trial.Checks, v.Checks, outcomes); diff != "" || len(warned) != len(v.Warnings) ||
			v.LoadEndNS != trial.LoadEndNS {
			t.Errorf("%s: load ended at %d, was %d (-recorded +judged):\n%s", trial.Name(), v.LoadEndNS, trial.LoadEndNS, diff)
		}
	}
}
