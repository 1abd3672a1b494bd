package netns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// usableCPUs are the numbers of the CPUs that this process may use, which a
// container or taskset may have chosen; none where the kernel does not tell.
func usableCPUs() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil // more CPUs than the set has room for
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// bind keeps the calling thread, and what it starts, on CPUs; none is all.
func bind(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bind it to CPUs %v: %w", cpus, err)
	}
	return nil
}
