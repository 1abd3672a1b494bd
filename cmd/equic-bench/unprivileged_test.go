package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// asNobody returns a command of a user without rights, and without an engine.
func asNobody(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	const nobody = 65534
	c := exec.CommandContext(t.Context(), name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DOCKER_HOST=unix:///nonexistent/docker.sock"}
	return c
}

func TestAUserWithoutRightsRunsWhatNeedsNoProgramInTheKernel(t *testing.T) {
	needRoot(t) // to become another user
	if out, err := asNobody(t, "unshare", "--map-root-user", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("this kernel lets no user make namespaces: %v: %s", err, out)
	}
	//nolint:usetesting // t.TempDir is below a folder that only root may enter
	dir, err := os.MkdirTemp("", "unprivileged-")
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, os.RemoveAll(dir)) })
	testkit.Must(t, os.Chmod(dir, 0o755))
	copyProgram(t, dir)
	root := filepath.Join(dir, "runs")
	testkit.Must(t, os.Mkdir(root, 0o777))
	testkit.Must(t, os.Chmod(root, 0o777))
	run := func(args ...string) (stderr string, code int) {
		awaitMachine(t)
		var log strings.Builder
		c := asNobody(t, filepath.Join(dir, "equic-bench"), append([]string{
			"run", filepath.Join(dir, "faults.yaml"), "--results", root,
		}, args...)...)
		c.Stderr = &log
		_ = c.Run() // the exit code is looked at
		return log.String(), c.ProcessState.ExitCode()
	}
	log, code := run()
	for _, want := range []string{
		"running in a user namespace", "left out, as they need programs in the kernel: xdp-block", "with sudo",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in:\n%s", want, log)
		}
	}
	if code != exitFine {
		t.Fatalf("exit code %d:\n%s", code, log)
	}
	whole := openRun(t, root)
	if got := whole.Manifest.Experiment.Variants; len(got) != 1 || got[0] != "no-block" {
		t.Errorf("variants %v", got)
	}
	log, code = run("--variants", "xdp-block")
	if code != exitMachine || !strings.Contains(log, "start a Docker engine") {
		t.Errorf("a variant in the kernel: exit code %d:\n%s", code, log)
	}
}
