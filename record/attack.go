package record

import "slices"

// Attack is the kind of load of an attacker (docs/method.md, Load). Empty is Requests.
type Attack string

// The kinds of attack.
const (
	Requests Attack = "requests" // connects, requests, closes, as in the paper
	Hold     Attack = "hold"     // the same, but keeps the connection open for a while
	// HalfOpen sends an Initial of QUIC version 1 with a whole ClientHello, from the
	// node's own address, and nothing after it.
	HalfOpen Attack = "half-open"
	Spoofed  Attack = "spoofed" // the same from random addresses
	Junk     Attack = "junk"    // datagrams that are not QUIC, from the node's own address
	// Short sends what would be an Initial if its datagram were not too short for one, from
	// the node's own address.
	Short Attack = "short"
)

// Flood reports whether an attacker sends only datagrams: it makes no requests.
func (a Attack) Flood() bool { return slices.Contains(Floods, a) }

// Floods are the kinds that send only datagrams.
var Floods = []Attack{HalfOpen, Spoofed, Junk, Short}
