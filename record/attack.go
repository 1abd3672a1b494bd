package record

// Attack is what an attacker does (docs/method.md, Load). An empty one is Requests.
type Attack string

// The kinds of attack.
const (
	Requests Attack = "requests" // connects, requests, closes: the paper's
	Hold     Attack = "hold"     // and keeps the connection open for a while
	// HalfOpen is an Initial of QUIC version 1 with a whole ClientHello, from the
	// node's own address; then silence.
	HalfOpen Attack = "half-open"
	Spoofed  Attack = "spoofed" // the same from random addresses
	Junk     Attack = "junk"    // datagrams that are not QUIC, from the node's own address
)

// Flood reports whether an attacker sends datagrams only: it makes no request.
func (a Attack) Flood() bool { return a == HalfOpen || a == Spoofed || a == Junk }
