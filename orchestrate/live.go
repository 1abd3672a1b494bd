package orchestrate

import (
	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
)

// Live is the state of a trial's load at one time, from the clients' last reports.
// Clients report at most once a second.
type Live struct {
	Sequential, Attack Tally // over the clients of each group; neighbours are in neither
	// ServerCPUs are the times of the server's CPUs, for all processes; all zero if
	// they are not known.
	ServerCPUs host.CPUTimes
	// Since the epoch, connections that the server refused and packets that its
	// XDP program dropped.
	Refused, Dropped int
}

// Tally counts the requests of a group since the epoch.
type Tally struct{ Started, Done, OK int }

// live returns the state of the load; nil if there is no OnEvent.
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
			l.Refused, l.Dropped = p.Refused, int(p.Dropped) // no trial has that many packets
			continue
		case results.RoleParallel, results.RoleBackground:
			group = &l.Attack
		case results.RoleNeighbour, results.RoleGateway:
			continue
		}
		group.Started, group.Done, group.OK = group.Started+p.Started, group.Done+p.Done, group.OK+p.OK
	}
	if t.members[0].node(t.epoch).Host != "" {
		return l // the CPUs of this machine are not the server's
	}
	if now, err := t.runner.readCPUs(t.members[0].spec.CPUs); err == nil {
		l.ServerCPUs = now
	}
	return l
}
