package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// copyProgram copies equic-bench and the nodes' binaries to a folder that all users may
// read.
func copyProgram(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(orchestrate.Binaries(), "equic-bench", faults) {
		from := filepath.Join(filepath.Dir(binary), name)
		if name == faults {
			from = faults
		}
		if err := copyFile(filepath.Join(dir, filepath.Base(name)), from); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755) // programs that another user runs
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

func TestFaultARunEndsWellInAnOddPlace(t *testing.T) {
	needRoot(t)
	readOnly := disk(t, syscall.MS_RDONLY, "")
	other := filepath.Join(disk(t, 0, ""), "results of mine")
	place := filepath.Join(t.TempDir(), "a path with spaces")
	copyProgram(t, place)

	for _, runtime := range []string{runtimeNetns, runtimeDocker} {
		t.Run("path with spaces, read-only TMPDIR, results on another file system: "+runtime, func(t *testing.T) {
			if runtime == runtimeDocker {
				needEngine(t)
			}
			r := &faultRun{runtime: runtime, root: filepath.Join(other, runtime)}
			awaitMachine(t)
			//nolint:noctx // startCommand ends it
			cmd := exec.Command(filepath.Join(place, "equic-bench"), "run", "faults.yaml", "--variants", "xdp-block",
				"--runtime", runtime, "--results", r.root)
			cmd.Dir, cmd.Env = place, append(os.Environ(), "TMPDIR="+readOnly)
			r.bench = startCommand(t, cmd)
			r.checkExit()
			r.checkNothingLeft()
		})
	}
}

func TestFaultWithoutAnEngineARunTakesNamespacesAndSaysSo(t *testing.T) {
	needRoot(t)
	r := &faultRun{runtime: runtimeNetns, root: t.TempDir()}
	awaitMachine(t)
	//nolint:noctx // startCommand ends it
	cmd := exec.Command(binary, "run", faults, "--variants", "no-block", "--results", r.root)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+filepath.Join(t.TempDir(), "no-engine.sock"))
	r.bench = startCommand(t, cmd)
	r.waitFor("runtime netns (no Docker engine answers)")
	r.checkExit()
	r.checkNothingLeft()
	if got := openRun(t, r.root).Manifest.Runtime.Name; got != runtimeNetns {
		t.Errorf("the manifest says runtime %q, want %q", got, runtimeNetns)
	}
}

func TestFaultAUserOfTheEngineNeedsNoRoot(t *testing.T) {
	needRoot(t)
	needEngine(t)
	const nobody = 65534
	group := engineGroup(t)
	place := t.TempDir()
	copyProgram(t, place)
	root := filepath.Join(place, "results")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(root, nobody, int(group)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{place, filepath.Dir(place)} { // both are the test's
		if err := os.Chmod(dir, 0o755); err != nil { // another user reads there
			t.Fatal(err)
		}
	}

	r := &faultRun{runtime: runtimeDocker, root: root}
	awaitMachine(t)
	args := []string{"run", "faults.yaml", "--variants", "xdp-block", "--runtime", r.runtime, "--results", root}
	cmd := exec.Command(filepath.Join(place, "equic-bench"), args...) //nolint:noctx // startCommand ends it
	cmd.Dir = place
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: group}}
	r.bench = startCommand(t, cmd)
	r.checkExit()
	r.checkNothingLeft()
}

// engineGroup returns the group that may use the engine's socket.
func engineGroup(t *testing.T) uint32 {
	t.Helper()
	path := "/var/run/docker.sock"
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path = strings.TrimPrefix(host, "unix://")
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Skipf("the engine is not behind a Unix socket of this machine: %v", err)
	}
	if stat.Gid == 0 || stat.Mode&0o060 != 0o060 {
		t.Skip("the engine's socket belongs to no group but root's: mode " + strconv.FormatUint(uint64(stat.Mode&0o777), 8))
	}
	return stat.Gid
}
