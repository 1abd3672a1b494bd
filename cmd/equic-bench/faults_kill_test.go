package main

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// phases are the phases of a trial, in order.
var phases = []string{
	orchestrate.PhaseStart, orchestrate.PhaseBefore, orchestrate.PhaseAttack, orchestrate.PhaseAfter,
	orchestrate.PhaseStop,
}

// reach waits for a phase of an attempt, by the times in faults.yaml. It also keeps the
// phase "stop" from ending: a server suspended by SIGSTOP cannot print its records.
func (r *faultRun) reach(server faultNode, phase string) {
	r.t.Helper()
	switch phase {
	case orchestrate.PhaseStart:
	case orchestrate.PhaseBefore:
		until(server.epoch.Add(250 * time.Millisecond))
	case orchestrate.PhaseAttack:
		until(server.epoch.Add(time.Second))
	case orchestrate.PhaseAfter:
		until(server.epoch.Add(1700 * time.Millisecond))
	case orchestrate.PhaseStop:
		until(server.epoch.Add(1700 * time.Millisecond))
		r.hit(server.program, syscall.SIGSTOP)
		r.waitForAny(": stop,", ": invalid (")
	}
}

func TestFaultAKilledNodeMakesItsTrialInvalidInEveryPhase(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		variant, node string
		phases        []string
		victim        func(faultNode) int
	}{
		"the server":         {"xdp-block", "server", phases, func(n faultNode) int { return n.program }},
		"the server's probe": {"xdp-block", "server", phases, func(n faultNode) int { return n.probe }},
		// it has ended by the phase "stop"
		"a sequential client": {"no-block", "sequential-1", phases[:4], func(n faultNode) int { return n.program }},
		// and this one by the phase "after"
		"a client's probe too": {"no-block", "parallel-1", phases[:3], func(n faultNode) int { return n.probe }},
	} {
		t.Run(name, func(t *testing.T) {
			left := test.phases
			if !*matrix && name != "the server" {
				left = []string{orchestrate.PhaseAttack}
			}
			for runs := 0; len(left) > 0; runs++ {
				if runs == 4 {
					t.Fatalf("the machine is too busy for a trial: phases %q were not reached in %d runs", left, runs)
				}
				left = killInPhases(t, test.variant, test.node, left, test.victim)
			}
		})
	}
}

// killInPhases kills a node in one phase of each attempt of one trial, and
// returns the phases that are left for another run.
func killInPhases(t *testing.T, variant, name string, left []string, victim func(faultNode) int) []string {
	t.Helper()
	r := startFaultRun(t, t.TempDir(), "--variants", variant)
	var killed []faultNode
	for range orchestrate.Attempts {
		if len(left) == 0 {
			break
		}
		server := r.attempt()
		node := server
		if name != results.RoleServer {
			node = r.sibling(server, name)
		}
		r.reach(server, left[0])
		hit := r.hit(victim(node), syscall.SIGKILL)
		r.verdict()
		if hit {
			killed, left = append(killed, server), left[1:]
		}
	}
	r.checkExit()
	for _, server := range killed {
		r.checkInvalid(server, "nodes-alive", name+" ended with exit code 137 (killed")
	}
	r.checkNothingLeft()
	return left
}

func TestFaultAKilledRunLeavesWholeTrialsOnly(t *testing.T) {
	needRoot(t)
	for _, phase := range phases {
		t.Run("in the phase "+phase, func(t *testing.T) {
			r := startFaultRun(t, t.TempDir(), "--variants", "no-block")
			r.reach(r.attempt(), phase)
			r.killed()
			if phase == orchestrate.PhaseAttack {
				r.resumes()
			}
		})
	}
}

// A suspended server does not react to a request to end: the run waits for it after the
// first interrupt, but not after the second.
func TestFaultASecondInterruptKillsWhatDoesNotEnd(t *testing.T) {
	needRoot(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			if signal.Ignored(s) {
				t.Skip("it is ignored, as under nohup")
			}
			killAtTheSecond(t, s)
		})
	}
}

