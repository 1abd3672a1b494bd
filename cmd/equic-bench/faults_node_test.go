package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// wrongClient makes a folder of the nodes' binaries in which parallel-1 runs a script
// instead of its program. $REAL is the program.
func wrongClient(t *testing.T, script string) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Dir(binary))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range orchestrate.Binaries() {
		if name == "equic-client" {
			continue
		}
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf("#!/bin/sh\nREAL=%s\n[ \"$EQUIC_NODE\" = parallel-1 ] || exec \"$REAL\" \"$@\"\n%s\n",
		filepath.Join(bin, "equic-client"), script)
	if err := os.WriteFile(filepath.Join(dir, "equic-client"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFaultAClientGoneWrongMakesItsTrialInvalid(t *testing.T) {
	needRoot(t)
	const ready = `echo '{"ready":{"node":"parallel-1","at_ns":'$(($(date +%s%N) - EQUIC_EPOCH))'}}'`
	for name, test := range map[string]struct{ script, rule, says string }{
		// the shell waits for a child process
		"it never gets ready":      {"sleep 300; echo", "completed", "parallel-1 is not ready by the epoch"},
		"it is late for the epoch": {`sleep 1.3; exec "$REAL" "$@"`, "ready-before-epoch", "parallel-1 was ready 0."},
		"its clock is wrong": {
			`EQUIC_EPOCH=$((EQUIC_EPOCH - 60000000000)) exec "$REAL" "$@"`,
			"ready-before-epoch", "parallel-1 was ready 59.",
		},
		"it prints garbage": {
			"echo no record; exec sleep 300", "records-readable",
			`parallel-1: line 1 is not a record: "no record"`,
		},
		"it prints a line without end": {"exec cat /dev/zero", "records-readable", "parallel-1: a line is longer than"},
		"it prints more than a million lines": {
			ready + "\n" + `yes '{"progress":{"at_ns":1,"started":1,"done":1}}' | head -n 1100000; exec sleep 300`,
			"records-readable", "parallel-1: more than 1000000 lines",
		},
		"it ends before its load":  {ready, "records-complete", "parallel-1 left no client record"},
		"it leaves a child behind": {ready + "\nsleep 300 & exit 3", "nodes-alive", "parallel-1 ended with exit code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startFaultRun(t, t.TempDir(), "--variants", "no-block", "--bin", wrongClient(t, test.script))
			if strings.HasPrefix(test.script, ready) {
				r.punctual = append(r.punctual, "parallel-1")
			}
			r.attempt()
			broken := r.broken()
			r.giveUp()
			r.checkInvalid(broken, test.rule, test.says)
			r.checkNothingLeft()
		})
	}
}

func TestFaultAServerThatStopsAnsweringMakesItsTrialInvalid(t *testing.T) {
	needRoot(t)
	r := startFaultRun(t, t.TempDir(), "--variants", "no-block")
	server := r.strike(func(server faultNode) bool {
		r.reach(server, orchestrate.PhaseAfter)
		return r.hit(server.program, syscall.SIGSTOP)
	})
	r.giveUp()
	r.checkInvalid(server, "completed", "server is still running 10s after SIGTERM")
	r.checkNothingLeft()
}

func TestFaultAnInterfaceTakenAwayMakesItsTrialInvalid(t *testing.T) {
	needRoot(t)
	for _, test := range []struct{ runtime, variant string }{
		{runtimeNetns, "xdp-block"}, {runtimeDocker, "no-block"},
	} {
		t.Run(test.variant+" in "+test.runtime, func(t *testing.T) {
			if test.runtime == runtimeDocker {
				needEngine(t)
			}
			r := startFaultRun(t, t.TempDir(), "--variants", test.variant, "--runtime", test.runtime)
			server := r.strike(func(server faultNode) bool {
				// So late that the load still ends in time: every rule of the load passes.
				until(server.epoch.Add(1750 * time.Millisecond))
				return r.takeInterface(server)
			})
			r.giveUp()
			r.checkInvalid(server, "interface-kept", "server lost its interface eth0")
			r.checkNothingLeft()
		})
	}
}

// broken waits for the end of an attempt in which the fault of its client came first.
// The client is wrong in every attempt. An attempt can be over before its nodes are
// seen.
func (r *faultRun) broken() faultNode {
	r.t.Helper()
	for n := range orchestrate.Attempts {
		r.verdict()
		ended := faultNode{epoch: openRun(r.t, r.root).Trials[n].Epoch}
		if !r.late(ended) {
			return ended
		}
	}
	r.t.Fatalf("the machine is too busy for a trial: %d attempts ended too early", orchestrate.Attempts)
	return faultNode{}
}

// strike does something to an attempt, and returns its server. If the load of the
// machine has ended an attempt before, strike uses the next.
func (r *faultRun) strike(hit func(server faultNode) bool) faultNode {
	r.t.Helper()
	for range orchestrate.Attempts {
		server := r.attempt()
		done := hit(server)
		r.verdict()
		if done && !r.late(server) {
			return server
		}
	}
	r.t.Fatalf("the machine is too busy for a trial: %d attempts ended too early", orchestrate.Attempts)
	return faultNode{}
}

// late reports whether an attempt ended because an untouched node was not ready in
// time.
func (r *faultRun) late(server faultNode) bool {
	r.t.Helper()
	for _, trial := range openRun(r.t, r.root).Trials {
		if !trial.Epoch.Equal(server.epoch) {
			continue
		}
		for _, c := range trial.Checks {
			for _, node := range r.punctual {
				if c.Rule == "completed" &&
					(strings.HasPrefix(c.Evidence, node+" was ready") || strings.HasPrefix(c.Evidence, node+" is not ready")) {
					return true
				}
			}
		}
	}
	return false
}

// takeInterface deletes the interface of a server. It returns false if the server has
// already ended.
func (r *faultRun) takeInterface(server faultNode) bool {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), "nsenter", "--net", "--target", strconv.Itoa(server.program),
		"ip", "link", "delete", "eth0").CombinedOutput()
	_, gone := os.Stat(fmt.Sprintf("/proc/%d/ns/net", server.program))
	if err != nil && gone == nil {
		r.t.Fatalf("delete eth0 of the server: %s, %v", out, err)
	}
	return err == nil
}
