package equic

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Why the program ended: the keys of Stats.Packets. Each packet ends with
// exactly one reason.
const (
	PassMalformed     = "pass_malformed"      // a header is cut short or wrong
	PassNotIPv4       = "pass_not_ipv4"       // IPv6, a VLAN tag, ARP and others
	PassNotUDP        = "pass_not_udp"        // TCP, ICMP and others
	PassFragment      = "pass_fragment"       // not the first fragment: it has no UDP header
	PassOtherPort     = "pass_other_port"     // not to the server's port
	PassUnknownClient = "pass_unknown_client" // the map does not hold the client: it has no connection, or for a moment only
	PassUnderQuota    = "pass_under_quota"    // the map holds the client, with fewer connections than its quota
	DropOverQuota     = "drop_over_quota"     // the client is at its quota
)

// Reasons are all reasons, in the order of enum reason in bpf/equic.bpf.c.
func Reasons() []string {
	return []string{
		PassMalformed, PassNotIPv4, PassNotUDP, PassFragment,
		PassOtherPort, PassUnknownClient, PassUnderQuota, DropOverQuota,
	}
}

// Stats are counts of packets since Attach. Seen = Passed + Dropped.
type Stats struct {
	// Packets holds every reason, zero where no packet ended with it.
	Packets map[string]uint64
	Seen    uint64
	Passed  uint64
	Dropped uint64
}

// readStats sums the counters over the CPUs.
func readStats(packets *ebpf.Map) (Stats, error) {
	reasons := Reasons()
	s := Stats{Packets: make(map[string]uint64, len(reasons))}
	for i, reason := range reasons {
		var perCPU []uint64
		if err := packets.Lookup(uint32(i), &perCPU); err != nil {
			return Stats{}, fmt.Errorf("read packet counter %s: %w", reason, err)
		}
		for _, n := range perCPU {
			s.Packets[reason] += n
			s.Seen += n
		}
	}
	s.Dropped = s.Packets[DropOverQuota]
	s.Passed = s.Seen - s.Dropped
	return s, nil
}
