package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/equic-bench/equic-bench/doctor"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/orchestrate/netns"
)

// The values of --runtime.
const (
	runtimeAuto   = "auto"
	runtimeDocker = "docker"
	runtimeNetns  = "netns"
)

var runtimeNames = []string{runtimeAuto, runtimeDocker, runtimeNetns}

func knownRuntime(name string) bool { return slices.Contains(runtimeNames, name) }

// place is a runtime that was chosen, and the words for it.
type place struct {
	orchestrate.Runtime
	io.Closer

	name string
	why  string // it was chosen; empty where it was asked for
}

// openRuntime opens the runtime of a name. "auto" takes Docker where an engine
// answers, else network namespaces where the user is root.
func openRuntime(ctx context.Context, name, bin string) (place, error) {
	if name == runtimeNetns {
		return openNetns(bin, "")
	}
	engine, err := docker.New(ctx, docker.Options{BinDir: bin, OnlineCPUs: doctor.OnlineCPUs(os.DirFS("/"))})
	if err == nil {
		return place{Runtime: engine, Closer: engine, name: runtimeDocker}, nil
	}
	if name == runtimeDocker || !errors.Is(err, docker.ErrNoEngine) {
		return place{}, err
	}
	chosen, netnsErr := openNetns(bin, "no Docker engine answers")
	if netnsErr != nil {
		return place{}, errors.Join(err, netnsErr)
	}
	return chosen, nil
}

func openNetns(bin, why string) (place, error) {
	rt, err := netns.New(bin)
	if err != nil {
		return place{}, err
	}
	return place{Runtime: rt, Closer: rt, name: runtimeNetns, why: why}, nil
}

// String is the runtime's name, and why it was chosen.
func (p place) String() string {
	if p.why == "" {
		return p.name
	}
	return fmt.Sprintf("%s (%s)", p.name, p.why)
}

// sweep removes what killed runs left in the place, and names it. Nobody else
// may measure meanwhile.
func (p place) sweep(ctx context.Context) (removed []string, err error) {
	engine, ok := p.Runtime.(*docker.Runtime)
	if !ok {
		return netns.Clean()
	}
	return removeLeftovers(ctx, engine)
}

// removeLeftovers removes the containers and networks of dead runs, and names
// those that are gone.
func removeLeftovers(ctx context.Context, engine *docker.Runtime) (removed []string, err error) {
	before, err := engine.Leftovers(ctx)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	cleanErr := engine.Clean(ctx)
	after, err := engine.Leftovers(ctx)
	for _, name := range before {
		if !slices.Contains(after, name) {
			removed = append(removed, name)
		}
	}
	return removed, errors.Join(cleanErr, err)
}
