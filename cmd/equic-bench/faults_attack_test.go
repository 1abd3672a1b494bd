package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// A flood has eBPF programs at ports of the bridge, and the kernel itself may be
// sending its frames when the run is killed.
func TestFaultARunKilledInAFloodLeavesNothing(t *testing.T) {
	needRoot(t)
	testkit.NeedTool(t, "bpftool")
	for name, flood := range map[string]string{
		"from addresses that are not its own": "kind: spoofed, count: 1, duration: 5s, rate: 400/s, delay: 500ms",
		"as fast as possible":                 "kind: short, count: 1, duration: 5s, rate: max, delay: 500ms",
	} {
		t.Run(name, func(t *testing.T) {
			r := startFaultRunOf(t, flooded(t, flood), t.TempDir(), "--variants", "xdp-block")
			programs := r.untilItFloods()
			r.killed()
			testkit.Await(t, "the end of the run's eBPF programs", func() bool { return !anyLoaded(t, programs) })
			r.resumes()
		})
	}
}

// flooded returns the file of a scenario like faults.yaml with a flood in place of the
// attack.
func flooded(t *testing.T, flood string) string {
	t.Helper()
	text, err := os.ReadFile(faults)
	testkit.Must(t, err)
	for from, to := range map[string]string{
		`parallel: \{.*\}`: "parallel: {" + flood + "}",
		"requests: 20,":    "requests: 60,",
	} {
		pattern := regexp.MustCompile(from)
		if !pattern.Match(text) {
			t.Fatalf("%s has no %q", faults, from)
		}
		text = pattern.ReplaceAll(text, []byte(to))
	}
	file := filepath.Join(t.TempDir(), "flooded.yaml")
	testkit.Must(t, os.WriteFile(file, text, 0o600))
	return file
}

// untilItFloods waits until the flood of an attempt has sent many frames, and returns the
// eBPF programs that the run has loaded.
func (r *faultRun) untilItFloods() (programs []string) {
	r.t.Helper()
	for range orchestrate.Attempts {
		server := r.attempt()
		flood, sends := r.sibling(server, "parallel-1"), false
		testkit.AwaitFor(r.t, patience, "frames of the flood", func() bool {
			sends = packetsSent(flood.program) >= 200
			return sends || !running(server.probe)
		})
		if !sends {
			continue
		}
		if programs = r.programs(); len(programs) == 0 {
			r.t.Error("the run has loaded no eBPF program: its flood needs some")
		}
		return programs
	}
	r.t.Fatalf("the machine is too busy for a trial: no flood was sent in %d attempts", orchestrate.Attempts)
	return nil
}

// packetsSent returns how many packets the interface of a node has sent; zero if the node
// has ended.
func packetsSent(pid int) int {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/dev")
	_, counters, _ := strings.Cut(string(text), "eth0:")
	const column = 9 // after eight of packets received, and the bytes sent
	if all := strings.Fields(counters); len(all) > column {
		n, _ := strconv.Atoi(all[column]) // the kernel wrote it
		return n
	}
	return 0
}

// running reports whether a process has not ended.
func running(pid int) bool {
	for _, p := range processes() {
		if p.pid == pid {
			return true
		}
	}
	return false
}

var programID = regexp.MustCompile(`(?m)^prog_id:\s*([1-9][0-9]*)$`)

// programs returns the IDs of the eBPF programs that the run and its nodes hold.
func (r *faultRun) programs() (ids []string) {
	for _, p := range processes() {
		if p.pid != r.cmd.Process.Pid && !r.epochs[p.variable(record.EnvEpoch)] {
			continue
		}
		files, _ := filepath.Glob("/proc/" + strconv.Itoa(p.pid) + "/fdinfo/*")
		for _, file := range files {
			info, _ := os.ReadFile(file) // empty for one that was closed
			if id := programID.FindSubmatch(info); id != nil {
				ids = append(ids, string(id[1]))
			}
		}
	}
	return ids
}

// anyLoaded reports whether the kernel still has one of the eBPF programs.
func anyLoaded(t *testing.T, ids []string) bool {
	t.Helper()
	for _, id := range ids {
		if exec.CommandContext(t.Context(), "bpftool", "prog", "show", "id", id).Run() == nil {
			return true
		}
	}
	return false
}

// The run is killed in its second trial. What follows from the first one is then known,
// and must be the same after the run is resumed.
func TestFaultARunKilledInASearchContinuesIt(t *testing.T) {
	testkit.Slow(t, "runs four trials")
	needRoot(t)
	root := t.TempDir()
	r := startFaultRunOf(t, knee, root, append([]string{"--capacity", "50"}, briefSearch...)...)
	first := r.firstTrial()
	r.attempt()
	r.waitForAny(": attack,", ": invalid (")
	r.killAndClean()
	before := openRun(t, root)

	again := startFaultRun(t, root, "--resume", before.Dir)
	if code := again.exit(); code != exitFine && code != exitTrial {
		t.Errorf("exit code %d; want %d, or %d if a trial stayed invalid", code, exitFine, exitTrial)
	}
	again.checkNothingLeft()
	after := openRun(t, root)
	if len(after.Manifest.Resumed) != 1 || !hasTrial(after, first) || len(after.Trials) <= len(before.Trials) {
		t.Errorf("resumed %d times, %d trials after %d; want once, and more trials, with %s among them",
			len(after.Manifest.Resumed), len(after.Trials), len(before.Trials), first.Name())
	}
	if code, out, stderr := command(t, "verify", after.Dir); code != exitFine {
		t.Errorf("verify: exit code %d\n%s%s", code, out, stderr)
	}
}

// firstTrial waits until the first trial of the plan is decided, and returns it.
func (r *faultRun) firstTrial() *results.Trial {
	r.t.Helper()
	for range orchestrate.Attempts {
		r.attempt()
		r.verdict()
		trials := openRun(r.t, r.root).Trials
		if last := trials[len(trials)-1]; last.Valid || last.Attempt == orchestrate.Attempts {
			return last
		}
	}
	r.t.Fatal("the first trial is not decided")
	return nil
}

func hasTrial(run *results.Run, want *results.Trial) bool {
	for _, t := range run.Trials {
		if t.Index == want.Index && t.Attempt == want.Attempt && t.Epoch.Equal(want.Epoch) {
			return true
		}
	}
	return false
}
