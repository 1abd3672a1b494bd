package host

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// CPUTimes are sums over CPUs since boot, in ticks of the kernel. Busy excludes idle
// time and waiting for a disk.
type CPUTimes struct{ All, Busy, SoftIRQ int64 }

// Shares returns the shares of the time since an earlier reading, from 0 to 1.
func (t CPUTimes) Shares(before CPUTimes) (busy, softIRQ float64) {
	all := float64(max(1, t.All-before.All))
	return float64(t.Busy-before.Busy) / all, float64(t.SoftIRQ-before.SoftIRQ) / all
}

// The columns of a CPU's line in /proc/stat (proc(5)). The users' time includes the
// guests' time.
const (
	statIdle    = 3
	statIOWait  = 4
	statSoftIRQ = 6
	statColumns = 8
)

// CPUTimes sums the times of these CPUs; none given means all.
func (h Host) CPUTimes(cpus []int) (CPUTimes, error) {
	content, err := fs.ReadFile(h.root, "proc/stat")
	if err != nil {
		return CPUTimes{}, fmt.Errorf("read the times of the CPUs: %w", err)
	}
	var sum CPUTimes
	found := 0
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if len(words) == 0 || !strings.HasPrefix(words[0], "cpu") || words[0] == "cpu" {
			continue
		}
		cpu, err := strconv.Atoi(words[0][len("cpu"):])
		if err == nil && len(cpus) > 0 && !slices.Contains(cpus, cpu) {
			continue
		}
		if err = errors.Join(err, sum.add(words[1:])); err != nil {
			return CPUTimes{}, fmt.Errorf("/proc/stat: %q: %w", strings.TrimSpace(line), err)
		}
		found++
	}
	if found == 0 || found < len(cpus) {
		return CPUTimes{}, fmt.Errorf("/proc/stat has %d of the CPUs %v", found, cpus)
	}
	return sum, nil
}

func (t *CPUTimes) add(columns []string) error {
	if len(columns) < statColumns {
		return fmt.Errorf("%d columns, want %d", len(columns), statColumns)
	}
	for i, text := range columns[:statColumns] {
		ticks, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		t.All += ticks
		if i != statIdle && i != statIOWait {
			t.Busy += ticks
		}
		if i == statSoftIRQ {
			t.SoftIRQ += ticks
		}
	}
	return nil
}
