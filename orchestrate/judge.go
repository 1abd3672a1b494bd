package orchestrate

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// judge makes trial.json. early is the reason why the trial was given up, or empty.
func (t *trial) judge(early string) (*results.Trial, error) {
	whole := t.record(early)
	verdict, err := validity.Judge(t.runner.manifest, whole, t.readRecords)
	if err != nil {
		return nil, err
	}
	whole.Ended = time.Now()
	whole.LoadEndNS = verdict.LoadEndNS
	whole.OverheadNS = whole.Ended.Sub(t.started).Nanoseconds() - whole.LoadEndNS
	whole.Valid, whole.Checks = verdict.Valid(), verdict.Checks
	whole.Warnings = append(whole.Warnings, verdict.Warnings...)
	return whole, nil
}

// record returns the part of trial.json that does not depend on the records.
func (t *trial) record(early string) *results.Trial {
	trial := &results.Trial{
		PlannedTrial: t.plan,
		Attempt:      t.attempt,
		Epoch:        t.epoch,
		EpochUnixNS:  t.epoch.UnixNano(),
		Started:      t.started,
		XDPMode:      t.members[0].records.seen().ready.XDPMode,
		GivenUp:      early,
		ClockStepNS:  wallStep(t.started, cmp.Or(t.allReady, time.Now())).Nanoseconds(),
		Settling:     t.settled,
	}
	if a := t.arrived; a != nil {
		trial.FloodFrames, trial.QueueLost = &a.Frames, a.Lost
	}
	if w := settleWarning(t.settled); w != "" {
		trial.Warnings = append(trial.Warnings, w)
	}
	platform := t.runner.runtime.Platform()
	cpus, _ := placeNodes(t.scenario, platform)
	trial.Warnings = append(trial.Warnings, cpus.sharedCores(platform.Cores)...)
	for _, m := range t.members {
		trial.Nodes = append(trial.Nodes, m.node(t.epoch))
	}
	return trial
}

// wallStep returns how far the wall clock moved against the monotonic clock between two
// readings of time.Now.
func wallStep(from, to time.Time) time.Duration {
	return to.Round(0).Sub(from.Round(0)) - to.Sub(from) // Round(0) strips the monotonic reading
}

// readRecords reads back the records of a node. The recorder writes only records to the
// file, so an error is a disk error.
func (t *trial) readRecords(n *results.Node, yield func(*record.Line) error) (err error) {
	f, err := os.Open(t.out.Path(n.Records))
	if err != nil {
		return fmt.Errorf("read the records of %s: %w", n.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return record.ReadLines(f, n.Name, yield)
}
