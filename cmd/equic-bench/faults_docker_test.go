package main

import (
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// The most important faults once more, in containers.

func TestFaultAKilledNodeMakesItsTrialInvalidInContainers(t *testing.T) {
	needRoot(t)
	needEngine(t)
	r := startFaultRun(t, t.TempDir(), "--variants", "xdp-block", "--runtime", runtimeDocker)

	first := r.attempt()
	client := r.sibling(first, "parallel-1")
	r.reach(first, orchestrate.PhaseBefore)
	hitClient := r.hit(client.probe, syscall.SIGKILL)
	r.verdict()

	second := r.attempt()
	r.reach(second, orchestrate.PhaseAttack)
	hitServer := r.hit(second.program, syscall.SIGKILL)
	r.verdict()

	r.giveUp()
	if hitClient {
		r.checkInvalid(first, "nodes-alive", "parallel-1 ended with exit code 137 (killed")
	}
	if hitServer {
		r.checkInvalid(second, "nodes-alive", "server ended with exit code 137 (killed")
	}
	r.checkNothingLeft()
}

func TestFaultAKilledRunInContainersIsCleanedUp(t *testing.T) {
	needRoot(t)
	needEngine(t)
	for _, phase := range []string{orchestrate.PhaseStart, orchestrate.PhaseAttack} {
		t.Run("in the phase "+phase, func(t *testing.T) {
			r := startFaultRun(t, t.TempDir(), "--variants", "no-block", "--runtime", runtimeDocker)
			r.reach(r.attempt(), phase)
			r.killed()
		})
	}
}

func TestFaultARunRemovesWhatAKilledOneLeft(t *testing.T) {
	needRoot(t)
	needEngine(t)
	killed := startFaultRun(t, t.TempDir(), "--variants", "no-block", "--runtime", runtimeDocker)
	killed.reach(killed.attempt(), orchestrate.PhaseBefore)
	killed.hit(killed.cmd.Process.Pid, syscall.SIGKILL)
	killed.exit()
	next := startFaultRun(t, t.TempDir(), "--variants", "no-block", "--runtime", runtimeDocker)
	next.waitFor("which a killed run had left")
	next.checkExit()
	killed.checkMachine()
	next.checkNothingLeft()
}
