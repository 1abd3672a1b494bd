package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestAnInterruptedRunRemovesItsNodesAndKeepsWholeTrials(t *testing.T) {
	phases := []string{PhaseStart, PhaseBefore, PhaseAttack, PhaseAfter, PhaseStop}
	for _, phase := range phases {
		t.Run("in phase "+phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := testScenario(), testOptions(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				o.OnEvent = func(e Event) {
					if e.Trial.Index == 2 && e.Phase == phase {
						cancel()
					}
				}
				rt := newFake(s)
				outcome, err := Run(ctx, s, rt, o)
				if !errors.Is(err, context.Canceled) || errors.Is(err, ErrInvalid) {
					t.Fatalf("error %v, want that of the context", err)
				}
				run := checkSealed(t, outcome.Dir)
				if len(run.Trials) != 1 || rt.left() != 0 {
					t.Errorf("%d whole trials, %d not removed; want 1 and 0", len(run.Trials), rt.left())
				}
			})
		})
	}
	t.Run("while the run is prepared", func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		ctx, cancel := context.WithCancel(t.Context())
		rt := newFake(s)
		rt.prepare = func(ctx context.Context) error {
			cancel()
			return ctx.Err()
		}
		outcome, err := Run(ctx, s, rt, o)
		if !errors.Is(err, context.Canceled) || rt.opened != 0 {
			t.Errorf("error %v and %d trials, want that of the context and none", err, rt.opened)
		}
		if left, err := os.ReadDir(o.Results); outcome.Dir != "" || err != nil || len(left) != 0 {
			t.Errorf("run directory %q, in the results folder %v, %v; want none", outcome.Dir, left, err)
		}
	})
}

func TestAnInterruptAsksTheNodesToEndAndASecondKillsThem(t *testing.T) {
	tests := map[string]struct {
		hurry time.Duration // after the interrupt; zero: never
		want  time.Duration // until the run is over
	}{
		"a deaf client is waited for":    {0, stopLimit},
		"until the run is told to hurry": {time.Second, time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := testScenario(), testOptions(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var interrupted time.Time
				hurry := make(chan struct{})
				o.Hurry = hurry
				o.OnEvent = func(e Event) {
					if e.Phase != PhaseAttack || !interrupted.IsZero() {
						return
					}
					interrupted = time.Now()
					cancel()
					if test.hurry > 0 {
						time.AfterFunc(test.hurry, func() { close(hurry) })
					}
				}
				asked := false
				rt := newFake(s)
				rt.programs = map[string]program{"parallel-1": func(p *process) int {
					p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now()}})
					asked = <-p.signals == syscall.SIGTERM
					return 128 + int(<-p.signals)
				}}
				_, err := Run(ctx, s, rt, o)
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("error %v, want that of the context", err)
				}
				if took := time.Since(interrupted); took != test.want || !asked || rt.left() != 0 {
					t.Errorf("over after %s, asked to end %v, %d not removed; want %s, true and 0", took, asked, rt.left(), test.want)
				}
			})
		})
	}
}

func TestAnErrorOfTheRuntimeEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		rt := newFake(s)
		rt.open = func(_ context.Context, spec Spec) error {
			if spec.Trial.Index == 2 {
				return errEngine
			}
			return nil
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if !errors.Is(err, errEngine) || errors.Is(err, ErrInvalid) {
			t.Fatalf("error %v, want the engine's", err)
		}
		if run := checkSealed(t, outcome.Dir); len(run.Trials) != 1 || rt.left() != 0 {
			t.Errorf("%d whole trials, %d not removed; want 1 and 0", len(run.Trials), rt.left())
		}
	})
}

func TestATrialThatCannotBeCommittedLeavesNoHalfOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		rt := newFake(s)
		rt.open = func(_ context.Context, spec Spec) error {
			if spec.Trial.Index != 2 {
				return nil
			}
			taken := fmt.Sprintf("%03d-%s", spec.Trial.Index, spec.Trial.Label())
			return os.WriteFile(filepath.Join(o.Results, spec.Run, results.TrialsDir, taken), nil, 0o600)
		}
		outcome, err := Run(t.Context(), s, rt, o)
		if err == nil || !strings.Contains(err.Error(), "commit trial 002-") {
			t.Errorf("error %v, want that of the trial whose name is taken", err)
		}
		half, err := filepath.Glob(filepath.Join(outcome.Dir, results.TrialsDir, ".*"))
		if err != nil || len(half) != 0 || len(outcome.Trials) != 1 {
			t.Errorf("%d whole trials and half ones %v, %v; want 1 and none", len(outcome.Trials), half, err)
		}
	})
}

func TestARuntimeThatHangsEndsTheRun(t *testing.T) {
	hang := func(at string) func(context.Context, string) error {
		return func(ctx context.Context, name string) error {
			if name != at {
				return nil
			}
			<-ctx.Done()
			return errors.Join(errEngine, ctx.Err())
		}
	}
	s := oneTrial(record.NoBlock)
	for name, test := range map[string]struct {
		hang func(rt *fakeRuntime)
		want time.Duration // until the run is over
	}{
		"when it is to start the server": {func(rt *fakeRuntime) { rt.start = hang("server") }, 30 * time.Second},
		"when it is to start a client":   {func(rt *fakeRuntime) { rt.start = hang("parallel-2") }, 30 * time.Second},
		"when it is to stop the server": {func(rt *fakeRuntime) { rt.signal = hang("server") }, s.Trial.Startup +
			s.Sequential.End() + stopLimit},
		"when it is to kill the nodes of a broken trial": {func(rt *fakeRuntime) {
			rt.programs = map[string]program{"parallel-1": func(*process) int { return 1 }}
			rt.signal = hang("server")
		}, stopLimit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				rt := newFake(s)
				test.hang(rt)
				_, err := Run(t.Context(), s, rt, testOptions(t))
				if !errors.Is(err, errEngine) || errors.Is(err, ErrInvalid) {
					t.Errorf("error %v, want the engine's", err)
				}
				if took := time.Since(began); took != test.want || rt.left() != 0 {
					t.Errorf("over after %s, %d not removed; want %s and 0", took, rt.left(), test.want)
				}
			})
		})
	}
}

func TestMoreNodesMayTakeLonger(t *testing.T) {
	for nodes, want := range map[int]time.Duration{1: 30 * time.Second, 9: 30 * time.Second, 18: time.Minute} {
		if got := (Spec{Nodes: make([]NodeSpec, nodes)}).Limit(); got != want {
			t.Errorf("%d nodes may take %s, want %s", nodes, got, want)
		}
	}
}

func TestKeepLeavesTheNodesOfTheLastTrialOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := testScenario(), testOptions(t)
		o.Keep = true
		rt := newFake(s)
		rt.open = func(context.Context, Spec) error {
			if n := rt.left(); n != 0 {
				return fmt.Errorf("%d trials are in the way", n)
			}
			return nil
		}
		if _, err := Run(t.Context(), s, rt, o); err != nil {
			t.Fatal(err)
		}
		if rt.left() != 1 {
			t.Errorf("the nodes of %d trials are left, want those of the last", rt.left())
		}
	})
}
