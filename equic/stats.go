package equic

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Why the program ended: the keys of Stats.Packets. Each packet ends with
// exactly one reason.
const (
	PassMalformed = "pass_malformed"  // a header is cut short or wrong
	PassNotIP     = "pass_not_ip"     // ARP and others
	PassNotUDP    = "pass_not_udp"    // TCP, ICMP and others
	PassFragment  = "pass_fragment"   // not the first fragment: it has no UDP header
	PassTooDeep   = "pass_too_deep"   // more than 2 VLAN tags or 8 IPv6 extension headers
	PassOtherPort = "pass_other_port" // not to a protected port

	// Of packets to a protected port.
	PassAllowed       = "pass_allowed"        // on the list Allowed
	PassNotQUIC       = "pass_not_quic"       // too short to tell what it is (policy "new")
	PassEstablished   = "pass_established"    // it opens no connection (policy "new")
	PassUnknownClient = "pass_unknown_client" // the map lacks the client: it has no connection, or only just
	PassUnderQuota    = "pass_under_quota"    // the map holds the client, with fewer connections than its quota
	DropDenied        = "drop_denied"         // on the list Denied
	DropOverQuota     = "drop_over_quota"     // the client is at its quota
	DropShortInitial  = "drop_short_initial"  // an Initial in a datagram below 1200 bytes (RFC 9000, 14.1)
	DropRate          = "drop_rate"           // the client opens connections faster than its rate
)

// reasons are all reasons, in the order of enum reason in bpf/equic.bpf.c;
// those from firstOfPort on are counted by port, those from firstDrop on are
// drops.
var reasons = [...]string{
	PassMalformed, PassNotIP, PassNotUDP, PassFragment, PassTooDeep, PassOtherPort,
	PassAllowed, PassNotQUIC, PassEstablished, PassUnknownClient, PassUnderQuota,
	DropDenied, DropOverQuota, DropShortInitial, DropRate,
}

const (
	firstOfPort = 6
	firstDrop   = 11
)

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
	if reason >= firstDrop {
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
	// FullMap is how many times a client reached its quota (or changed its
	// count there) while the kernel's map was full. Most were an ErrFull of Inc.
	FullMap uint64
	// EventsLost is how many events were not delivered: above the rate limit,
	// or with no room in the kernel's buffer or in the channel.
	EventsLost uint64
}

// perCPU is one value of a map that has one for each CPU, summed.
func perCPU(m *ebpf.Map, index uint32) (uint64, error) {
	var values []uint64
	if err := m.Lookup(index, &values); err != nil {
		return 0, err
	}
	var sum uint64
	for _, n := range values {
		sum += n
	}
	return sum, nil
}

// readStats sums the counters over the CPUs. Port i of ports is application
// i + 1; application 0 has the packets to none.
func readStats(packets, eventsLost *ebpf.Map, ports []Port) (Stats, error) {
	s := Stats{
		Counts: Counts{Packets: make(map[string]uint64, len(reasons))},
		Ports:  make(map[uint16]Counts, len(ports)),
	}
	for application := range len(ports) + 1 {
		of := Counts{Packets: make(map[string]uint64, len(reasons)-firstOfPort)}
		from, to := firstOfPort, len(reasons)
		if application == 0 {
			from, to = 0, firstOfPort
		}
		for reason := from; reason < to; reason++ {
			n, err := perCPU(packets, uint32(application*len(reasons)+reason))
			if err != nil {
				return Stats{}, fmt.Errorf("read packet counter %s: %w", reasons[reason], err)
			}
			of.add(reason, n)
			s.add(reason, n)
		}
		if application > 0 {
			s.Ports[ports[application-1].Number] = of
		}
	}
	for i := range eventsLost.MaxEntries() {
		n, err := perCPU(eventsLost, i)
		if err != nil {
			return Stats{}, fmt.Errorf("read the count of lost events: %w", err)
		}
		s.EventsLost += n
	}
	return s, nil
}
