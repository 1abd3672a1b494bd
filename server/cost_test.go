package server

import (
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/equic/quicguard"
	"github.com/equic-bench/equic-bench/record"
)

// The clocks cost system calls, which count as the server's.
func TestTheCPUTimeOfFewRefusalsIsMeasured(t *testing.T) {
	s := &server{o: Options{Clock: record.ClockAt(time.Now())}, early: newEarlyRefusals()}
	measured := 0
	const refusals = 16_000
	for i := range refusals {
		from := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1024+i))
		first, again := s.startRefusal(from), s.startRefusal(from)
		if i >= timedFirst && first.withCPU != again.withCPU {
			t.Fatalf("port %d: of two packets of one attempt, one is measured", from.Port())
		}
		again.release()
		r := s.refusal(first, from.Addr(), stageEarly)
		first.release()
		if (r.CPUNS > 0) != first.withCPU {
			t.Fatalf("CPU time %d, measured: %v", r.CPUNS, first.withCPU)
		}
		if r.CPUNS > 0 {
			measured++
		}
		s.early.add(from, r)
	}
	if all := len(s.early.refusals()); all != refusals || measured < timedFirst || measured > refusals/12 {
		t.Errorf("%d refusals are recorded and %d measured; want %d, and about a sixteenth", all, measured, refusals)
	}
}

func TestACostOfWhichAPartWasNotMeasuredIsUnknown(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	e := newEarlyRefusals()
	for _, cpu := range []int64{4, 0, 4} {
		e.add(from, record.Refusal{WallNS: 10, CPUNS: cpu})
	}
	if got := e.refusals(); len(got) != 1 || got[0].CPUNS != 0 || got[0].WallNS != 30 {
		t.Errorf("%+v, want no CPU time and a wall time of 30", got)
	}
}

func TestAConnectionThatTheAcceptQueueRefusesIsNamed(t *testing.T) {
	full := &quic.TransportError{ErrorCode: quic.ConnectionRefused}
	if got := ending(full, false, false); got != record.RefusedByQueue {
		t.Errorf("ending %q, want %q", got, record.RefusedByQueue)
	}
	if got := ending(full, false, true); got != record.ServerStopped {
		t.Errorf("of a stopping server: ending %q, want %q", got, record.ServerStopped)
	}
	b := newBook(record.ClockAt(time.Now()))
	b.end(&connection{}, full)
	if n := b.totals().QueueFull; n != 1 || b.done[0].HandshakeNS == 0 {
		t.Errorf("%d are counted, %+v; want one, with a complete handshake", n, b.done[0])
	}
}

func TestFewAttemptsOfAClientWithoutAConnectionAreTimed(t *testing.T) {
	s := &server{
		o: Options{Clock: record.ClockAt(time.Now())}, counter: quicguard.NewUserSpace(5), early: newEarlyRefusals(),
	}
	timed := 0
	for i := range 1600 {
		clock := s.startRefusal(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1024+i)))
		clock.release()
		if clock.withCPU {
			timed++
		}
	}
	if timed < 50 || timed > 150 {
		t.Errorf("%d of 1600 attempts are timed, want one in 16", timed)
	}
}
