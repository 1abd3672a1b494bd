package orchestrate

import (
	"fmt"
	"time"
)

// A node reads the wall clock once, when it starts (record.Clock), as this
// process does for the epoch. A step of the clock in between shifts all times of
// the node, and nothing else tells.
const (
	// readyAhead is how far the time of a node's word that it is ready may lie
	// after its arrival here, where one clock gives both.
	readyAhead = 100 * time.Millisecond
	// clockStep is how far the wall clock of this machine may move while nodes
	// start against the monotonic one.
	clockStep = 100 * time.Millisecond
)

// readyBehind is how far it may lie before, of so many nodes: a loaded machine
// delivers late. It is 3 s for up to nine.
func readyBehind(nodes int) time.Duration { return nodesLimit(nodes) / 10 }

// clockMoved says so of one of so many nodes whose word that it is ready, by the
// node's time, cannot have come when it came; else it is empty.
func clockMoved(seen recorded, epoch time.Time, nodes int) string {
	if seen.readies == 0 {
		return ""
	}
	arrived := seen.readyAt.Sub(epoch) // by the monotonic clock
	ahead := time.Duration(seen.ready.AtNS) - arrived
	if -readyBehind(nodes) <= ahead && ahead <= readyAhead {
		return ""
	}
	return fmt.Sprintf("was ready %s by its clock, but said so %s by ours: the two differ, or one was set, by about %s",
		fromEpoch(time.Duration(seen.ready.AtNS)), fromEpoch(arrived), seconds(ahead.Abs().Nanoseconds()))
}

// fromEpoch tells a time relative to the epoch.
func fromEpoch(t time.Duration) string {
	if t < 0 {
		return seconds(-t.Nanoseconds()) + " before the epoch"
	}
	return seconds(t.Nanoseconds()) + " after the epoch"
}

// wallStep is how far the wall clock moved between two readings of time.Now
// against the monotonic clock.
func wallStep(from, to time.Time) time.Duration {
	return to.Round(0).Sub(from.Round(0)) - to.Sub(from) // Round(0) strips the monotonic reading
}

// stepped says that this machine's clock was set while nodes started; else it is
// empty.
func stepped(step time.Duration) string {
	if step.Abs() <= clockStep {
		return ""
	}
	way := "forward"
	if step < 0 {
		way = "back"
	}
	return fmt.Sprintf(
		"the clock of this machine, which server and clients start by, was set %s by %s while nodes started",
		way, seconds(step.Abs().Nanoseconds()))
}
