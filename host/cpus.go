package host

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CPUModel returns the model name of the first CPU.
func (h Host) CPUModel() string { return h.field("proc/cpuinfo", "model name", ":") }

// Governor returns the frequency governor of the first CPU.
func (h Host) Governor() string {
	return h.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
}

// OnlineCPUs returns the numbers of the online CPUs. They may have gaps.
func (h Host) OnlineCPUs() []int {
	cpus, err := ParseCPUs(h.text("sys/devices/system/cpu/online"))
	if err != nil {
		return nil
	}
	return cpus
}

// Overheated returns how often cores have been slowed down since boot because they were
// too hot.
func (h Host) Overheated() (times int64, ok bool) {
	paths, _ := fs.Glob(h.root, "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count") // a valid pattern
	for _, p := range paths {
		times += number(h.text(p))
	}
	return times, len(paths) > 0
}

// Affinity returns the CPUs that this thread may use, in order. A container or taskset
// may have limited them.
func Affinity() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	var cpus []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// ParseCPUs parses a list of CPUs in the kernel's format: "0-3,7". The numbers ascend,
// and are below 65536.
func ParseCPUs(list string) (cpus []int, err error) {
	least := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, fromErr := strconv.ParseUint(first, 10, 16)
		to, toErr := strconv.ParseUint(last, 10, 16)
		if fromErr != nil || toErr != nil || int(from) < least || from > to {
			return nil, fmt.Errorf("%q is not a list of CPUs such as 0-3,7", list)
		}
		for least = int(from); least <= int(to); least++ {
			cpus = append(cpus, least)
		}
	}
	return cpus, nil
}

// FormatCPUs formats a list of CPUs for control groups: "0,2".
func FormatCPUs(cpus []int) string {
	texts := make([]string, len(cpus))
	for i, cpu := range cpus {
		texts[i] = strconv.Itoa(cpu)
	}
	return strings.Join(texts, ",")
}
