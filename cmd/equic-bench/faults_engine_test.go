package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
)

// privateEngine is a Docker engine of the test's own, which the test may stop. It lives
// in its own namespaces: its containers, interfaces and mounts end with it, as if its
// host lost power.
type privateEngine struct {
	dir    string
	socket string // as DOCKER_HOST
	args   []string
	log    bytes.Buffer
	cmd    *exec.Cmd // nil if it is stopped
}

// startPrivateEngine makes this test's commands use an engine of its own.
func startPrivateEngine(t *testing.T) *privateEngine {
	t.Helper()
	e := newPrivateEngine(t, "exec")
	t.Setenv("DOCKER_HOST", e.socket)
	e.start(t)
	return e
}

// newPrivateEngine prepares an engine. The shell runs a prologue before the engine, in its
// namespaces.
func newPrivateEngine(t *testing.T, prologue string) *privateEngine {
	t.Helper()
	needRoot(t)
	needEngine(t)
	testkit.NeedTool(t, "dockerd")
	dir, err := os.MkdirTemp("", "engine-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(settings, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := "unix://" + filepath.Join(dir, "engine.sock")
	e := &privateEngine{dir: dir, socket: socket, args: []string{
		"--pid", "--net", "--uts", "--mount", "--mount-proc", "--fork", "--kill-child",
		"sh", "-c", prologue + ` "$@"`, "sh", "dockerd",
		"--config-file", settings, "--host", socket, "--pidfile", filepath.Join(dir, "run", "pid"),
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "run"),
		"--containerd-namespace", filepath.Base(dir), "--containerd-plugins-namespace", filepath.Base(dir) + "-plugins",
		"--cgroup-parent", "/" + filepath.Base(dir), "--bridge", "none", "--iptables=false", "--ip6tables=false",
	}}
	t.Cleanup(func() {
		if e.cmd != nil {
			e.stop(t, syscall.SIGKILL)
		}
		e.remove(t)
	})
	return e
}

func (e *privateEngine) start(t *testing.T) {
	t.Helper()
	e.launch(t)
	e.await(t)
}

// launch starts the engine's process.
func (e *privateEngine) launch(t *testing.T) {
	t.Helper()
	e.log.Reset()
	e.cmd = exec.Command("unshare", e.args...) //nolint:noctx // the test's own; stop ends it
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		e.cmd = nil
		t.Fatal(err)
	}
}

// await waits until the engine answers.
func (e *privateEngine) await(t *testing.T) {
	t.Helper()
	testkit.AwaitFor(t, 30*time.Second, "the engine", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return exec.CommandContext(ctx, "docker", "--host", e.socket, "version").Run() == nil
	})
}

// pid returns the number of the engine's first process; zero if it has ended.
func (e *privateEngine) pid() int {
	all := processes()
	i := slices.IndexFunc(all, func(p process) bool { return p.parent == e.cmd.Process.Pid })
	if i < 0 {
		return 0
	}
	return all[i].pid
}

// stop sends the engine a signal and waits for its end. State that the engine keeps
// only while it runs is lost, as in a restart of its host.
func (e *privateEngine) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if pid := e.pid(); pid == 0 {
		t.Errorf("the engine ended before it was stopped")
	} else if err := syscall.Kill(pid, signal); err != nil {
		t.Errorf("stop the engine: %v", err)
	}
	_ = e.cmd.Wait() // it was asked to end
	e.cmd = nil
	if t.Failed() {
		t.Logf("the engine said:\n%s", &e.log)
	}
	if err := os.RemoveAll(filepath.Join(e.dir, "run")); err != nil {
		t.Error(err)
	}
}

// remove removes the engine's folder and its remaining control groups.
func (e *privateEngine) remove(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(e.dir); err != nil {
		t.Error(err)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		roots, err := filepath.Glob(pattern + filepath.Base(e.dir))
		if err != nil {
			t.Error(err)
		}
		for _, root := range roots {
			removeGroups(t, root)
		}
	}
}

// removeGroups removes a control group and its subgroups, which have no processes.
func removeGroups(t *testing.T, root string) {
	t.Helper()
	var groups []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, group := range slices.Backward(groups) {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
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
			for _, trial := range trialsOf(t, r.root) { // when asked to end, it still records how its nodes ended
				if trial.Valid && trial.Epoch.Equal(server.epoch) {
					t.Errorf("%s is valid, and its engine was stopped", trial.Name())
				}
			}
		})
	}
}
