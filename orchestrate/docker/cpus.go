package docker

import (
	"strings"

	"github.com/equic-bench/equic-bench/host"
)

// cpus are the numbers of the CPUs of an engine that tells how many it has, and
// their cores. One on this host has those that are online here, which may have gaps.
// Of any other they are taken to count from 0, and their cores are unknown.
func cpus(h host.Host, daemon string, count int) (all []int, cores []host.Core) {
	if online := h.OnlineCPUs(); strings.HasPrefix(daemon, "unix://") && len(online) == count {
		return online, h.Cores()
	}
	all = make([]int, count)
	for i := range all {
		all[i] = i
	}
	return all, nil
}
