package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/equic-bench/equic-bench/doctor"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/orchestrate/netns"
	"github.com/equic-bench/equic-bench/results"
)

// Only this file depends on which runtimes exist (docs/extending.md, A runtime).

// The values of --runtime.
const (
	runtimeAuto   = "auto"
	runtimeDocker = "docker"
	runtimeNetns  = "netns"

	runtimeHelp = "what the nodes run in: docker, netns (network namespaces, as root), or auto: docker where an " +
		"engine answers, else netns"
	runtimeThatKeeps = runtimeDocker // with --keep
	noRuntimeRemedy  = "start a Docker engine, or run as root"
)

// runtimeKind is a runtime that nodes can run in, and its descriptions.
type runtimeKind struct {
	name string
	open func(ctx context.Context, bin string) (orchestrate.Runtime, error)
	// absent is open's error if this machine has no such runtime.
	absent  error
	absence string // in words
	// refused is open's error if there may be one that is not used; nil if there is no such
	// case. The error itself has the reason.
	refused error
	// grants is true if nodes may get rights that this process does not have.
	grants bool
	// cleaner finds leftovers without open, while no run measures; nil if this needs an
	// open runtime.
	cleaner orchestrate.Cleaner
	leaves  string // what killed runs leave
	unasked string // doctor's finding on leftovers if it has neither
	// check is doctor's check if open fails, and found its finding otherwise.
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
		absent:  docker.ErrNoEngine,
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
		absent:  netns.ErrNotRoot,
		absence: "this user is not root",
		cleaner: netns.Groups{},
		leaves:  "control group",
		check:   doctor.Check{Name: "namespaces", Means: "--runtime netns does not run", Remedy: "run as root"},
		found:   func(results.Runtime) string { return "can be made" },
	},
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
		if name != runtimeAuto && name != k.name {
			continue
		}
		rt, err := k.open(ctx, bin)
		if err == nil {
			return place{Runtime: rt, name: k.name, why: why}, nil
		}
		errs = append(errs, err)
		if !errors.Is(err, k.absent) {
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

// runtimeFails reports whether an error comes from a runtime and concerns this machine.
func runtimeFails(err error) bool {
	return isAny(err, docker.ErrNoEngine, docker.ErrSubnetTaken, docker.ErrNoImage, docker.ErrOpenFiles,
		netns.ErrNotRoot)
}

// inThrowAwayNetwork calls f in a network namespace like that of a node (netns.Try).
func inThrowAwayNetwork(f func() error) error { return netns.Try(f) }
