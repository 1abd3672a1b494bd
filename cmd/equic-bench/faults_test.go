package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// The fault matrix: runs of the built binaries, each with an injected fault. Each case
// asserts that no broken trial gave a number, that nothing is left, and the exit code.
// A trial may also be invalid because of the machine's load: a case checks only the
// attempt that it broke.

// faults is a scenario with two seconds for each trial.
const faults = "testdata/faults.yaml"

// matrix is for `make soak-faults`. Continuous integration takes one case of each kind.
var matrix = flag.Bool("matrix", false, "every fault in every phase and on every host (half an hour)")

// faultRun is a run in which a fault is injected.
type faultRun struct {
	*bench
	runtime string
	root    string          // the results folder
	epochs  map[string]bool // of the attempts whose nodes were seen
	spaces  map[string]bool // their network namespaces
	// punctual are the nodes that are untouched until they are ready. If one is late
	// anyway, the machine is busy.
	punctual []string
}

// needRoot skips a case that needs root.
func needRoot(t *testing.T) {
	t.Helper()
	testkit.NeedRoot(t)
	needBinary(t)
}

// startFaultRun starts a run in network namespaces, or as args specify.
func startFaultRun(t *testing.T, root string, args ...string) *faultRun {
	t.Helper()
	return startFaultRunOf(t, faults, root, args...)
}

// startFaultRunOf is startFaultRun with another scenario.
func startFaultRunOf(t *testing.T, scenario, root string, args ...string) *faultRun {
	t.Helper()
	r := &faultRun{
		runtime: runtimeNetns, root: root, epochs: map[string]bool{}, spaces: map[string]bool{},
		punctual: []string{"server", "sequential-1"},
	}
	if i := slices.Index(args, "--runtime"); i >= 0 {
		r.runtime = args[i+1]
	}
	all := []string{"run", "--runtime", r.runtime}
	if !slices.Contains(args, "--resume") {
		all = append(all, scenario, "--results", root)
	}
	awaitMachine(t)
	r.bench = startBench(t, append(all, args...)...)
	return r
}

// awaitMachine waits until no other run measures here.
func awaitMachine(t *testing.T) {
	t.Helper()
	testkit.AwaitFor(t, patience, "the end of another run on this machine", func() bool {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "unix", lockName)
		if err == nil {
			_ = c.Close() // it was opened only for a check
		}
		return err != nil
	})
}

// until waits until a point in time.
func until(moment time.Time) { <-time.After(time.Until(moment)) }

// faultNode is a node of a run: the probe and the program that it measures.
type faultNode struct {
	probe, program int
	epoch          time.Time
}

// attempt waits for the server of the next attempt: one with an epoch that was not seen
// yet.
func (r *faultRun) attempt() faultNode {
	r.t.Helper()
	return r.find(results.RoleServer, func(epoch string) bool { return !r.epochs[epoch] })
}

// sibling waits for another node of the same attempt.
func (r *faultRun) sibling(of faultNode, name string) faultNode {
	r.t.Helper()
	return r.find(name, func(epoch string) bool { return epoch == strconv.FormatInt(of.epoch.UnixNano(), 10) })
}

// find waits for a node of this run, until its program runs.
func (r *faultRun) find(name string, wanted func(epoch string) bool) (n faultNode) {
	r.t.Helper()
	testkit.AwaitFor(r.t, 15*time.Second, "the node "+name, func() bool {
		select {
		case <-r.read:
			r.exit() // prints its output
			r.t.Fatalf("equic-bench ended before it started %s", name)
		default:
		}
		all := processes()
		for _, p := range all {
			if p.variable(record.EnvNode) != name || !wanted(p.variable(record.EnvEpoch)) || !r.owns(p) {
				continue
			}
			i := slices.IndexFunc(all, func(child process) bool { return child.parent == p.pid && program(child.pid) })
			if i < 0 {
				continue
			}
			ns, _ := strconv.ParseInt(p.variable(record.EnvEpoch), 10, 64) // the run wrote it
			n = faultNode{probe: p.pid, program: all[i].pid, epoch: time.Unix(0, ns)}
			r.epochs[p.variable(record.EnvEpoch)], r.spaces[p.space] = true, true
			return true
		}
		return false
	})
	return n
}

// owns reports whether a probe belongs to this run: no other may be harmed.
func (r *faultRun) owns(p process) bool {
	if r.runtime == runtimeNetns {
		return p.parent == r.cmd.Process.Pid
	}
	run, err := results.Newest(r.root)
	if err != nil {
		dirs, _ := filepath.Glob(filepath.Join(r.root, "*")) // the first trial is not complete yet
		if len(dirs) != 1 {
			return false
		}
		run = dirs[0]
	}
	out, err := exec.CommandContext(r.t.Context(), "docker", "ps", "--quiet", "--no-trunc",
		"--filter", "label=equic-bench.run="+filepath.Base(run)).Output()
	if err != nil {
		return false
	}
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.pid)) // empty for one that has ended
	return slices.ContainsFunc(strings.Fields(string(out)),
		func(id string) bool { return bytes.Contains(groups, []byte(id)) })
}

