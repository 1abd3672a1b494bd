package orchestrate

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// Binaries returns the names of the programs that run in the nodes.
func Binaries() []string {
	return []string{"equic-probe", "equic-server", "equic-client", "equic-flood", "equic-gateway"}
}

// newSpec describes the nodes of one trial.
func newSpec(
	s *scenarios.Scenario, run string, p results.PlannedTrial, attempt int, epoch time.Time, platform Platform,
) (Spec, error) {
	subnet, err := netip.ParsePrefix(s.Network.Subnet)
	if err != nil {
		return Spec{}, fmt.Errorf("network.subnet: %w", err)
	}
	subnet6, err := subnet6Of(s)
	if err != nil {
		return Spec{}, err
	}
	cpus, _ := placeNodes(s, platform)
	nodes := specBuilder{
		scenario: s, bin: platform.BinDir, filesDir: platform.FilesDir, wholeFrames: platform.WholeFrames,
	}.nodes(p.Variant)
	for i := range nodes {
		n := &nodes[i]
		n.CPUs = cpus.forRole(n.Role)
		if platform.ProbePins && len(n.CPUs) > 0 {
			n.Command = slices.Insert(n.Command, 1, "--pin", host.FormatCPUs(n.CPUs)) // the probe is first
		}
		n.Env = append(n.Env,
			record.EnvNode+"="+n.Name,
			record.EnvEpoch+"="+strconv.FormatInt(epoch.UnixNano(), 10),
		)
		if n.Flood {
			n.Env = append(n.Env, record.EnvFloodTarget+"="+serverPortFor(s, n.Address))
		}
	}
	return Spec{
		Run: run, Trial: p, Attempt: attempt, Subnet: subnet.Masked(), Subnet6: subnet6, Nodes: nodes,
		HostNetwork: s.Server.Interface == scenarios.InterfaceHost,
	}, nil
}

// NodeSpecs describes the nodes of a scenario as they are in every trial of a variant:
// the server first, then the sequential, the parallel and the background clients, the
// neighbours, and a gateway in front of the server. The binaries are in the folder bin.
func NodeSpecs(s *scenarios.Scenario, variant, bin string) []NodeSpec {
	return specBuilder{scenario: s, bin: bin}.nodes(variant)
}

func (b specBuilder) nodes(variant string) []NodeSpec {
	s := b.scenario
	nodes := []NodeSpec{b.server(variant)}
	nodes[0].Other = s.Network.ServerPlace().Other
	at := func(i int, c scenarios.Clients) scenarios.Place { return s.ClientPlace(len(nodes)-1, i, c) }
	for i := range s.Sequential.Count {
		nodes = append(nodes, b.client(results.RoleSequential, i, at(i, s.Sequential), s.Sequential))
	}
	for i := range s.Parallel.Count {
		nodes = append(nodes, b.attacker(results.RoleParallel, i, at(i, s.Parallel), s.Parallel))
	}
	for g, c := range s.Background {
		for i := range c.Count {
			n := b.attacker(results.RoleBackground, i, at(i, c), c)
			n.Name = fmt.Sprintf("%s-%d-%d", n.Role, g+1, i+1)
			nodes = append(nodes, n)
		}
	}
	for i := range s.Neighbour.Count {
		attacker := nodes[1+s.Sequential.Count+i%s.Parallel.Count]
		n := b.client(results.RoleNeighbour, i, scenarios.Place{Address: attacker.Address}, s.Neighbour)
		n.Behind = attacker.Name
		nodes = append(nodes, n)
	}
	if record.Variant(variant) == record.GatewayInFront {
		nodes = append(nodes, b.gateway())
	}
	return nodes
}

// specBuilder writes the command lines of one scenario's nodes.
type specBuilder struct {
	scenario    *scenarios.Scenario
	bin         string
	filesDir    string
	wholeFrames bool // of floods
}

// server gives every variant the same process with the same capabilities: the system
// calls are counted in all of them, or in none.
func (b specBuilder) server(variant string) NodeSpec {
	s := b.scenario
	var flags []string
	if s.Trial.Syscalls {
		flags = append(flags, "--syscalls")
	}
	if s.Trial.Alternate > 0 {
		flags = append(flags, "--alternate", s.Trial.Alternate.String())
	}
	if s.Server.Foreign() {
		return b.foreign(flags, record.Variant(variant))
	}
	device := "eth0"
	if s.Server.Interface == scenarios.InterfaceHost { // the one with the server's address
		device = s.Network.ServerAddress().String()
	}
	var retry []string
	if s.Server.Retry != "" && record.Variant(variant).Retries() {
		retry = []string{"--retry", s.Server.Retry}
	}
	return NodeSpec{
		Name:        results.RoleServer,
		Role:        results.RoleServer,
		Address:     s.Network.ServerAddress(),
		CPUs:        s.Server.CPUs,
		MemoryBytes: s.Server.Memory,
		Kernel:      s.Trial.Syscalls || slices.ContainsFunc(s.Variants, record.Variant.InKernel),
		Command: slices.Concat(b.probe(flags...), []string{
			path.Join(b.bin, "equic-server"),
			"--listen", ":" + strconv.Itoa(s.Network.Port),
			"--variant", variant,
			"--quota", strconv.Itoa(s.Server.Quota),
			"--body", strconv.FormatInt(s.Server.Body, 10),
			"--idle-timeout", s.Server.IdleTimeout.String(),
			"--key", s.Server.Key,
			"--interface", device,
			"--xdp-mode", s.Server.XDPMode,
		}, retry, familyFlag(s)),
	}
}

