package orchestrate

import (
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"

	"github.com/equic-bench/equic-bench/results"
)

// readMachine describes the host from the files of its kernel (proc(5) and
// sysfs under root). What the host does not tell stays zero.
func readMachine(root fs.FS) results.Machine {
	cpuinfo := fields(text(root, "proc/cpuinfo"), ":")
	meminfo := fields(text(root, "proc/meminfo"), ":")
	m := results.Machine{
		OS:           osName(root),
		Kernel:       text(root, "proc/sys/kernel/osrelease"),
		Arch:         runtime.GOARCH,
		CPUModel:     cpuinfo["model name"],
		CPUs:         runtime.NumCPU(),
		Governor:     text(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		MemoryBytes:  kibibytes(meminfo["MemTotal"]),
		SwapBytes:    kibibytes(meminfo["SwapTotal"]),
		ClockSource:  text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"),
		RmemMaxBytes: number(text(root, "proc/sys/net/core/rmem_max")),
	}
	load, _, _ := strings.Cut(text(root, "proc/loadavg"), " ")
	m.Load1, _ = strconv.ParseFloat(load, 64)
	return m
}

// busyMachine warns of work that is not ours.
func busyMachine(m results.Machine) string {
	if m.Load1 < float64(m.CPUs)/2 {
		return ""
	}
	return fmt.Sprintf("the machine was busy when the run began: load %.1f on %d CPUs", m.Load1, m.CPUs)
}

// osName is the distribution's name for itself, else the operating system's.
func osName(root fs.FS) string {
	if name := strings.Trim(fields(text(root, "etc/os-release"), "=")["PRETTY_NAME"], `"`); name != "" {
		return name
	}
	return runtime.GOOS
}

// text is the content of a file without outer space, or empty.
func text(root fs.FS, path string) string {
	b, err := fs.ReadFile(root, path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// fields reads lines of "name<sep>value"; of a repeated name the first counts.
func fields(text, sep string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, sep)
		name = strings.TrimSpace(name)
		if _, there := all[name]; !there {
			all[name] = strings.TrimSpace(value)
		}
	}
	return all
}

// kibibytes reads "123 kB", which proc(5) means as KiB, in bytes.
func kibibytes(s string) int64 { return 1024 * number(strings.TrimSuffix(s, " kB")) }

// number reads a decimal number; what is none is zero.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
