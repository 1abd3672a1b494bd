package record

import (
	"fmt"
	"strconv"
	"time"
)

// The environment variables of each node. Without an epoch a node uses its own start,
// which is convenient if it is started by hand.
const (
	EnvNode  = "EQUIC_NODE"  // the node's name
	EnvEpoch = "EQUIC_EPOCH" // the trial's epoch, in Unix nanoseconds
	// EnvFloodTarget is the server, as address:port, for a node that floods. No flag
	// can set another target.
	EnvFloodTarget = "EQUIC_FLOOD_TARGET"
	// EnvReceivers are the kernel's threads that receive the node's packets, if the
	// node has its own: process IDs, separated by commas.
	EnvReceivers = "EQUIC_RECEIVERS"
)

// Clock gives times relative to a trial's epoch. It reads the wall clock once, then
// counts by the monotonic clock: a step of the wall clock during a trial changes
// nothing.
type Clock struct {
	start  time.Time
	origin int64 // of start, relative to the epoch
}

// NewClock reads the epoch from the environment (EnvEpoch). Without one, the epoch is
// now.
func NewClock(getenv func(string) string) (*Clock, error) {
	text := getenv(EnvEpoch)
	if text == "" {
		return ClockAt(time.Now()), nil
	}
	ns, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: want Unix nanoseconds: %w", EnvEpoch, text, err)
	}
	return ClockAt(time.Unix(0, ns)), nil
}

// ClockAt returns a clock with the given epoch.
func ClockAt(epoch time.Time) *Clock {
	now := time.Now()
	return &Clock{start: now, origin: int64(now.Sub(epoch))}
}

// Now returns the time since the epoch, in nanoseconds.
func (c *Clock) Now() int64 { return c.At(time.Now()) }

// At converts a time from time.Now to nanoseconds since the epoch.
func (c *Clock) At(t time.Time) int64 { return c.origin + int64(t.Sub(c.start)) }

// Until returns the time until ns after the epoch, negative if that is past.
func (c *Clock) Until(ns int64) time.Duration { return time.Duration(ns - c.Now()) }
