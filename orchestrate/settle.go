package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/results"
)

const (
	// settleInterval is the time between two readings of the CPUs' times. They
	// count in ticks of 10 ms, so on two CPUs a tick is 2.5 % of an interval.
	settleInterval = 200 * time.Millisecond
	// settleQuiet is how many intervals in a row must be quiet: less than
	// settleBusy of the CPUs' time busy, softirq included, and less than
	// settleSoftIRQ in softirq. A process that wakes up now and then is always
	// there; one that works takes half of two CPUs.
	settleQuiet   = 3
	settleBusy    = 0.10
	settleSoftIRQ = 0.05
)

// CPUTimes are summed over CPUs since boot, in ticks of the kernel. Busy is all
// but idle and waiting for a disk.
type CPUTimes struct{ All, Busy, SoftIRQ int64 }

// cpuReader reads the times of some CPUs; none is all.
type cpuReader func(cpus []int) (CPUTimes, error)

// settle waits until CPUs are quiet, at most for limit. An error is the
// context's: what cannot be read is noted, and waited for no longer.
func settle(ctx context.Context, cpus []int, limit time.Duration, read cpuReader) (*results.Settling, error) {
	start := time.Now()
	s := &results.Settling{LimitNS: limit.Nanoseconds()}
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	before, err := read(cpus)
	for quiet := 0; err == nil && !s.Quiet && time.Since(start) < limit; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		var now CPUTimes
		if now, err = read(cpus); err != nil {
			break
		}
		quiet++
		if s.Busy, s.SoftIRQ = now.Shares(before); s.Busy >= settleBusy || s.SoftIRQ >= settleSoftIRQ {
			quiet = 0
		}
		s.Quiet = quiet == settleQuiet
		before = now
	}
	if err != nil {
		s.Error = err.Error()
	}
	s.WaitNS = time.Since(start).Nanoseconds()
	return s, nil
}

// Shares are of the time since an earlier reading, in 0..1.
func (t CPUTimes) Shares(before CPUTimes) (busy, softIRQ float64) {
	all := float64(max(1, t.All-before.All))
	return float64(t.Busy-before.Busy) / all, float64(t.SoftIRQ-before.SoftIRQ) / all
}

// settleWarning is what a reader should know of the wait before a trial.
func settleWarning(s *results.Settling) string {
	switch {
	case s == nil || s.Quiet:
		return ""
	case s.Error != "":
		return "nobody knows whether the machine was quiet before the trial: " + s.Error
	}
	return fmt.Sprintf("the machine was not quiet after %s: its CPUs were %.0f %% busy, %.0f %% of the time in softirq; end other work, or raise trial.settle",
		time.Duration(s.LimitNS), 100*s.Busy, 100*s.SoftIRQ)
}

// The columns of a CPU's line in /proc/stat (proc(5)). The time of guests is in
// that of users too.
const (
	statIdle    = 3
	statIOWait  = 4
	statSoftIRQ = 6
	statColumns = 8
)

// readCPUs sums the times of CPUs from proc/stat under root.
func readCPUs(root fs.FS, cpus []int) (CPUTimes, error) {
	content, err := fs.ReadFile(root, "proc/stat")
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
