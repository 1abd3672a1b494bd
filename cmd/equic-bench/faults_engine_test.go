package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// privateEngine is a Docker engine of the test's own, which it may stop.
type privateEngine struct {
	args []string
	log  bytes.Buffer // once it has ended
	cmd  *exec.Cmd
}

// startPrivateEngine starts an engine whose folders and socket are its own, as are
// its namespaces in a containerd that it shares, and lets this test's commands
// use it.
func startPrivateEngine(t *testing.T) *privateEngine {
	t.Helper()
	needRoot(t)
	needEngine(t)
	if _, err := exec.LookPath("dockerd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI=true forbids to skip: %v", err)
		}
		t.Skipf("the engine is not of this machine: %v", err)
	}
	dir, err := os.MkdirTemp("", "engine-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(settings, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := "unix://" + filepath.Join(dir, "engine.sock")
	e := &privateEngine{args: []string{
		"--config-file", settings, "--host", socket, "--pidfile", filepath.Join(dir, "pid"),
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--containerd-namespace", filepath.Base(dir), "--containerd-plugins-namespace", filepath.Base(dir) + "-plugins",
		"--bridge", "none", "--iptables=false", "--ip6tables=false",
	}}
	t.Setenv("DOCKER_HOST", socket)
	t.Cleanup(func() {
		if e.cmd == nil { // a test failed: what it left must go all the same
			e.start(t)
		}
		if code := startBench(t, "clean", "--images").exit(); code != exitFine {
			t.Errorf("clean --images: exit code %d", code)
		}
		e.stop(t, syscall.SIGTERM)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	e.start(t)
	return e
}

func (e *privateEngine) start(t *testing.T) {
	t.Helper()
	e.log.Reset()
	e.cmd = exec.Command("dockerd", e.args...) //nolint:gosec,noctx // the test's own; stop ends it
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	e.cmd.WaitDelay = 10 * time.Second // what it leaves may hold its output
	if err := e.cmd.Start(); err != nil {
		e.cmd = nil
		t.Fatal(err)
	}
	await(t, 30*time.Second, "the engine", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return exec.CommandContext(ctx, "docker", "version").Run() == nil
	})
}

// stop sends the engine a signal and waits for its end.
func (e *privateEngine) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(signal); err != nil {
		t.Errorf("the engine ended before it was stopped: %v", err)
	}
	_ = e.cmd.Wait() // it was told to end
	e.cmd = nil
	if t.Failed() {
		t.Logf("the engine said:\n%s", &e.log)
	}
}

func TestFaultAnEngineThatStopsInATrialEndsTheRun(t *testing.T) {
	e := startPrivateEngine(t)
	for name, test := range map[string]struct {
		signal syscall.Signal
		phase  string
	}{
		"asked to end, before the attack": {syscall.SIGTERM, orchestrate.PhaseBefore},
		"killed in the attack":            {syscall.SIGKILL, orchestrate.PhaseAttack},
		"killed at the end":               {syscall.SIGKILL, orchestrate.PhaseAfter},
	} {
		t.Run(name, func(t *testing.T) {
			r := startFaultRun(t, t.TempDir(), "--variants", "xdp-block", "--runtime", runtimeDocker)
			server := r.attempt()
			r.reach(server, test.phase)
			e.stop(t, test.signal)
			r.checkSays(exitMachine, "restart the engine, then run `equic-bench clean`")
			e.start(t)
			if code := startBench(t, "clean").exit(); code != exitFine {
				t.Errorf("clean: exit code %d", code)
			}
			r.checkNothingLeft()
			for _, trial := range trialsOf(t, r.root) {
				if trial.Epoch.Equal(server.epoch) {
					t.Errorf("%s came of a trial whose engine was stopped", trial.Name())
				}
			}
		})
	}
}
