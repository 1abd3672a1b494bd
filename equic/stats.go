package equic

import "strings"

// Why the program ended: the keys of Stats.Packets. Each packet ends with
// exactly one reason.
const (
	PassMalformed  = "pass_malformed"  // a header is cut short or wrong: the stack drops it
	PassNotIP      = "pass_not_ip"     // ARP and others
	PassNotUDP     = "pass_not_udp"    // TCP, ICMP and others
	PassFragment   = "pass_fragment"   // not the first fragment: it has no UDP header
	PassIncomplete = "pass_incomplete" // as DropIncomplete, with Fragments in Options.Pass
	PassTooDeep    = "pass_too_deep"   // as DropTooDeep, with DeepHeaders in Options.Pass
	PassOtherPort  = "pass_other_port" // not to a protected port
	DropIncomplete = "drop_incomplete" // a first fragment that does not have all headers
	DropTooDeep    = "drop_too_deep"   // more than 2 VLAN tags or 8 IPv6 extension headers

	// Of packets to a protected port.
	PassAllowed       = "pass_allowed"        // on the list Allowed
	PassNotQUIC       = "pass_not_quic"       // too short to tell what it is (policy "new")
	PassEstablished   = "pass_established"    // it opens no connection (policy "new")
	PassUnknownClient = "pass_unknown_client" // the client has no connection
	PassUnderQuota    = "pass_under_quota"    // the client has fewer connections than its quota
	PassHandshake     = "pass_handshake"      // of a client at its quota, from a port with a handshake in progress (policy "new")
	DropDenied        = "drop_denied"         // on the list Denied
	DropFragmented    = "drop_fragmented"     // the first of several fragments
	DropOptions       = "drop_options"        // IPv4 options
	DropOverQuota     = "drop_over_quota"     // the client is at its quota
	DropShortInitial  = "drop_short_initial"  // an Initial in a datagram below 1200 bytes (RFC 9000, 14.1)
	DropRate          = "drop_rate"           // the client opens connections faster than its rate
)

// reasons are all reasons, in the order of enum reason in bpf/equic.bpf.c;
// those from firstOfPort on are counted by port.
var reasons = [...]string{
	PassMalformed, PassNotIP, PassNotUDP, PassFragment, PassIncomplete, PassTooDeep, PassOtherPort,
	DropIncomplete, DropTooDeep,
	PassAllowed, PassNotQUIC, PassEstablished, PassUnknownClient, PassUnderQuota, PassHandshake,
	DropDenied, DropFragmented, DropOptions, DropOverQuota, DropShortInitial, DropRate,
}

const firstOfPort = 9

// Reasons are all reasons, in the order in which a packet meets them.
func Reasons() []string { return append([]string(nil), reasons[:]...) }

// Counts are packets. Seen = Passed + Dropped.
type Counts struct {
	Seen    uint64
	Passed  uint64
	Dropped uint64
	// Packets holds every reason that can apply, zero where no packet ended
	// with it.
	Packets map[string]uint64
}

func (c *Counts) add(reason int, n uint64) {
	c.Packets[reasons[reason]] += n
	c.Seen += n
	if strings.HasPrefix(reasons[reason], "drop_") {
		c.Dropped += n
	} else {
		c.Passed += n
	}
}

// Stats say what a gateway did since Attach.
type Stats struct {
	Counts // of all packets of the interface
	// Ports are the packets to each protected port.
	Ports map[uint16]Counts
	// Full is how many times there was no place for a client: ErrFull.
	Full uint64
	// HalfOpen is what is in progress of Gateway.Begin.
	HalfOpen HalfOpen
	// EventsLost is how many events were not delivered: above the rate limit,
	// or with no room in the kernel's buffer or in the channel.
	EventsLost uint64
}
