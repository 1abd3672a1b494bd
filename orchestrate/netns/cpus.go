package netns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bind restricts the calling thread, and its children, to CPUs; none means all.
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
