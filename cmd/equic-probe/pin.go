package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// pin makes the process run on some CPUs. Affinity belongs to a thread, and exec keeps only the
// affinity of the thread that calls it. So this thread sets it and executes the program again,
// unless it is set already.
func pin(cpus []int) error {
	var want, have unix.CPUSet
	for _, cpu := range cpus {
		want.Set(cpu)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedGetaffinity(0, &have); err != nil {
		return fmt.Errorf("--pin: read the CPUs of this process: %w", err)
	}
	if have == want {
		return nil
	}
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return fmt.Errorf("--pin %v: %w: this host has none of them, or this process may not use them", cpus, err)
	}
	if err := unix.SchedGetaffinity(0, &have); err != nil || have != want {
		return fmt.Errorf("--pin %v: this host lacks some of them", cpus)
	}
	return fmt.Errorf("--pin: start again: %w", unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}
