package orchestrate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// fastShare is the minimum speed of a core for clients, in % of the fastest remaining
// core: 85 %. Favoured cores of one kind are up to 12 % faster than others; efficiency
// cores are a fifth slower or more. Clients on cores of two kinds would differ from
// trial to trial.
const fastShare = 85

// chooseCPUs fills in the CPUs that a scenario leaves to the run (`cpus: auto`). The
// server gets one CPU, the first thread of the fastest core, and the clients get all
// other fast cores. The other threads of the server's core stay idle, unless no other
// CPU is left for the clients. A set that cannot be filled stays empty.
func chooseCPUs(asked placement, p Platform) placement {
	if p.Apart {
		return asked // a set that is not named is all CPUs of its host
	}
	cores := usableCores(p)
	if len(asked.server) == 0 {
		others := union(asked.sequential, asked.parallel)
		free := slices.Concat(coresWithout(cores, others), cpusWithout(cores, others))
		if len(free) > 0 {
			asked.server = free[0].CPUs[:1]
		}
	}
	if len(asked.sequential) == 0 {
		asked.sequential = clientCPUs(cores, asked.server)
		asked.parallel = asked.sequential
	}
	return asked
}

func clientCPUs(cores []host.Core, server []int) (cpus []int) {
	free := coresWithout(cores, server)
	if len(free) == 0 {
		free = cpusWithout(cores, server)
	}
	for _, c := range free {
		if 100*c.Speed >= fastShare*free[0].Speed {
			cpus = append(cpus, c.CPUs...)
		}
	}
	slices.Sort(cpus)
	return cpus
}

// usableCores returns a platform's cores, the fastest first, with the threads that
// nodes may use. A CPU of an unknown core counts as a core.
func usableCores(p Platform) (cores []host.Core) {
	rest := slices.Clone(p.CPUs)
	for _, c := range p.Cores {
		if len(p.CPUs) > 0 {
			c.CPUs = slices.DeleteFunc(slices.Clone(c.CPUs), func(cpu int) bool { return !slices.Contains(p.CPUs, cpu) })
		}
		if len(c.CPUs) > 0 {
			cores = append(cores, c)
		}
		rest = slices.DeleteFunc(rest, func(cpu int) bool { return slices.Contains(c.CPUs, cpu) })
	}
	for _, cpu := range rest {
		cores = append(cores, host.Core{CPUs: []int{cpu}})
	}
	return cores
}

// coresWithout returns the cores that have no thread in a set.
func coresWithout(cores []host.Core, set []int) []host.Core {
	return slices.DeleteFunc(slices.Clone(cores), func(c host.Core) bool {
		return slices.ContainsFunc(c.CPUs, func(cpu int) bool { return slices.Contains(set, cpu) })
	})
}

// cpusWithout returns the threads of the cores, without those in a set.
func cpusWithout(cores []host.Core, set []int) (rest []host.Core) {
	for _, c := range cores {
		c.CPUs = slices.DeleteFunc(slices.Clone(c.CPUs), func(cpu int) bool { return slices.Contains(set, cpu) })
		if len(c.CPUs) > 0 {
			rest = append(rest, c)
		}
	}
	return rest
}

// SharedCores warns if clients run on other threads of the server's cores.
func SharedCores(server, clients []int, cores []host.Core) []string {
	shared := slices.DeleteFunc(host.Siblings(cores, server), func(cpu int) bool { return !slices.Contains(clients, cpu) })
	if len(shared) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the clients' CPUs %v are hardware threads of the server's cores (its CPUs: %v): the "+
		"clients' work slows the server down", shared, server)}
}

func (p placement) sharedCores(cores []host.Core) []string {
	return SharedCores(p.server, p.clients(), cores)
}

func (p placement) clients() []int { return union(p.sequential, p.parallel) }

// Place returns the CPUs of the server and the clients of a scenario: those that it
// names, or that a run on the platform would choose. None means all.
func Place(s *scenarios.Scenario, p Platform) (server, clients []int) {
	chosen := chooseCPUs(placement{s.Server.CPUs, s.Sequential.CPUs, s.Parallel.CPUs}, p)
	return chosen.server, chosen.clients()
}

// recordPlacement records how the CPUs were chosen, and which the run chose.
func recordPlacement(m *results.Manifest, s *scenarios.Scenario, cpus placement, p Platform) {
	m.Placement = &results.Placement{
		ServerAuto:     len(s.Server.CPUs) == 0,
		ClientsAuto:    len(s.Sequential.CPUs) == 0,
		ServerSiblings: host.Siblings(p.Cores, cpus.server),
	}
	fill := func(e *results.Experiment, cpus placement) { // CPUs that a cell names are not changed
		e.Apart = p.Apart
		if len(e.ServerCPUs) == 0 {
			e.ServerCPUs = orAll(cpus.server, p.CPUs)
		}
		if len(e.ClientCPUs) == 0 {
			e.ClientCPUs = orAll(cpus.clients(), p.CPUs)
		}
	}
	fill(&m.Experiment, cpus)
	for i := range m.Cells {
		c := &m.Cells[i]
		own, _ := placeNodes(cmp.Or(s.CellNamed(c.Name), s), p)
		fill(&c.Experiment, own)
	}
}

// orAll returns a set of CPUs; an empty one means all.
func orAll(set, all []int) []int {
	if len(set) == 0 {
		return all
	}
	return set
}
