package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/results"
)

// disk mounts a file system of its own, in memory, until the test ends.
func disk(t *testing.T, flags uintptr, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("equic-bench-test", dir, "tmpfs", flags, options); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes a file until the disk is full, and returns its path.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkSays asserts that the run ended with an exit code and one short message.
func (r *faultRun) checkSays(want int, says string) {
	r.t.Helper()
	if code := r.exit(); code != want {
		r.t.Errorf("exit code %d, want %d", code, want)
	}
	lines := strings.Split(strings.TrimSpace(r.stderr.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, says) || len(last) > 1000 {
		r.t.Errorf("the last line is %.1000q; want a short one with %q", last, says)
	}
}

func TestFaultARunThatCannotBeWrittenLeavesNoFolder(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		flags         uintptr
		options, says string
		code          int
	}{
		"the disk is full from the start":   {0, "size=4k", "no space left on device", exitMachine},
		"there is no room for the manifest": {0, "size=8k", "no space left on device", exitMachine},
		"there is no room for a trial":      {0, "size=40k", "no space left on device", exitMachine},
		"there are no inodes for a trial":   {0, "nr_inodes=7", "no space left on device", exitMachine},
		"the results are read-only":         {syscall.MS_RDONLY, "", "read-only file system", exitMachine},
	} {
		t.Run(name, func(t *testing.T) {
			root := disk(t, test.flags, test.options)
			r := startFaultRun(t, root, "--variants", "no-block")
			r.checkSays(test.code, test.says)
			r.checkNothingLeft()
			if left := r.ids(); len(left) > 0 {
				t.Errorf("run directories without a trial are left: %v", left)
			}
		})
	}
}

func TestFaultADiskThatFillsUpKeepsWholeTrials(t *testing.T) {
	needRoot(t)
	root := filepath.Join(disk(t, 0, "size=4m"), "runs")
	r := startFaultRun(t, root)
	server := r.attempt()
	r.verdict()
	r.attempt() // it has opened its files
	filler := fill(t, filepath.Dir(root))
	r.checkSays(exitMachine, "no space left on device")
	r.checkNothingLeft()
	run := openRun(t, root)
	if len(run.Trials) != 1 || !run.Trials[0].Epoch.Equal(server.epoch) {
		t.Fatalf("%d trials are kept, want the first attempt alone", len(run.Trials))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	again := startFaultRun(t, root, "--resume", run.Dir)
	again.checkExit()
	again.checkNothingLeft()
	if run := openRun(t, root); len(run.Trials) < len(run.Manifest.Plan) {
		t.Errorf("%d trials after --resume, want all %d", len(run.Trials), len(run.Manifest.Plan))
	}
	if _, err := os.Stat(filepath.Join(run.Dir, results.ChecksumsFile)); err != nil {
		t.Errorf("the run is not sealed: %v", err)
	}

	kept := readTree(t, filepath.Join(run.Dir, results.ReportDir))
	fill(t, filepath.Dir(root))
	code, _, stderr := command(t, "report", run.Dir)
	if code == exitFine || !strings.Contains(stderr, "no space left on device") {
		t.Errorf("a report on a full disk: exit code %d\n%s", code, stderr)
	}
	again.checkNothingLeft()
	if diff := cmp.Diff(kept, readTree(t, filepath.Join(run.Dir, results.ReportDir))); diff != "" {
		t.Errorf("the old report is changed: %s", diff)
	}
}
