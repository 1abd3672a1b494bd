package docker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// The labels of all that a run makes.
const (
	labelRun     = "equic-bench.run"   // the run's ID
	labelOwner   = "equic-bench.owner" // the process of the run, see thisProcess
	labelTrial   = "equic-bench.trial" // index and attempt: "2.1"
	labelVariant = "equic-bench.variant"
	labelRole    = "equic-bench.role" // nodes only
)

func (r *Runtime) labels(spec orchestrate.Spec, role string) map[string]string {
	l := map[string]string{
		labelRun:     spec.Run,
		labelOwner:   r.owner,
		labelTrial:   trialID(spec),
		labelVariant: spec.Trial.Label(),
	}
	if role != "" {
		l[labelRole] = role
	}
	return l
}

// trialID tells the trials and attempts of a run apart.
func trialID(spec orchestrate.Spec) string {
	return fmt.Sprintf("%d.%d", spec.Trial.Index, spec.Attempt)
}

// resourceName is short and unlike any other run's: "equic-3f2a9c-server".
func resourceName(spec orchestrate.Spec, what string) string {
	sum := sha256.Sum256([]byte(spec.Run))
	return "equic-" + hex.EncodeToString(sum[:3]) + "-" + what
}

// thisProcess names this process so that it can be told from any other, a
// later one with the same number included.
func thisProcess() string {
	return processName(strconv.Itoa(os.Getpid()))
}

// processName is "<host>/<boot>/<pid namespace>/<pid>/<start>", with the start
// in clock ticks since boot (proc(5), stat). A part is empty where the host does
// not tell it, or the process does not exist.
func processName(pid string) string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // empty serves as well
	space, _ := os.Readlink("/proc/self/ns/pid")
	return strings.Join([]string{hostName(os.DirFS("/")), strings.TrimSpace(string(boot)), space, pid, processStart(pid)},
		"/")
}

// hostName is the machine's ID (machine-id(5)), as several hosts that use one
// engine may have one name; the name where there is none.
func hostName(root fs.FS) string {
	id, _ := fs.ReadFile(root, "etc/machine-id")
	if text := strings.TrimSpace(string(id)); len(text) == 32 { // else not set yet
		return text
	}
	name, _ := os.Hostname() // empty serves as well
	return name
}

// processStart is field 22 of a process's stat, counted behind its name, which
// may hold anything but ends with the last parenthesis.
func processStart(pid string) string {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on
	if len(fields) < 20 {
		return ""
	}
	return fields[22-3]
}

// alive says whether the process that a label names may still run. One that
// cannot be seen from here, on another host or in another pid namespace, may.
func alive(owner string) bool {
	named := strings.Split(owner, "/")
	if len(named) != 5 {
		return false
	}
	seen := strings.Split(processName(named[3]), "/")
	host, boot, space := named[0] == seen[0], named[1] == seen[1], named[2] == seen[2]
	switch {
	case boot && space:
		return mayRun(named[3], named[4])
	case boot:
		return true // the same kernel, another pid namespace
	default:
		return !host // the same host has been restarted since
	}
}

// mayRun says whether the process with this number and start may run here. One
// that may not be looked at (proc(5), hidepid) may be it.
func mayRun(pid, start string) bool {
	if seen := processStart(pid); seen != "" && start != "" {
		return seen == start
	}
	number, err := strconv.Atoi(pid)
	return err == nil && number > 0 && !errors.Is(unix.Kill(number, 0), unix.ESRCH)
}
