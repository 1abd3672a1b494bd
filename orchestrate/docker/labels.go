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

// The labels of all resources of a run.
const (
	LabelRun     = "equic-bench.run"   // the run's ID
	labelOwner   = "equic-bench.owner" // the process of the run, see thisProcess
	labelTrial   = "equic-bench.trial" // index and attempt: "2.1"
	labelVariant = "equic-bench.variant"
	labelRole    = "equic-bench.role" // nodes only
)

// trialID identifies a trial and attempt of a run.
func trialID(spec orchestrate.Spec) string {
	return fmt.Sprintf("%d.%d", spec.Trial.Index, spec.Attempt)
}

// ResourceName returns a short name that is unique to the run: "equic-3f2a9c-server".
func ResourceName(spec orchestrate.Spec, what string) string {
	sum := sha256.Sum256([]byte(spec.Run))
	return "equic-" + hex.EncodeToString(sum[:3]) + "-" + what
}

// thisProcess returns a name that distinguishes this process from any other, including
// a later one with the same number.
func thisProcess() string {
	return processName(strconv.Itoa(os.Getpid()))
}

// processName returns "<host>/<boot>/<pid namespace>/<pid>/<start>", with the start in
// clock ticks since boot (proc(5), stat). A part is empty if the host does not report
// it, or if the process does not exist.
func processName(pid string) string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // empty works as well
	space, _ := os.Readlink("/proc/self/ns/pid")
	return strings.Join([]string{hostName(os.DirFS("/")), strings.TrimSpace(string(boot)), space, pid, processStart(pid)},
		"/")
}

// hostName returns the machine's ID (machine-id(5)), as several hosts that use one
// engine may have the same name. Without an ID, it returns the name.
func hostName(root fs.FS) string {
	id, _ := fs.ReadFile(root, "etc/machine-id")
	if text := strings.TrimSpace(string(id)); len(text) == 32 { // else not set yet
		return text
	}
	name, _ := os.Hostname() // empty works as well
	return name
}

// processStart returns field 22 of a process's stat. Fields are counted from after the
// process name, which may contain any characters but ends with the last parenthesis.
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

// alive reports whether the process in a label may still run. A process that cannot be
// seen from here, on another host or in another pid namespace, may still run.
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

// mayRun reports whether the process with this number and start may run here. A process
// whose details are not readable (proc(5), hidepid) may be the one.
func mayRun(pid, start string) bool {
	if seen := processStart(pid); seen != "" && start != "" {
		return seen == start
	}
	number, err := strconv.Atoi(pid)
	return err == nil && number > 0 && !errors.Is(unix.Kill(number, 0), unix.ESRCH)
}
