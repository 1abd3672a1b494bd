package record

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
)

// Flood reports whether an attacker sends only datagrams: it makes no requests.
func (a Attack) Flood() bool { return a == HalfOpen || a == Spoofed || a == Junk }
