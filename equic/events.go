package equic

import (
	"net/netip"
	"time"
)

// EventKind is what happened to a client.
type EventKind string

// The kinds of events.
const (
	// Blocked: the first packet of a client at its quota was dropped.
	Blocked EventKind = "blocked"
	// Unblocked: a client of which packets were dropped is below its quota.
	Unblocked EventKind = "unblocked"
	// RateLimited: the first packet of a client over its rate was dropped.
	RateLimited EventKind = "rate_limited"
	// RateLifted: a packet of a client that was over its rate passed again.
	RateLifted EventKind = "rate_lifted"
	// Attached: the program is attached again, or the interface was renamed. The
	// event has no client.
	Attached EventKind = "attached"
	// Detached: the program is not attached: nothing is dropped.
	Detached EventKind = "detached"
)

// Event is one change of what is done to a client's packets. Blocked comes from
// the kernel's buffer and Unblocked from Dec, so two that follow each other
// closely may arrive in the other order: go by Time. A packet that is dropped
// while a count is being written may be told of twice, or not at all.
type Event struct {
	Time   time.Time
	Kind   EventKind
	Client netip.Prefix
	Port   uint16
}
