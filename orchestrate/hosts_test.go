package orchestrate

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestANodesHostIsRecordedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		o.Once = true
		rt := newFake(s)
		address := netip.MustParseAddr("192.0.2.77")
		rt.locations = map[string]Location{"sequential-1": {Host: "second", Address: address}}
		rt.programs = map[string]program{"sequential-1": func(p *process) int { // injected: one kernel has one clock
			p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now() + 2e8}})
			return 128 + int(<-p.signals)
		}}
		outcome, err := Run(t.Context(), s, rt, o)
		if !errors.Is(err, ErrInvalid) {
			t.Fatalf("error %v, want ErrInvalid", err)
		}
		trial := checkSealed(t, outcome.Dir).Trials[0]
		expectBroken(t, trial, validity.RuleReady, "sequential-1 (on second) was ready 0.800 s before the epoch by its clock")
		i := slices.IndexFunc(trial.Nodes, func(n results.Node) bool { return n.Name == "sequential-1" })
		if n := trial.Nodes[i]; n.Host != "second" || n.Address != address.String() {
			t.Errorf("recorded on %q with the address %s", n.Host, n.Address)
		}
	})
}

func TestALostHostMakesTheTrialInvalidAndTheRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		rt, started := newFake(s), 0
		rt.start = func(_ context.Context, name string) error {
			if name != "sequential-1" {
				return nil
			}
			if started++; started == 1 {
				return &LostError{"second, the host of sequential-1, is down: no heartbeat for 15 s"}
			}
			return nil
		}
		outcome, err := Run(t.Context(), s, rt, o)
		testkit.Must(t, err)
		run := checkSealed(t, outcome.Dir)
		if len(run.Trials) != 2 || !run.Trials[1].Valid {
			t.Fatalf("%d attempts", len(run.Trials))
		}
		expectBroken(t, run.Trials[0], validity.RuleCompleted, "second, the host of sequential-1, is down")
	})
}

func TestNodesOnHostsOfTheirOwnAreBoundOnlyToTheCPUsThatTheScenarioNames(t *testing.T) {
	s := oneTrial(record.NoBlock)
	s.Server.CPUs, s.Sequential.CPUs, s.Parallel.CPUs = []int{1}, nil, nil
	platform := Platform{Apart: true, ProbePins: true, BinDir: "/"}
	spec, err := newSpec(s, "run", results.PlannedTrial{Variant: "no-block"}, 1, time.Unix(0, 0), platform)
	testkit.Must(t, err)
	for _, n := range spec.Nodes {
		pinned := slices.Contains(n.Command, "--pin")
		if n.Role == results.RoleServer != pinned {
			t.Errorf("%s: %q", n.Name, n.Command)
		}
	}
	if got := spec.Nodes[0].Command[:3]; !slices.Equal(got, []string{"/equic-probe", "--pin", "1"}) {
		t.Errorf("the server begins with %q", got)
	}
	if _, warnings := placeNodes(s, platform); len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
}