func killAtTheSecond(t *testing.T, s syscall.Signal) {
	t.Helper()
	r := startFaultRun(t, t.TempDir(), "--variants", "no-block")
	server := r.strikeOnce(orchestrate.PhaseAttack, syscall.SIGSTOP)
	begun := time.Now()
	r.hit(r.cmd.Process.Pid, s)
	r.waitFor("interrupted: its nodes are asked to end")
	r.hit(r.cmd.Process.Pid, s)
	if code := r.exit(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("the run ended after %s, as if no second interrupt had come", took)
	}
	r.checkNothingLeft()
	for _, trial := range trialsOf(t, r.root) {
		if trial.Epoch.Equal(server.epoch) {
			t.Errorf("%s came of the interrupted attempt", trial.Name())
		}
	}
}

// strikeOnce sends a signal to the server of an attempt, in a phase that it reaches.
func (r *faultRun) strikeOnce(phase string, signal syscall.Signal) faultNode {
	r.t.Helper()
	for range orchestrate.Attempts {
		server := r.attempt()
		r.reach(server, phase)
		if r.hit(server.program, signal) {
			return server
		}
	}
	r.t.Fatalf("the machine is too busy for a trial: the phase %q was not reached in %d attempts", phase,
		orchestrate.Attempts)
	return faultNode{}
}

// trialsOf returns the complete trials of the only run under a results folder; none if
// the run has left no folder.
func trialsOf(t *testing.T, root string) []*results.Trial {
	t.Helper()
	if dirs, err := os.ReadDir(root); err != nil || len(dirs) == 0 {
		return nil
	}
	return openRun(t, root).Trials
}

// killed kills the run, cleans up as the documentation describes, and asserts that no
// trial was written.
func (r *faultRun) killed() {
	r.t.Helper()
	r.killAndClean()
	for _, trial := range openRun(r.t, r.root).Trials {
		if trial.Valid {
			r.t.Errorf("%s is valid, though its run was killed in it", trial.Name())
		}
	}
}

// killAndClean kills the run, cleans up as the documentation describes, and asserts
// that nothing is left on the machine.
func (r *faultRun) killAndClean() {
	r.t.Helper()
	r.hit(r.cmd.Process.Pid, syscall.SIGKILL)
	if code := r.exit(); code != -1 {
		r.t.Errorf("exit code %d; want the end by a signal", code)
	}
	if r.runtime == runtimeNetns {
		r.awaitNodes()
	}
	if code := startBench(r.t, "clean").exit(); code != exitFine {
		r.t.Errorf("clean: exit code %d", code)
	}
	r.checkMachine()
}

// Measurements before the first trial are not kept, even if the run is killed.
func TestARunKilledWhileItMeasuresTheCapacityLeavesNothing(t *testing.T) {
	needRoot(t)
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "capacity.yaml")
	text, err := os.ReadFile(faults)
	testkit.Must(t, err)
	text = bytes.Replace(text, []byte("rate: 60/s"), []byte("rate: up to 2x"), 1)
	testkit.Must(t, os.WriteFile(file, text, 0o600))
	awaitMachine(t)
	r := &faultRun{
		bench:   startBench(t, "run", file, "--runtime", runtimeNetns, "--results", root),
		runtime: runtimeNetns, root: root, epochs: map[string]bool{}, spaces: map[string]bool{},
	}
	r.attempt()
	r.hit(r.cmd.Process.Pid, syscall.SIGKILL)
	r.exit()
	r.awaitNodes()
	r.checkMachine()
	if left, err := filepath.Glob(filepath.Join(root, ".scratch-*")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v; the test wants that it was killed while it measured", left, err)
	}
	again := startFaultRun(t, root, "--variants", "no-block")
	again.exit()
	openRun(t, root) // there is no other folder
}

// awaitNodes waits until the nodes end, as they do with their run.
func (r *faultRun) awaitNodes() {
	r.t.Helper()
	testkit.AwaitFor(r.t, 10*time.Second, "the end of the nodes", func() bool {
		for _, p := range processes() {
			if r.epochs[p.variable(record.EnvEpoch)] {
				return false
			}
		}
		return true
	})
}

// resumes asserts that the run can be continued to its end, and that nothing of its
// incomplete trial is left then.
func (r *faultRun) resumes() {
	r.t.Helper()
	run := openRun(r.t, r.root)
	half, err := filepath.Glob(filepath.Join(run.Dir, results.TrialsDir, ".*"))
	if err != nil || len(half) != 1 {
		r.t.Errorf("half trials of a killed run: %v, %v; want one", half, err)
	}
	again := startFaultRun(r.t, r.root, "--resume", run.Dir)
	again.checkExit()
	again.checkNothingLeft()
}
