package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/doctor"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/orchestrate/netns"
	"github.com/equic-bench/equic-bench/orchestrate/swarm"
	"github.com/equic-bench/equic-bench/results"
)

// Only this file depends on which runtimes exist (docs/extending.md, A runtime).

// The values of --runtime.
const (
	runtimeAuto   = "auto"
	runtimeDocker = "docker"
	runtimeNetns  = "netns"
	runtimeSwarm  = "swarm"

	runtimeHelp = "what the nodes run in: docker, netns (network namespaces; without root only what " +
		"needs no program in the kernel), swarm (several hosts), or " +
		"auto: docker if an engine answers, else netns"
	runtimeThatKeeps = runtimeDocker // with --keep
	noRuntimeRemedy  = "start a Docker engine, or run as root"
)

// runtimeKind is a runtime that nodes can run in, and its descriptions.
type runtimeKind struct {
	name string
	open func(ctx context.Context, bin string) (orchestrate.Runtime, error)
	// openCleaner opens a runtime that can only clean, if that takes less; nil means open.
	openCleaner func(ctx context.Context) (orchestrate.Runtime, error)
	// absent are open's errors if this machine has no such runtime.
	absent  []error
	absence string // in words
	// refused is open's error if this machine may have such a runtime, but it is not used; nil if
	// that cannot happen. The error has the reason.
	refused error
	// remote is true if nodes run on other hosts, which checks of this machine do not cover.
	// Such a runtime has to be named: "auto" never chooses it.
	remote bool
	// grants is true if nodes may get rights that this process does not have.
	grants bool
	// cleaner finds leftovers without open, while no run measures; nil if this needs an
	// open runtime.
	cleaner orchestrate.Cleaner
	leaves  string // what killed runs leave
	unasked string // doctor's finding on leftovers without a cleaner or an open runtime
	// check is doctor's check if open fails; found returns its finding if open succeeds.
	check doctor.Check
	found func(results.Runtime) string
}

// runtimeKinds are all runtimes, in the order in which "auto" tries them.
var runtimeKinds = []runtimeKind{
	{
		name: runtimeDocker,
		open: func(ctx context.Context, bin string) (orchestrate.Runtime, error) {
			return docker.New(ctx, bin)
		},
		absent:  []error{docker.ErrNoEngine},
		absence: "no Docker engine answers",
		refused: docker.ErrRefused,
		grants:  true,
		leaves:  "container",
		unasked: "no control group; no engine was asked for containers",
		check: doctor.Check{
			Name:   "Docker engine",
			Means:  "nodes run in network namespaces instead, as root",
			Remedy: "start the engine, or run as root",
		},
		found: func(r results.Runtime) string {
			return fmt.Sprintf("%s, API %s, control groups %s", r.Version, r.API, r.CgroupMode)
		},
	},
	{
		name:    runtimeNetns,
		open:    func(_ context.Context, bin string) (orchestrate.Runtime, error) { return netns.New(bin) },
		absent:  []error{netns.ErrNotRoot},
		absence: "this user is not root",
		cleaner: netns.Groups{},
		leaves:  "control group",
		check:   doctor.Check{Name: "namespaces", Means: "--runtime netns does not run", Remedy: "run as root"},
		found:   func(results.Runtime) string { return "can be made" },
	},
	{
		name: runtimeSwarm,
		open: func(ctx context.Context, bin string) (orchestrate.Runtime, error) {
			return swarm.New(ctx, bin)
		},
		openCleaner: func(ctx context.Context) (orchestrate.Runtime, error) { return swarm.NewCleaner(ctx) },
		absent:      []error{swarm.ErrNoSwarm, docker.ErrNoEngine},
		absence:     "the engine manages no swarm",
		remote:      true,
		grants:      true,
		leaves:      "service",
		unasked:     "no swarm was asked for services",
		check:       doctor.Check{Name: "swarm", Means: "--runtime swarm does not run", Remedy: "see docs/swarm.md"},
		found:       describeHosts,
	},
}

// named reports whether a value of --runtime may mean the runtime.
func (k runtimeKind) named(name string) bool {
	return name == k.name || name == runtimeAuto && !k.remote
}

// describeHosts lists the hosts of a swarm that take part.
func describeHosts(r results.Runtime) string {
	var hosts []string
	for _, h := range r.Hosts {
		hosts = append(hosts, fmt.Sprintf("%s: %s (%d CPUs, %s)", h.Role, h.Name, h.CPUs, h.Address))
	}
	return strings.Join(hosts, "; ")
}

// runtimeNames returns the values of --runtime.
func runtimeNames() []string {
	names := []string{runtimeAuto}
	for _, k := range runtimeKinds {
		names = append(names, k.name)
	}
	return names
}

// place is the chosen runtime, and its descriptions.
type place struct {
	orchestrate.Runtime

	name string
	why  string // the reason for the choice; empty if the user named it
}

// openRuntime opens a runtime by name. "auto" chooses the first that this machine has.
func openRuntime(ctx context.Context, name, bin string) (place, error) {
	var why string
	var errs []error
	for _, k := range runtimeKinds {
		if !k.named(name) {
			continue
		}
		rt, err := k.open(ctx, bin)
		if err == nil {
			return place{Runtime: rt, name: k.name, why: why}, nil
		}
		errs = append(errs, err)
		if !isAny(err, k.absent...) {
			break
		}
		why = k.reason(err)
	}
	return place{}, errors.Join(errs...)
}

// reason returns in words why this machine has no runtime of the kind, after an error of
// open.
func (k runtimeKind) reason(err error) string {
	if k.refused != nil && errors.Is(err, k.refused) {
		return oneLine(err)
	}
	return k.absence
}

// String returns the runtime's name, and why it was chosen.
func (p place) String() string {
	if p.why == "" {
		return p.name
	}
	return fmt.Sprintf("%s (%s)", p.name, p.why)
}

// grantsRights reports whether the nodes of a runtime, "auto" included, may get
// rights that this process does not have.
func grantsRights(name string, usable []runtimeKind) bool {
	if name == runtimeAuto {
		return len(usable) > 0 && usable[0].grants
	}
	return slices.ContainsFunc(runtimeKinds, func(k runtimeKind) bool { return k.name == name && k.grants })
}

// isRemote reports whether the nodes of a runtime run on other hosts.
func isRemote(name string) bool {
	return slices.ContainsFunc(runtimeKinds, func(k runtimeKind) bool { return k.name == name && k.remote })
}

// runtimeFails reports whether an error comes from a runtime and concerns this machine.
func runtimeFails(err error) bool {
	return isAny(err, docker.ErrNoEngine, docker.ErrSubnetTaken, docker.ErrNoImage, docker.ErrOpenFiles,
		netns.ErrNotRoot, swarm.ErrNoSwarm, swarm.ErrHosts)
}

// lacksRights reports whether a runtime cannot be opened because this user is not root.
func lacksRights(err error) bool { return errors.Is(err, netns.ErrNotRoot) }

// inThrowAwayNetwork calls f in a network namespace like that of a node (netns.Try).
func inThrowAwayNetwork(f func() error) error { return netns.Try(f) }