func (b specBuilder) client(role string, i int, at scenarios.Place, c scenarios.Clients) NodeSpec {
	end, mode := endOf(c), results.RoleParallel
	if role == results.RoleSequential || role == results.RoleNeighbour {
		mode = results.RoleSequential
	}
	if c.Pace > 0 {
		end = append(end, "--pace", c.Pace.String())
	}
	if c.Hold > 0 {
		end = append(end, "--hold", c.Hold.String())
	}
	if path := b.scenario.Server.Path; path != "" {
		end = append(end, "--path", path)
	}
	if protocol := b.scenario.Server.Protocol; protocol == scenarios.HQ {
		end = append(end, "--protocol", protocol)
	}
	return NodeSpec{
		Name:      role + "-" + strconv.Itoa(i+1),
		Role:      role,
		Address:   at.Address,
		Other:     at.Other,
		Addresses: at.Sources,
		CPUs:      c.CPUs,
		OpenFiles: openFiles(c),
		Command: slices.Concat(b.probe(), []string{
			path.Join(b.bin, "equic-client"),
			"--server", serverPortFor(b.scenario, at.Address),
			"--mode", mode,
		}, end, sourcesFlags(at), []string{
			"--rate", strconv.FormatFloat(c.Rate, 'g', -1, 64),
			"--delay", (c.Delay + c.Phase(i)).String(),
			"--max-in-flight", strconv.Itoa(c.MaxInFlight),
			"--timeout", c.Timeout.String(),
			"--key-exchange", c.KeyExchange,
			"--body", strconv.FormatInt(b.scenario.Server.Body, 10),
		}),
	}
}

func (b specBuilder) attacker(role string, i int, at scenarios.Place, c scenarios.Clients) NodeSpec {
	if c.Kind.Flood() {
		return b.flood(role, i, at, c)
	}
	return b.client(role, i, at, c)
}

// flood returns the node of an attacker that makes no requests.
func (b specBuilder) flood(role string, i int, at scenarios.Place, c scenarios.Clients) NodeSpec {
	rate := c.Rate
	if c.Max {
		rate = 0
	}
	n := NodeSpec{
		Name:      role + "-" + strconv.Itoa(i+1),
		Role:      role,
		Address:   at.Address,
		Other:     at.Other,
		Addresses: at.Sources,
		CPUs:      c.CPUs,
		OpenFiles: openFiles(c),
		Flood:     true,
		Command: slices.Concat(b.probe(), []string{
			path.Join(b.bin, "equic-flood"),
			"--kind", string(c.Kind),
		}, endOf(c), []string{
			"--rate", strconv.FormatFloat(rate, 'g', -1, 64),
			"--delay", (c.Delay + c.Phase(i)).String(),
		}, sourcesFlags(at)),
	}
	if b.wholeFrames {
		n.Command = append(n.Command, "--interface", "eth0")
	}
	if c.Kind == record.Spoofed {
		n.Sources = b.scenario.Network.SpoofedSources(at.Address)
		n.Command = append(n.Command, "--sources", n.Sources.String())
	}
	return n
}

// serverPort returns the address and port of the server.
func serverPort(s *scenarios.Scenario) string {
	return netip.AddrPortFrom(s.Network.ServerAddress(), uint16(s.Network.Port)).String()
}

// endOf returns the flags that limit a client's load.
func endOf(c scenarios.Clients) []string {
	if c.Duration > 0 {
		return []string{"--duration", c.Duration.String()}
	}
	return []string{"--requests", strconv.Itoa(c.Requests)}
}

// ErrRuntime is the error of a scenario that the runtime does not support.
var ErrRuntime = errors.New("the runtime cannot run this")

