package host

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
)

// Core is a physical core of this machine.
type Core struct {
	CPUs []int // its hardware threads, which slow each other down
	// Speed is relative to that of other cores. It is zero if all are equal, as far as
	// the kernel reports it.
	Speed int64
}

// Cores returns the cores of this machine, the fastest first.
func (h Host) Cores() (cores []Core) {
	paths, _ := fs.Glob(h.root, "sys/devices/system/cpu/cpu*/topology/thread_siblings_list") // a valid pattern
	for _, p := range paths {
		if cpus, err := ParseCPUs(h.text(p)); err == nil {
			cores = append(cores, Core{CPUs: cpus})
		}
	}
	slices.SortFunc(cores, func(a, b Core) int { return slices.Compare(a.CPUs, b.CPUs) })
	cores = slices.CompactFunc(cores, func(a, b Core) bool { return slices.Equal(a.CPUs, b.CPUs) })
	h.setSpeeds(cores)
	slices.SortStableFunc(cores, func(a, b Core) int { return cmp.Compare(b.Speed, a.Speed) })
	return cores
}

// setSpeeds uses the first measure in which the cores differ. Some kernels report one
// capacity for all cores of a hybrid CPU, although their highest frequencies differ.
func (h Host) setSpeeds(cores []Core) {
	for _, file := range []string{"cpu_capacity", "cpufreq/cpuinfo_max_freq"} {
		for i := range cores {
			cores[i].Speed = number(h.text(fmt.Sprintf("sys/devices/system/cpu/cpu%d/%s", cores[i].CPUs[0], file)))
		}
		if slices.ContainsFunc(cores, func(c Core) bool { return c.Speed != cores[0].Speed }) {
			return
		}
	}
	for i := range cores {
		cores[i].Speed = 0
	}
}

// Siblings returns the other hardware threads of the cores that cpus belong to.
func Siblings(cores []Core, cpus []int) (others []int) {
	for _, c := range cores {
		mine := func(cpu int) bool { return slices.Contains(cpus, cpu) }
		if slices.ContainsFunc(c.CPUs, mine) {
			others = append(others, slices.DeleteFunc(slices.Clone(c.CPUs), mine)...)
		}
	}
	slices.Sort(others)
	return others
}
