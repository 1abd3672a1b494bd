package orchestrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// newManifest returns a manifest with everything that is known before a run starts.
func newManifest(
	s *scenarios.Scenario, plan []results.PlannedTrial, o Options, machine results.Machine, now time.Time,
) (*results.Manifest, error) {
	binaries, err := digests(o.BinDir)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(s.Text)
	m := &results.Manifest{
		Schema:          results.SchemaVersion,
		ValidityVersion: validity.Version,
		Started:         now,
		Command:         o.Command,
		Scenario:        s.Name,
		ScenarioSHA256:  hex.EncodeToString(digest[:]),
		Seed:            o.Seed,
		Experiment:      experiment(s),
		Plan:            plan,
		Binaries:        binaries,
		Modules:         modules(),
		Version:         o.Version,
		Go:              runtime.Version(),
		Machine:         machine,
	}
	if s.Cell != "" {
		m.Cells = experiments(s)
	}
	return m, nil
}

// experiments returns the cells of a scenario. If there is only one cell, it has no name.
func experiments(s *scenarios.Scenario) []results.Cell {
	var all []results.Cell
	for _, c := range s.Cells() {
		cell := results.Cell{Name: c.Cell, Load: c.Load, Point: c.Point, Set: c.Set, Server: c.ServerPoint, Experiment: experiment(c)}
		all = append(all, cell)
	}
	return all
}

// digests returns the SHA-256 of the nodes' binaries, by name.
func digests(dir string) (map[string]string, error) {
	sums := map[string]string{}
	for _, name := range Binaries() {
		sum, err := results.FileSHA256(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w; run `make build`, or say with --bin where they are", ErrNoBinary, name, err)
		}
		sums[name] = sum
	}
	return sums, nil
}

// modules returns the versions of the modules linked into this program.
func modules() map[string]string {
	versions := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versions
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		versions[m.Path] = m.Version
	}
	return versions
}

// experiment returns the parts of the scenario that readers of the records need.
func experiment(s *scenarios.Scenario) results.Experiment {
	e := results.Experiment{
		Sequential:        load(s.Sequential),
		Parallel:          load(s.Parallel),
		BodyBytes:         s.Server.Body,
		Quota:             s.Server.Quota,
		RequestTimeoutNS:  max(s.Sequential.Timeout, s.Parallel.Timeout).Nanoseconds(),
		IdleTimeoutNS:     s.Server.IdleTimeout.Nanoseconds(),
		ServerKey:         s.Server.Key,
		ServerRetry:       s.Server.Retry,
		ClientKeyExchange: s.Sequential.KeyExchange,
		ServerMemoryBytes: s.Server.Memory,
		ServerCPUs:        s.Server.CPUs,
		ClientCPUs:        union(s.Sequential.CPUs, s.Parallel.CPUs),
		XDPMode:           s.Server.XDPMode,
		HostNetwork:       s.Server.Interface == scenarios.InterfaceHost,
		SampleIntervalNS:  s.Trial.SampleInterval.Nanoseconds(),
		AlternateNS:       s.Trial.Alternate.Nanoseconds(),
		Syscalls:          new(s.Trial.Syscalls),
		Arms:              arms(s),
		Search:            search(s),
	}
	e.Family, e.Subnets = family(s.Network)
	for _, c := range s.Background {
		e.Background = append(e.Background, load(c))
	}
	if s.Server.Foreign() {
		e.Command, e.Image, e.Path, e.Limits = s.Server.Command, s.Server.Image, s.Server.Path, limitsOf(s.Server.Limits)
		if s.Server.Protocol == scenarios.HQ {
			e.Protocol = s.Server.Protocol
		}
	}
	if s.Neighbour.Count > 0 {
		e.Neighbour = load(s.Neighbour)
	}
	for _, v := range s.Variants {
		e.Variants = append(e.Variants, string(v))
	}
	return e
}

func limitsOf(l scenarios.Limits) *results.Limits {
	if !l.Some() {
		return nil
	}
	limits := &results.Limits{PerSecond: l.Rate}
	if l.Rate > 0 {
		limits.Burst = l.AtOnce()
	}
	for _, prefix := range l.Deny {
		limits.Deny = append(limits.Deny, prefix.String())
	}
	return limits
}

func search(s *scenarios.Scenario) *results.Search {
	if s.Search == nil {
		return nil
	}
	return &results.Search{
		From: s.Search.From, To: s.Search.To, Factor: s.Search.Factor, Keep: s.Search.KeepPercent / 100,
		Lost: s.Search.Lost, P99: s.Search.P99, Repetitions: s.Repetitions,
	}
}

func load(c scenarios.Clients) results.Load {
	kind := c.Kind
	if kind == record.Requests { // as in older runs
		kind = ""
	}
	addresses := c.Addresses
	if addresses == 1 { // as in older runs
		addresses = 0
	}
	return results.Load{
		Kind:          kind,
		Addresses:     addresses,
		HoldNS:        c.Hold.Nanoseconds(),
		Clients:       c.Count,
		Requests:      c.Requests,
		DurationNS:    c.Duration.Nanoseconds(),
		RatePerSecond: c.Rate,
		PaceNS:        c.Pace.Nanoseconds(),
		Strength:      c.Strength,
		Reached:       c.Reached,
		DelayNS:       c.Delay.Nanoseconds(),
		MaxInFlight:   c.MaxInFlight,
	}
}

func union(a, b []int) []int {
	set := map[int]bool{}
	for _, n := range slices.Concat(a, b) {
		set[n] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// limits describes the limits of the nodes.
func (p placement) limits(memoryBytes int64, swap bool) []string {
	all := []string{
		"server on CPUs " + cpuText(p.server),
		"sequential clients on CPUs " + cpuText(p.sequential),
		"parallel clients on CPUs " + cpuText(p.parallel),
	}
	if memoryBytes > 0 {
		limit := fmt.Sprintf("server memory %d bytes", memoryBytes)
		if swap {
			limit += ", no swap"
		}
		all = append(all, limit)
	}
	return all
}

func cpuText(set []int) string {
	if len(set) == 0 {
		return "all"
	}
	return fmt.Sprint(set)
}