// hit sends a signal to a process of the run. It returns false if the process is gone:
// the load of the machine has ended the attempt before.
func (r *faultRun) hit(pid int, signal syscall.Signal) bool {
	r.t.Helper()
	if pid <= 0 {
		r.t.Fatalf("process %d: kill(2) takes 0 and less for many processes", pid)
	}
	err := syscall.Kill(pid, signal)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		r.t.Fatal(err)
	}
	return err == nil
}

// verdict reads progress up to the end of an attempt.
func (r *faultRun) verdict() {
	r.t.Helper()
	r.waitForAny(": valid", ": invalid (")
}

// waitForAny reads progress until a line contains one of the texts.
func (r *faultRun) waitForAny(texts ...string) {
	r.t.Helper()
	for line := range r.lines {
		r.stderr.WriteString(line + "\n")
		if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) }) {
			return
		}
	}
	r.t.Fatalf("equic-bench ended without %q on standard error:\n%s", texts, &r.stderr)
}

// giveUp interrupts the run and waits for its orderly end.
func (r *faultRun) giveUp() {
	r.t.Helper()
	r.hit(r.cmd.Process.Pid, syscall.SIGINT)
	if code := r.exit(); code != exitInterrupted {
		r.t.Errorf("exit code %d after an interruption, want %d", code, exitInterrupted)
	}
}

// checkInvalid asserts that the attempt with an epoch is invalid, with the expected
// broken rule and evidence.
func (r *faultRun) checkInvalid(of faultNode, rule, says string) {
	r.t.Helper()
	for _, trial := range openRun(r.t, r.root).Trials {
		if !trial.Epoch.Equal(of.epoch) {
			continue
		}
		if trial.Valid {
			r.t.Errorf("%s is valid; want it invalid by %s: %s", trial.Name(), rule, says)
		}
		named := slices.ContainsFunc(trial.Checks, func(c results.Check) bool {
			return !c.OK && c.Rule == rule && strings.Contains(c.Evidence, says)
		})
		if !named {
			r.t.Errorf("%s is invalid because of %q; want %s: %s", trial.Name(), evidence(trial), rule, says)
		}
		return
	}
	r.t.Errorf("no trial has the epoch %v", of.epoch)
}

// checkExit asserts the exit code of a run that reached its end: success if each
// planned trial is valid once.
func (r *faultRun) checkExit() {
	r.t.Helper()
	code, run := r.exit(), openRun(r.t, r.root)
	want := exitFine
	for _, p := range run.Manifest.Plan {
		if !slices.ContainsFunc(run.Trials, func(t *results.Trial) bool { return t.Index == p.Index && t.Valid }) {
			want = exitTrial
		}
	}
	if code != want {
		r.t.Errorf("exit code %d, want %d", code, want)
	}
}

// checkNothingLeft asserts that the run left nothing behind, including incomplete
// trials.
func (r *faultRun) checkNothingLeft() {
	r.t.Helper()
	r.checkMachine()
	err := filepath.WalkDir(r.root, func(path string, _ fs.DirEntry, err error) error {
		if name := filepath.Base(path); err == nil && strings.HasPrefix(name, ".") {
			r.t.Errorf("half written: %s", path)
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
}

// checkMachine asserts that no process, namespace, control group, container or network
// is left. Resources that the kernel frees by itself may take a moment.
func (r *faultRun) checkMachine() {
	r.t.Helper()
	testkit.AwaitFor(r.t, 10*time.Second, "the end of the run's processes", func() bool {
		return !slices.ContainsFunc(processes(), func(p process) bool {
			return r.epochs[p.variable(record.EnvEpoch)] || r.spaces[p.space]
		})
	})
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/memory"} {
		for _, id := range r.ids() {
			if left, err := filepath.Glob(filepath.Join(root, "equic-bench-"+id+"*")); err != nil || len(left) > 0 {
				r.t.Errorf("control groups are left: %v, %v", left, err)
			}
		}
	}
	if r.runtime != runtimeDocker {
		return
	}
	for _, id := range r.ids() {
		for _, list := range [][]string{{"ps", "--all"}, {"network", "ls"}} {
			args := append(list, "--quiet", "--filter", "label=equic-bench.run="+id)
			if out, err := exec.CommandContext(r.t.Context(), "docker", args...).CombinedOutput(); err != nil || len(out) > 0 {
				r.t.Errorf("docker %v: %s, %v; want nothing", args, out, err)
			}
		}
	}
}

// ids returns the IDs of the runs in the results folder.
func (r *faultRun) ids() []string {
	var ids []string
	dirs, _ := os.ReadDir(r.root) // none if the folder is gone
	for _, d := range dirs {
		ids = append(ids, d.Name())
	}
	return ids
}
