// Package docker runs the nodes of a trial as containers of a local engine. It is an
// orchestrate.Runtime. Only this package and swarm import the Docker SDK.
//
// All of its resources have the label equic-bench.run. Nothing is downloaded: the
// nodes' image consists of our static binaries (orchestrate.Binaries).
package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/api/types/system"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

// ErrNoEngine means that no Docker engine answers here.
var ErrNoEngine = errors.New("no Docker engine")

// ErrRefused means that there is no Docker engine for a run: equic-bench does not use the one that
// the docker command would use, or cannot tell which one that is. It is also ErrNoEngine.
var ErrRefused = fmt.Errorf("%w for a run", ErrNoEngine)

// ErrSubnetTaken means that another network has the scenario's subnet.
var ErrSubnetTaken = errors.New("subnet is taken")

// ErrNoImage means that the engine does not have the image of a server.
var ErrNoImage = errors.New("this engine has no such image")

// ErrOpenFiles means that the engine may not raise the limit of open files.
var ErrOpenFiles = errors.New("the engine cannot set the limit of open files")

// answerLimit bounds the first exchange with an engine.
const answerLimit = 10 * time.Second

// Runtime makes containers on one engine. Its methods may be called from
// several goroutines.
type Runtime struct {
	engine *Engine
	bin    string

	mu       sync.Mutex
	platform orchestrate.Platform
	image    string
	probe    []byte // equic-probe, the same for all trials
	// kernel lists the capabilities that let a node load eBPF programs; older reports
	// that they are the ones for engines without CAP_BPF.
	kernel []string
	older  bool
}

var _ orchestrate.Runtime = (*Runtime)(nil)

// New connects to the engine that the docker command would use. bin is the folder of the nodes'
// static binaries; only Prepare needs it. The error is ErrNoEngine if none answers.
func New(ctx context.Context, bin string) (*Runtime, error) {
	engine, info, err := Connect(ctx)
	if err != nil {
		return nil, err
	}
	r := &Runtime{
		engine:   engine,
		bin:      bin,
		platform: platform(info, engine.ClientVersion()),
		kernel:   Capabilities(),
	}
	r.platform.CPUs, r.platform.Cores = cpus(host.Local(), engine.DaemonHost(), info.NCPU)
	return r, nil
}

func noEngine(tried string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %s: %w; join the group of its socket (sudo usermod -aG docker \"$USER\", then log in "+
			"again), or run as root", ErrNoEngine, tried, fs.ErrPermission)
	}
	return fmt.Errorf("%w: %s: %w; start the engine (systemctl start docker), and let this user use it (group docker, "+
		"or root)", ErrNoEngine, tried, err)
}

// platform describes an engine.
func platform(info system.Info, api string) orchestrate.Platform {
	p := orchestrate.Platform{
		Runtime: results.Runtime{
			Name:       "docker",
			Version:    info.ServerVersion,
			API:        api,
			CgroupMode: "v" + info.CgroupVersion + ", " + info.CgroupDriver,
			Limits: []string{
				"all capabilities dropped but the server's", "no new privileges", "read-only root",
				"no restart", "internal network", "the clients' CPUs receive the server's packets (veth)",
			},
		},
		Images:   true,
		BinDir:   "/",
		FilesDir: filesDir,
	}
	if !info.CPUSet {
		p.Warnings = append(p.Warnings,
			"the engine cannot bind containers to CPUs (no cpuset control group): server and clients disturb each other")
	}
	if !info.MemoryLimit {
		p.NoMemoryLimit = true
		p.Warnings = append(p.Warnings, "the engine cannot limit memory (no memory control group)")
	} else if !info.SwapLimit {
		p.NoSwapLimit = true
		p.Warnings = append(p.Warnings,
			"the engine cannot limit swap: a server over its memory limit is swapped out, and the trial invalid")
	}
	return p
}

// Platform describes the engine, the image and the capabilities in use.
func (r *Runtime) Platform() orchestrate.Platform {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.platform
	p.Runtime.Image = r.image
	p.Runtime.Capabilities = r.kernel
	return p
}

// Prepare makes the nodes' image, unless the engine already has it.
func (r *Runtime) Prepare(ctx context.Context, _ string) error {
	_, id, err := r.engine.BuildImage(ctx, r.bin)
	if err != nil {
		return r.engine.Lost(err)
	}
	probe, err := os.ReadFile(filepath.Join(r.bin, "equic-probe"))
	if err != nil {
		return fmt.Errorf("read the probe: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.image, r.probe = id, probe
	return nil
}

// Close closes the connection to the engine. It removes no node.
func (r *Runtime) Close() error { return r.engine.Close() }
