package orchestrate

import (
	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
)

// Live is how the load of a trial does at a moment, as clients last said: they
// say so at most once a second.
type Live struct {
	Sequential, Attack Tally // over the clients of each group; neighbours are in neither
	// ServerCPUs are the times of the server's CPUs, whatever is busy on them; all
	// zero where they are not known.
	ServerCPUs host.CPUTimes
	// Since the epoch, connections that the server refused and packets that its
	// XDP program dropped.
	Refused, Dropped int
}

// Tally counts the requests of a group since the epoch.
type Tally struct{ Started, Done, OK int }

// live is how the load does. Nobody may be listening: then nothing is read.
func (t *trial) live() *Live {
	if t.runner.options.OnEvent == nil {
		return nil
	}
	l := &Live{}
	for _, m := range t.members {
		p := m.records.seen().progress
		group := &l.Sequential
		switch m.spec.Role {
		case results.RoleServer:
			l.Refused, l.Dropped = p.Refused, int(p.Dropped) // no trial has so many packets
			continue
		case results.RoleParallel, results.RoleBackground:
			group = &l.Attack
		case results.RoleNeighbour:
			continue
		}
		group.Started, group.Done, group.OK = group.Started+p.Started, group.Done+p.Done, group.OK+p.OK
	}
	if now, err := t.runner.readCPUs(t.members[0].spec.CPUs); err == nil {
		l.ServerCPUs = now
	}
	return l
}
