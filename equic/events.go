package equic

import (
	"net/netip"
	"time"
)

// EventKind is the kind of an event.
type EventKind string

// The kinds of events.
const (
	// Blocked: the first packet of a client at its quota was dropped.
	Blocked EventKind = "blocked"
	// Unblocked: a client whose packets were dropped is below its quota again.
	Unblocked EventKind = "unblocked"
	// RateLimited: the first packet of a client over its rate was dropped.
	RateLimited EventKind = "rate_limited"
	// RateLifted: a packet of a client that was over its rate passed again.
	RateLifted EventKind = "rate_lifted"
	// Attached: the program is attached again, or the interface was renamed. The event
	// has no client.
	Attached EventKind = "attached"
	// Detached: the program is not attached, so nothing is dropped. The event has no
	// client.
	Detached EventKind = "detached"
)

// Event is a change in how a client's packets are treated. Blocked comes from the
// kernel's buffer and Unblocked from Dec, so two events that are close in time may
// arrive in the wrong order: order them by Time. A packet that is dropped while a count
// is being written may cause two events, or none.
type Event struct {
	Time   time.Time
	Kind   EventKind
	Client netip.Prefix
	Port   uint16
}
