package netns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// groupPrefix begins the name of every control group of this package.
const groupPrefix = "equic-bench-"

const (
	unified = "/sys/fs/cgroup"        // version 2
	legacy  = "/sys/fs/cgroup/memory" // version 1, also on hybrid hosts
)

// memoryControl returns the version of the memory control group with which this process
// can limit memory, and whether it also limits swap. The version is empty if there is
// none. A group can often be made even if the controller is not available, so
// memoryControl makes a complete one and removes it.
func memoryControl() (version string, swap bool) {
	switch cgroups.Mode() {
	case cgroups.Unified:
		version = "v2"
	case cgroups.Legacy, cgroups.Hybrid:
		version = "v1"
	default:
		return "", false
	}
	probe, swap, err := newMemoryGroup(version, groupPrefix+"probe-"+fmt.Sprint(os.Getpid()), probeLimit)
	if err != nil {
		return "", false
	}
	_ = probe.remove() // it is new and empty
	return version, swap
}

// probeLimit is a limit in bytes that is not enforced on any process.
const probeLimit = 64 << 20

// memoryGroup limits the memory of the processes in it.
type memoryGroup interface {
	add(pid int) error
	path() string
	remove() error
}

// killGroup kills the processes of a control group, also those that they start meanwhile:
// it reads the group until it lists no process that has not been killed.
func killGroup(path string) error {
	killed := map[int]bool{}
	for {
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil // the group is gone
		}
		if err != nil {
			return fmt.Errorf("look for processes that are left: %w", err)
		}
		before := len(killed)
		for text := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(text)
			if err != nil || pid <= 1 || killed[pid] { // zero is a process of another PID namespace
				continue
			}
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d, which was left: %w", pid, err)
			}
			killed[pid] = true
		}
		if len(killed) == before {
			return nil
		}
	}
}

// newMemoryGroup makes a control group with a limit in bytes, and without swap if the
// kernel accounts swap: swap reports that.
func newMemoryGroup(version, name string, limit int64) (group memoryGroup, swap bool, err error) {
	if version == "v2" {
		return newGroupV2(unified, name, limit)
	}
	make1 := func(memory *specs.LinuxMemory) (cgroup1.Cgroup, error) {
		return cgroup1.New(cgroup1.StaticPath("/"+name), &specs.LinuxResources{Memory: memory},
			cgroup1.WithHierarchy(memoryHierarchy))
	}
	c, err := make1(&specs.LinuxMemory{Limit: &limit, Swap: &limit})
	if swap = err == nil; !swap { // a kernel that does not account swap
		c, err = make1(&specs.LinuxMemory{Limit: &limit})
	}
	if err != nil {
		_ = os.Remove(filepath.Join(legacy, name)) // it may exist without its limit
		return nil, false, fmt.Errorf("make control group %s: %w", name, err)
	}
	return groupV1{c, filepath.Join(legacy, name)}, swap, nil
}

// newGroupV2 makes a group under a root of version 2.
func newGroupV2(root, name string, limit int64) (group memoryGroup, swap bool, err error) {
	noSwap := int64(0)
	m, err := cgroup2.NewManager(root, "/"+name, &cgroup2.Resources{Memory: &cgroup2.Memory{Max: &limit, Swap: &noSwap}})
	if swap = err == nil; !swap { // a kernel that does not account swap
		m, err = cgroup2.NewManager(root, "/"+name, &cgroup2.Resources{Memory: &cgroup2.Memory{Max: &limit}})
	}
	if err != nil {
		return nil, false, fmt.Errorf("make control group %s: %w", name, err)
	}
	return groupV2{m, filepath.Join(root, name)}, swap, nil
}

// memoryHierarchy returns only the memory controller.
func memoryHierarchy() ([]cgroup1.Subsystem, error) {
	return []cgroup1.Subsystem{cgroup1.NewMemory(filepath.Dir(legacy))}, nil
}

type groupV1 struct {
	cgroup1.Cgroup
	dir string
}

func (g groupV1) add(pid int) error { return g.Add(cgroup1.Process{Pid: pid}) }
func (g groupV1) path() string      { return g.dir }
func (g groupV1) remove() error     { return g.Delete() }

type groupV2 struct {
	*cgroup2.Manager
	dir string
}

func (g groupV2) add(pid int) error { return g.AddProc(uint64(pid)) }
func (g groupV2) path() string      { return g.dir }
func (g groupV2) remove() error     { return g.Delete() }

// hold marks a control group as that of a run in progress, until the file is closed or this
// process ends, however it ends: the file is an open folder with a lock.
func hold(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("hold a control group: %w", err)
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); { // isHeld may have it for a moment
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hold control group %s: %w", path, err), dir.Close())
	}
	return dir, nil
}

// isHeld reports whether a control group is that of a run in progress.
func isHeld(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false // it is gone
	}
	defer dir.Close()
	return errors.Is(unix.Flock(int(dir.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// dyingLimit bounds the wait for killed processes: they leave their group shortly after
// their death.
const dyingLimit = 2 * time.Second

// Groups removes the control groups with the processes in them, and the folders of nodes'
// files, that killed runs left. It is an orchestrate.Cleaner and needs no Runtime. No run
// may be about to make a control group.
type Groups struct{}

// Clean kills the processes that dead runs left, removes their control groups and folders,
// and returns the names of these. The groups of a run in progress stay.
func (Groups) Clean(context.Context) (removed []string, err error) {
	limit := time.Now().Add(dyingLimit)
	for _, path := range deadGroups() {
		killErr := killGroup(path)
		gone, removeErr := removeEmpty(path, limit)
		if err = errors.Join(err, killErr, removeErr); gone {
			removed = append(removed, "control group "+path)
		}
	}
	for _, path := range deadFiles() {
		removeErr := os.RemoveAll(path)
		if err = errors.Join(err, removeErr); removeErr == nil {
			removed = append(removed, "folder "+path)
		}
	}
	return removed, err
}

// Leftovers returns the names of what Clean would remove.
func (Groups) Leftovers(context.Context) ([]string, error) {
	var names []string
	for _, path := range deadGroups() {
		names = append(names, "control group "+path)
	}
	for _, path := range deadFiles() {
		names = append(names, "folder "+path)
	}
	return names, nil
}

// deadGroups returns the control groups of runs that have ended.
func deadGroups() []string {
	var paths []string
	for _, root := range []string{unified, legacy} {
		entries, err := os.ReadDir(root)
		if err != nil {
			continue // no such hierarchy here
		}
		for _, e := range entries {
			path := filepath.Join(root, e.Name())
			if e.IsDir() && strings.HasPrefix(e.Name(), groupPrefix) && !isHeld(path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// removeEmpty removes a control group if it has no processes by the limit, and reports
// whether it did.
func removeEmpty(path string, limit time.Time) (bool, error) {
	for busy(path) {
		if time.Now().After(limit) {
			return false, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	err := os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove control group: %w", err)
	}
	return err == nil, nil
}

// busy reports whether a control group contains processes.
func busy(path string) bool {
	pids, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	return err == nil && len(pids) > 0
}
