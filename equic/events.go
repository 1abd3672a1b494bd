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
	// RateLifted: a packet of a client that was over its rate passed again. There is no such
	// event if, in the meantime, another client took the bucket of tokens that was the
	// client's. A client that shares a bucket has no events of its rate.
	RateLifted EventKind = "rate_lifted"
	// Attached: the program is attached again, or the interface was renamed. The event
	// has no client.
	Attached EventKind = "attached"
	// Detached: the program is not attached to an interface, so nothing is dropped there.
	// The event has no client.
	Detached EventKind = "detached"
	// Sampled: a packet was dropped, or would have been in monitor mode. Not every drop is
	// an event: see Options.SamplesPerSecond.
	Sampled EventKind = "sample"
)

// Event is a change in how a client's packets are treated. Blocked comes from the
// kernel's buffer and Unblocked from Dec, so two events that are close in time may
// arrive in the wrong order: order them by Time. A packet that is dropped while a count
// is being written may cause two events, or none.
type Event struct {
	Time   time.Time
	Kind   EventKind
	Client netip.Prefix // of a sample: the address
	Port   uint16
	// Interface is set for Attached and Detached, Sample for Sampled.
	Interface string
	Sample    *Sample
}

// Sample is a dropped packet.
type Sample struct {
	Reason string // a key of Stats.Packets
	Source netip.AddrPort
	Bytes  int // of the datagram; zero if the program did not read that far
}
