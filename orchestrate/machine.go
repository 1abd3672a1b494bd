package orchestrate

import (
	"fmt"
	"runtime"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
)

// readMachine describes the machine for the manifest.
func readMachine(h host.Host) results.Machine {
	load, _ := h.Load1()
	return results.Machine{
		OS:           h.OS(),
		Kernel:       h.Kernel(),
		Arch:         runtime.GOARCH,
		CPUModel:     h.CPUModel(),
		CPUs:         runtime.NumCPU(),
		Governor:     h.Governor(),
		MemoryBytes:  h.MemoryBytes("MemTotal"),
		SwapBytes:    h.MemoryBytes("SwapTotal"),
		ClockSource:  h.ClockSource(),
		RmemMaxBytes: h.RmemMaxBytes(),
		Load1:        load,
	}
}

// busyMachine returns a warning if other work runs on the machine.
func busyMachine(m results.Machine) string {
	if m.Load1 < float64(m.CPUs)/2 {
		return ""
	}
	return fmt.Sprintf("the machine was busy when the run began: load %.1f on %d CPUs", m.Load1, m.CPUs)
}