// checkRuntime refuses what the runtime cannot do: images, programs of this machine, the
// hosts' networks, IPv6, several addresses for one node, neighbours, and spoofed packets.
func checkRuntime(s *scenarios.Scenario, p Platform) error {
	for _, c := range s.Cells() {
		switch {
		case c.Server.Image != "" && !p.Images:
			return fmt.Errorf("%w: server.image needs containers, and nodes of the runtime %s are not containers: run with "+
				"--runtime docker, or leave image out", ErrRuntime, p.Runtime.Name)
		case c.Server.Foreign() && c.Server.Image == "" && !p.HostPrograms:
			return fmt.Errorf("%w: server.command is a program of this machine, which the nodes of the runtime %s do not have: "+
				"run with --runtime netns, or add server.image", ErrRuntime, p.Runtime.Name)
		case c.Server.Image != "" && slices.ContainsFunc(c.Variants, record.Variant.InFront):
			return fmt.Errorf("%w: a variant in front of the server needs the server's network namespace, which a container "+
				"does not share: leave image out and run with --runtime netns, or write variants: [no-block]", ErrRuntime)
		}
		if c.Server.Interface == scenarios.InterfaceHost && !p.HostNetwork {
			return fmt.Errorf("%w: server.interface: host needs hosts of their own for server and clients, and the nodes of the "+
				"runtime %s share this one: run with --runtime swarm, or leave interface out", ErrRuntime, p.Runtime.Name)
		}
		if c.Neighbour.Count > 0 && !p.SharedAddresses {
			return fmt.Errorf("%w: a neighbour has an attacker's address, and each node of the runtime %s has one of its "+
				"own: run with --runtime netns, or leave neighbour out", ErrRuntime, p.Runtime.Name)
		}
		if err := checkAddresses(c, p); err != nil {
			return err
		}
		spoofed := func(attack scenarios.Clients) bool { return attack.Kind == record.Spoofed }
		if slices.ContainsFunc(c.Attacks(), spoofed) && !p.WholeFrames {
			return fmt.Errorf("%w: kind spoofed needs nodes that can send from any address, which those of the runtime %s "+
				"cannot: run with --runtime netns, or write kind: half-open", ErrRuntime, p.Runtime.Name)
		}
	}
	return nil
}

func (b specBuilder) probe(flags ...string) []string {
	argv := []string{path.Join(b.bin, "equic-probe"), "--interval", b.scenario.Trial.SampleInterval.String()}
	return append(append(argv, flags...), "--")
}

// placement lists the CPUs that each group of nodes may use; an empty set means all.
type placement struct {
	server, sequential, parallel []int
}

func (p placement) forRole(role string) []int {
	switch role {
	case results.RoleServer, results.RoleGateway:
		return p.server
	case results.RoleSequential:
		return p.sequential
	}
	return p.parallel
}

// all returns the CPUs of all nodes together; none means all that there are.
func (p placement) all() []int {
	if len(p.server) == 0 || len(p.sequential) == 0 || len(p.parallel) == 0 {
		return nil
	}
	return union(p.server, union(p.sequential, p.parallel))
}

func (p placement) size() int { return len(p.server) + len(p.sequential) + len(p.parallel) }

// placeNodes chooses CPUs for the nodes, and fits the scenario's own sets to the CPUs
// that nodes may use (none: unknown). It warns if the nodes get other CPUs than the
// scenario asks for, or share cores. CPU numbers may have gaps: a CPU can be offline,
// or not be available to this process.
func placeNodes(s *scenarios.Scenario, p Platform) (placement, []string) {
	usable := p.CPUs
	asked := chooseCPUs(placement{s.Server.CPUs, s.Sequential.CPUs, s.Parallel.CPUs}, p)
	if p.Apart {
		return asked, nil
	}
	if asked.all() == nil {
		return placement{}, []string{fmt.Sprintf("cpus: auto finds no CPUs for both server and clients among those that "+
			"nodes may use, %v: no node is bound to CPUs, so server and clients disturb each other", usable)}
	}
	if len(usable) == 0 {
		return asked, asked.sharedCores(p.Cores)
	}
	fit := func(set []int) []int {
		return slices.DeleteFunc(slices.Clone(set), func(cpu int) bool { return !slices.Contains(usable, cpu) })
	}
	got := placement{fit(asked.server), fit(asked.sequential), fit(asked.parallel)}
	if emptied(asked.server, got.server) || emptied(asked.sequential, got.sequential) ||
		emptied(asked.parallel, got.parallel) {
		return placement{}, []string{fmt.Sprintf("nodes may use the CPUs %v of this machine and the scenario asks "+
			"for others: no node is bound to CPUs, so server and clients disturb each other", usable)}
	}
	warnings := got.sharedCores(p.Cores)
	if got.size() < asked.size() {
		warnings = append(warnings, fmt.Sprintf("nodes may use the CPUs %v of this machine, fewer than the scenario asks "+
			"for: server %v, sequential %v, parallel %v", usable, got.server, got.sequential, got.parallel))
	}
	return got, warnings
}

func emptied(asked, got []int) bool { return len(asked) > 0 && len(got) == 0 }
