// Package swarm runs the nodes of a trial on the hosts of a Docker Swarm, one service per
// node, on an overlay network of their own. It is an orchestrate.Runtime. It talks only to
// the engine of a manager; see docs/swarm.md.
//
// All of its resources have the label equic-bench.run. Nothing is downloaded: each host
// must have the nodes' image.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/system"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/results"
)

// ErrNoSwarm means that the engine here manages no swarm.
var ErrNoSwarm = errors.New("no swarm")

// ErrHosts means that the swarm's hosts cannot run nodes, because of their labels or images.
var ErrHosts = errors.New("the hosts of the swarm")

// slowStart is how much longer services take to start than containers: a manager schedules them, and
// hosts tell each other their addresses.
const slowStart = 5 * time.Second

// Runtime makes services on one swarm. Its methods may be called from several goroutines.
type Runtime struct {
	engine *docker.Engine
	bin    string
	hosts  hosts // as they were in New

	mu       sync.Mutex
	platform orchestrate.Platform
	image    string // its ID: given a name, an engine would try to download it
	tag      string
}

var _ orchestrate.Runtime = (*Runtime)(nil)

// New connects to the engine that the docker command would use, which must be a manager. bin is
// the folder of the nodes' static binaries; only Prepare needs it. The error is ErrNoSwarm if the
// engine is not one, docker.ErrNoEngine if none answers, and ErrHosts if no label says which host is
// the server's, and which are the clients'.
func New(ctx context.Context, bin string) (*Runtime, error) {
	engine, info, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	all, err := managed(ctx, engine, info)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return &Runtime{engine: engine, bin: bin, hosts: all, platform: platform(info, engine.ClientVersion(), all)}, nil
}

// NewCleaner is New for Clean, Leftovers and Unprepare only: it does not ask for labels.
func NewCleaner(ctx context.Context) (*Runtime, error) {
	engine, info, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkManager(engine, info); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return &Runtime{engine: engine}, nil
}

// managed returns the hosts that take part, of the swarm that an engine manages.
func managed(ctx context.Context, engine *docker.Engine, info system.Info) (hosts, error) {
	if err := checkManager(engine, info); err != nil {
		return hosts{}, err
	}
	return listHosts(ctx, engine)
}

func checkManager(engine *docker.Engine, info system.Info) error {
	if info.Swarm.ControlAvailable {
		return nil
	}
	is := "is a worker of its swarm"
	if info.Swarm.NodeID == "" {
		is = "is in no swarm"
	}
	return fmt.Errorf("%w: the engine at %s %s: run this on a manager, or make one with `docker swarm init`",
		ErrNoSwarm, engine.DaemonHost(), is)
}

// platform describes a swarm; the engines of its hosts are assumed to be like the manager's.
func platform(info system.Info, api string, all hosts) orchestrate.Platform {
	warnings := all.warnings()
	if info.Swarm.NodeID == all.server.ID {
		warnings = append(warnings, "the server's host is the manager, whose engine works beside the server: label another host")
	}
	return orchestrate.Platform{
		Runtime: results.Runtime{
			Name:       "swarm",
			Version:    info.ServerVersion,
			API:        api,
			CgroupMode: "v" + info.CgroupVersion + ", " + info.CgroupDriver,
			Limits: []string{
				"all capabilities dropped but the server's", "read-only root", "no restart",
				"internal overlay network, unless server.interface is host",
				"records by way of the engine's log (json-file)",
			},
			Capabilities: docker.Capabilities(),
			Hosts:        all.recorded(),
		},
		Apart:         true,
		HostNetwork:   true,
		ProbePins:     true,
		NoMemoryLimit: !info.MemoryLimit,
		NoSwapLimit:   true,
		NoKeep:        "the services of a swarm would hold its network until somebody removes them",
		SlowStart:     slowStart,
		BinDir:        "/",
		Warnings:      warnings,
	}
}

// fallBack chooses the older capabilities; it returns false if they were chosen before.
func (r *Runtime) fallBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.platform.Runtime.Capabilities, docker.OlderCapabilities()) {
		return false
	}
	r.platform.Runtime.Capabilities = docker.OlderCapabilities()
	return true
}

// Platform describes the swarm and the image in use.
func (r *Runtime) Platform() orchestrate.Platform {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.platform
	p.Runtime.Image = r.image
	return p
}

// Prepare makes the nodes' image on the manager, unless it already has it. The other hosts get it
// from the user; a node whose host lacks it ends the run with ErrHosts.
func (r *Runtime) Prepare(ctx context.Context, _ string) error {
	tag, id, err := r.engine.BuildImage(ctx, r.bin)
	if err != nil {
		return r.engine.Lost(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tag, r.image = tag, id
	return nil
}

// Unprepare removes the nodes' images of all builds from the manager.
func (r *Runtime) Unprepare(ctx context.Context) (removed []string, err error) {
	return r.engine.RemoveImages(ctx)
}

// Close closes the connection to the manager. It removes no node.
func (r *Runtime) Close() error { return r.engine.Close() }
