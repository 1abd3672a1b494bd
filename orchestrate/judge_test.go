package orchestrate

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestATrialWhoseRecordsBreakARuleIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		rt := newFake(s)
		rt.edit = func(_ *process, l *record.Line) bool {
			if l.Server != nil {
				l.Server.StillCounted = 1
			}
			return true
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if !errors.Is(err, ErrInvalid) {
			t.Fatalf("error %v, want ErrInvalid", err)
		}
		for _, trial := range checkSealed(t, outcome.Dir).Trials {
			expectBroken(t, trial, validity.RuleQuota, "server still counts 1 connections")
		}
	})
}

func TestARunRecordsWhatItsTrialsAreJudgedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Trial.Syscalls = false
		outcome, err := Run(t.Context(), s, newFake(s), o)
		if err != nil {
			t.Fatal(err)
		}
		run := checkSealed(t, outcome.Dir)
		if m := run.Manifest; m.ValidityVersion != validity.Version || m.Experiment.Syscalls == nil ||
			*m.Experiment.Syscalls {
			t.Errorf("rules of version %d, system calls counted: %v", m.ValidityVersion, m.Experiment.Syscalls)
		}
		for _, n := range run.Trials[0].Nodes {
			want := results.EndedItself
			if n.Role == results.RoleServer {
				want = results.EndedAsked
			}
			if n.Ended != want || n.ReadySeenNS != n.ReadyNS {
				t.Errorf("%s was ended by %q, ready at %d ns, seen at %d ns", n.Name, n.Ended, n.ReadyNS, n.ReadySeenNS)
			}
		}
	})
}

func TestTwoReadingsOfOneClockShowNoStep(t *testing.T) {
	if step := wallStep(time.Now(), time.Now()); step.Abs() > time.Millisecond {
		t.Errorf("a step of %s where none was", step)
	}
}
