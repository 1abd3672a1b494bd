package equic

import "strings"

// The reasons for which the program ended: the keys of Stats.Packets. Each packet ends
// with exactly one reason.
const (
	PassMalformed  = "pass_malformed"  // header truncated or invalid: the stack drops it
	PassNotIP      = "pass_not_ip"     // ARP and others
	PassNotUDP     = "pass_not_udp"    // TCP, ICMP and others
	PassFragment   = "pass_fragment"   // not the first fragment: it has no UDP header
	PassIncomplete = "pass_incomplete" // as DropIncomplete, with Fragments in Options.Pass
	PassTooDeep    = "pass_too_deep"   // as DropTooDeep, with DeepHeaders in Options.Pass
	PassOtherPort  = "pass_other_port" // not to a protected port
	DropIncomplete = "drop_incomplete" // a first fragment that lacks some of the headers
	DropTooDeep    = "drop_too_deep"   // more than 2 VLAN tags or 8 IPv6 extension headers

	// For packets to a protected port.
	PassAllowed       = "pass_allowed"        // on the list Allowed
	PassNotQUIC       = "pass_not_quic"       // too short to classify (policy "new")
	PassEstablished   = "pass_established"    // it opens no connection (policy "new")
	PassUnknownClient = "pass_unknown_client" // the client has no connection
	PassUnderQuota    = "pass_under_quota"    // the client has fewer connections than its quota
	PassHandshake     = "pass_handshake"      // from a port with a handshake in progress, over quota (policy "new")
	PassUnowned       = "pass_unowned"        // over quota, but the process that counts has ended (Options.Pin)
	DropDenied        = "drop_denied"         // on the list Denied
	DropFragmented    = "drop_fragmented"     // the first of several fragments
	DropOptions       = "drop_options"        // IPv4 options
	DropOverQuota     = "drop_over_quota"     // the client is at its quota
	DropNetwork       = "drop_network"        // it opens a connection, and its network is at its quota
	DropShortInitial  = "drop_short_initial"  // an Initial in a datagram below 1200 bytes (RFC 9000, 14.1)
	DropRate          = "drop_rate"           // the client is over its rate
)

// reasons are all reasons, in the order of enum reason in bpf/maps.h. Those from
// firstOfPort on are counted by port.
var reasons = [...]string{
	PassMalformed, PassNotIP, PassNotUDP, PassFragment, PassIncomplete, PassTooDeep, PassOtherPort,
	DropIncomplete, DropTooDeep,
	PassAllowed, PassNotQUIC, PassEstablished, PassUnknownClient, PassUnderQuota, PassHandshake, PassUnowned,
	DropDenied, DropFragmented, DropOptions, DropOverQuota, DropNetwork, DropShortInitial, DropRate,
}

const firstOfPort = 9

// Reasons returns all reasons, in the order of enum reason in bpf/maps.h.
func Reasons() []string { return append([]string(nil), reasons[:]...) }

// Counts are numbers of packets. Seen = Passed + Dropped.
type Counts struct {
	Seen    uint64
	Passed  uint64
	Dropped uint64
	// Packets has an entry for every reason that can apply, zero if no packet ended
	// with it.
	Packets map[string]uint64
	// WouldDrop are the packets that passed only because of monitor mode
	// (Options.Monitor), by the reason for which they would have been dropped. They are
	// in Passed, but not in Packets.
	WouldDrop map[string]uint64
}

func newCounts() Counts {
	return Counts{Packets: make(map[string]uint64), WouldDrop: make(map[string]uint64)}
}

func (c *Counts) add(reason int, n uint64) {
	c.Packets[reasons[reason]] += n
	c.Seen += n
	if isDrop(reason) {
		c.Dropped += n
	} else {
		c.Passed += n
	}
}

// addMonitored adds packets that passed only because of monitor mode.
func (c *Counts) addMonitored(reason int, n uint64) {
	c.WouldDrop[reasons[reason]] += n
	c.Seen += n
	c.Passed += n
}

func isDrop(reason int) bool { return strings.HasPrefix(reasons[reason], "drop_") }

// Stats are the counters of a gateway since Attach.
type Stats struct {
	Counts // of all packets of the interface
	// Ports are the packets to each protected port.
	Ports map[uint16]Counts
	// Full is the number of times that there was no room for a client (ErrFull).
	Full uint64
	// HalfOpen is how many of the handshakes that Gateway.Begin counted are still in
	// progress.
	HalfOpen HalfOpen
	// HalfOpenLimit is HalfOpenLimits.Total.
	HalfOpenLimit int
	// EventsLost is the number of events that were not delivered: they were above the
	// rate limit, or the kernel's buffer or the channel had no room.
	EventsLost uint64
}
