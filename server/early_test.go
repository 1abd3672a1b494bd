package server

import (
	"net/netip"
	"testing"

	"github.com/equic-bench/equic-bench/record"
)

func TestEarlyRefusalsCountAttemptsNotPackets(t *testing.T) {
	a := netip.MustParseAddrPort("192.0.2.1:1000")
	b := netip.MustParseAddrPort("192.0.2.1:1001")
	e := newEarlyRefusals()
	for _, r := range []struct {
		from netip.AddrPort
		atNS int64
	}{{a, 0}, {a, 1e6}, {b, 2e6}, {a, 50e6}, {a, int64(sameAttempt)}} {
		e.add(r.from, record.Refusal{AtNS: r.atNS, WallNS: 10, CPUNS: 4})
	}
	got := e.refusals()
	if len(got) != 3 {
		t.Fatalf("%d refusals; want 3: one per port, and one for the port used again", len(got))
	}
	if got[0].WallNS != 30 || got[0].CPUNS != 12 {
		t.Errorf("cost %d and %d ns; want the sum over three packets, 30 and 12", got[0].WallNS, got[0].CPUNS)
	}
}
