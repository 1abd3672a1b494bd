package docker

import "strings"

// cpus are the numbers of the CPUs of an engine that tells how many it has. One
// on this host has those that are online here, which may have gaps. Of any other
// they are taken to count from 0.
func cpus(online []int, host string, count int) []int {
	if strings.HasPrefix(host, "unix://") && len(online) == count {
		return online
	}
	all := make([]int, count)
	for i := range all {
		all[i] = i
	}
	return all
}
