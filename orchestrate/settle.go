package orchestrate

import (
	"context"
	"fmt"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
)

const (
	// settleInterval is the time between two readings of the CPUs' times. They count in
	// ticks of 10 ms, so on two CPUs a tick is 2.5 % of an interval.
	settleInterval = 200 * time.Millisecond
	// settleQuiet is how many intervals in a row must be quiet: less than settleBusy of
	// the CPUs' time busy, softirq included, and less than settleSoftIRQ in softirq.
	// Some process always wakes up now and then; a process that computes uses half of
	// two CPUs.
	settleQuiet   = 3
	settleBusy    = 0.10
	settleSoftIRQ = 0.05
)

// cpuReader reads the times of some CPUs; none means all.
type cpuReader func(cpus []int) (host.CPUTimes, error)

// settle waits until CPUs are quiet, at most for limit. The only error is the
// context's: a read error is recorded, and ends the wait.
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
		var now host.CPUTimes
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

// settleWarning returns a warning about the wait before a trial.
func settleWarning(s *results.Settling) string {
	switch {
	case s == nil || s.Quiet:
		return ""
	case s.Error != "":
		return "it is not known whether the machine was quiet before the trial: " + s.Error
	}
	return fmt.Sprintf("the machine was not quiet after %s: its CPUs were %.0f %% busy, %.0f %% of the time in "+
		"softirq; end other work, or raise trial.settle",
		time.Duration(s.LimitNS), 100*s.Busy, 100*s.SoftIRQ)
}
