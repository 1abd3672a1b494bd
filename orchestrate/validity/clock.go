package validity

import (
	"fmt"
	"time"
)

// A node reads the wall clock once, when it starts (record.Clock), as orchestrate does
// for the epoch. A step of the clock in between shifts all times of the node, and is
// not visible otherwise.
const (
	// readyAhead is how far the time in a node's ready message may lie after
	// its arrival, if both come from one clock.
	readyAhead = 100 * time.Millisecond
	// clockStep is how far the wall clock of this machine may move against the
	// monotonic one while nodes start.
	clockStep = 100 * time.Millisecond
)

// readyBehind returns how far a node's time may lie before the arrival of its message,
// for that many nodes: a loaded machine delivers late. It is 3 s for up to nine.
func readyBehind(nodes int) time.Duration { return 3 * time.Second * time.Duration(max(nodes, 9)) / 9 }

// ClockMoved explains why the time at which a node was ready, by its own clock, cannot
// be right. It is compared with the arrival of the node's message here by the monotonic
// clock; both are from the epoch, in ns. The result is empty if the time can be right,
// or if the arrival is unknown (zero).
func ClockMoved(readyNS, arrivedNS int64, nodes int) string {
	ahead := time.Duration(readyNS - arrivedNS)
	if arrivedNS == 0 || -readyBehind(nodes) <= ahead && ahead <= readyAhead {
		return ""
	}
	return fmt.Sprintf("was ready %s by its clock, but reported it %s by ours: one clock is off, or was set, by about %s",
		fromEpoch(readyNS), fromEpoch(arrivedNS), Seconds(ahead.Abs().Nanoseconds()))
}

// fromEpoch formats a time relative to the epoch.
func fromEpoch(ns int64) string {
	if ns < 0 {
		return Seconds(-ns) + " before the epoch"
	}
	return Seconds(ns) + " after the epoch"
}

// stepped returns the evidence that the clock of the machine was set while nodes
// started; it is empty if it was not.
func stepped(stepNS int64) string {
	step := time.Duration(stepNS)
	if step.Abs() <= clockStep {
		return ""
	}
	way := "forward"
	if step < 0 {
		way = "back"
	}
	return fmt.Sprintf("the clock of this machine, which server and clients start by, was set %s by %s while nodes "+
		"started",
		way, Seconds(step.Abs().Nanoseconds()))
}

// Seconds formats a time to the millisecond.
func Seconds(ns int64) string { return fmt.Sprintf("%.3f s", float64(ns)/1e9) }
