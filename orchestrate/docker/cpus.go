package docker

import (
	"io/fs"
	"strconv"
	"strings"
)

// cpus are the numbers of the CPUs of an engine that tells how many it has. One
// on this host has those that are online here, which may have gaps (root is "/"
// as a file system). Of any other they are taken to count from 0.
func cpus(root fs.FS, host string, count int) []int {
	if strings.HasPrefix(host, "unix://") {
		if online := onlineCPUs(root); len(online) == count {
			return online
		}
	}
	all := make([]int, count)
	for i := range all {
		all[i] = i
	}
	return all
}

// onlineCPUs reads a list such as "0-3,6"; none where the kernel does not tell.
func onlineCPUs(root fs.FS) []int {
	list, err := fs.ReadFile(root, "sys/devices/system/cpu/online")
	if err != nil {
		return nil
	}
	var online []int
	for part := range strings.SplitSeq(strings.TrimSpace(string(list)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil
		}
		to, err := strconv.Atoi(last)
		if err != nil {
			return nil
		}
		for cpu := from; cpu <= to; cpu++ {
			online = append(online, cpu)
		}
	}
	return online
}
