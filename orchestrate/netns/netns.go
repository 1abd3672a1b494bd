// Package netns runs the nodes of a trial as processes in network namespaces, without a
// daemon and without an image. It is an orchestrate.Runtime. It needs root.
//
// The namespaces have no names: the kernel frees them, and all interfaces in them, with
// the last process and file descriptor that refers to them. The nodes die with this
// process, however it ends. So a killed run leaves at most memory control groups, and in
// them what a node has started and what outlives it, until Clean.
package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netns"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

// ErrNotRoot means that this user may not make network namespaces.
var ErrNotRoot = errors.New("network namespaces need root")

// Runtime makes namespaces on this machine. Its methods may be called from
// several goroutines.
type Runtime struct {
	Groups

	bin    string // an absolute path
	memory string // how memory is limited; empty means not at all
	swap   bool   // also limited
	kernel string // its release
	cpus   []int  // that this process, and so its nodes, may use
	apart  error  // why nodes have no receiving threads of their own; nil if they have

	files    string // the folder of the nodes' files
	hasFiles bool   // it exists
}

var _ orchestrate.Runtime = (*Runtime)(nil)

// New checks what this machine supports. bin is the folder of the nodes' binaries. The
// error is ErrNotRoot if the user may not make namespaces.
func New(bin string) (*Runtime, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: run as root, or start a Docker engine", ErrNotRoot)
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the binaries: %w", err)
	}
	if err := tryNamespace(); err != nil {
		return nil, fmt.Errorf("%w, and this root may not: %w; a container needs CAP_SYS_ADMIN and CAP_NET_ADMIN",
			ErrNotRoot, err)
	}
	cpus, _ := host.Affinity() // none: there are more than the kernel's set can hold
	r := &Runtime{bin: bin, kernel: host.Local().Kernel(), cpus: cpus, files: newFilesDir()}
	r.memory, r.swap = memoryControl()
	r.apart = Try(func() error {
		ns, err := netns.Get()
		if err != nil {
			return err
		}
		_, err = receiveApart(ns, cpus) // the root of a user namespace may not bind them
		return errors.Join(err, ns.Close())
	})
	return r, nil
}

// tryNamespace makes a namespace and releases it.
func tryNamespace() error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	return ns.Close()
}

// Platform describes this machine as a place for nodes.
func (r *Runtime) Platform() orchestrate.Platform {
	p := orchestrate.Platform{
		Runtime: results.Runtime{
			Name:       "netns",
			Version:    "Linux " + r.kernel,
			CgroupMode: r.memory,
			Limits:     []string{"CPUs by affinity", nodesRights()},
		},
		NoKeep: "network namespaces end with the run",

		WholeFrames:      true,
		SharedAddresses:  true,
		IPv6:             host.Local().IPv6(),
		SeveralAddresses: true,
		HostPrograms:     true,

		CPUs:     r.cpus,
		Cores:    host.Local().Cores(),
		Startup:  startup,
		BinDir:   r.bin,
		FilesDir: r.files,
	}
	if r.apart == nil {
		p.Runtime.Limits = append(p.Runtime.Limits, "each node's CPUs receive its packets (threaded NAPI)")
	} else {
		p.Runtime.Limits = append(p.Runtime.Limits, "the clients' CPUs receive the server's packets (veth)")
		p.Warnings = append(p.Warnings, fmt.Sprintf("the clients' CPUs receive the server's packets, so what a drop costs "+
			"in the kernel is in part theirs: %v", r.apart))
	}
	if r.memory == "" {
		p.NoMemoryLimit = true
		p.Warnings = append(p.Warnings, "this machine has no control group for memory: the server's memory is not limited")
		return p
	}
	p.Runtime.Limits = append(p.Runtime.Limits, "memory by control group "+r.memory)
	if !r.swap {
		p.NoSwapLimit = true
		p.Warnings = append(p.Warnings, "this machine cannot limit swap: a server over its memory limit is swapped out, "+
			"and the trial invalid")
	}
	return p
}

// nodesRights returns in words what nodes may do.
func nodesRights() string {
	if host.Local().UserNamespace() {
		return "nodes run as root of a user namespace, without programs in the kernel"
	}
	return "nodes run as root, with all its capabilities"
}

// startup returns several times what nodes took on two CPUs.
func startup(nodes int) time.Duration {
	return 700*time.Millisecond + time.Duration(nodes)*50*time.Millisecond
}

// Prepare checks that the binaries exist.
func (r *Runtime) Prepare(context.Context, string) error {
	var missing []string
	for _, name := range orchestrate.Binaries() {
		if _, err := os.Stat(filepath.Join(r.bin, name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s not in %s: run make build, or give --bin", orchestrate.ErrNoBinary,
			strings.Join(missing, ", "), r.bin)
	}
	return nil
}

// Unprepare does nothing, as Prepare makes nothing.
func (*Runtime) Unprepare(context.Context) ([]string, error) { return nil, nil }

// Close removes the folder of the nodes' files. The other resources of a run ended with its
// trials.
func (r *Runtime) Close() error {
	if !r.hasFiles {
		return nil
	}
	r.hasFiles = false
	return os.RemoveAll(r.files)
}
