package docker

import (
	"strings"

	"github.com/equic-bench/equic-bench/host"
)

// cpus returns the CPU numbers of an engine that reports only how many CPUs it has,
// and their cores. An engine on this host has the CPUs that are online here, whose
// numbers may have gaps. Those of any other engine are assumed to count from 0, and
// their cores are unknown.
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
