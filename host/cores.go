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
	// Speed compares with that of other cores; it is zero if all are equal, as far as
	// the kernel reports it.
	Speed int64
}

// Cores are the cores of this machine, the fastest first.
func (h Host) Cores() (cores []Core) {
	paths, _ := fs.Glob(h.root, "sys/devices/system/cpu/cpu*/topology/thread_siblings_list") // the pattern is right
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

// setSpeeds takes the first measure by which the cores differ. Some kernels report one
// capacity for all cores of a hybrid CPU, whose highest frequencies differ still.
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

// Siblings are the other hardware threads of the cores that some CPUs belong to.
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
