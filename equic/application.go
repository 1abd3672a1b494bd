package equic

import (
	"context"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// InApplication is the mode of an Application.
const InApplication Mode = "app-drop"

// Application drops datagrams in the server itself, before QUIC reads them. That is the
// last place to drop them, and the only one that needs no kernel support. It gives a
// datagram the same verdict as a Gateway, but has no lists and no rate limits. Its
// methods may be called from any goroutine.
type Application struct {
	*UserSpace
	policy  Policy
	packets map[string]*atomic.Uint64 // by reason
}

// NewApplication makes an Application that admits quota connections per client and
// port.
func NewApplication(quota int, policy Policy) *Application {
	a := &Application{UserSpace: NewUserSpace(quota), policy: policy, packets: map[string]*atomic.Uint64{}}
	a.clients.limits[0].admission = policy == PolicyNew
	for _, reason := range []string{
		PassNotQUIC, PassEstablished, PassUnknownClient, PassUnderQuota, PassHandshake, DropOverQuota, DropShortInitial,
	} {
		a.packets[reason] = new(atomic.Uint64)
	}
	return a
}

// Drop counts a datagram to a port, and reports whether to drop it.
func (a *Application) Drop(port uint16, from netip.AddrPort, datagram []byte) bool {
	reason := a.judge(port, from, datagram)
	a.packets[reason].Add(1)
	return reason == DropOverQuota || reason == DropShortInitial
}

// judge returns the reason for the verdict on a datagram, as bpf/verdict.h does.
func (a *Application) judge(port uint16, from netip.AddrPort, datagram []byte) string {
	kind := kindOf(datagram)
	switch {
	case a.policy == PolicyNew && kind == kindEstablished:
		return PassEstablished
	case a.policy == PolicyNew && kind == kindUnreadable:
		return PassNotQUIC
	case (kind == kindInitial || kind == kindToken) && len(datagram) < quicMinInitialBytes:
		return DropShortInitial
	}
	for {
		s, state := a.clients.seen(port, from.Addr())
		if s == nil {
			return PassUnknownClient
		}
		connections, ports := uint32(state), uint32(state>>portsShift)&(1<<portBits-1)
		switch {
		case connections < a.clients.limits[0].quota.Load():
			return PassUnderQuota
		case a.policy == PolicyNew && (kind == kindToken || kind == kind0RTT) && ports&portBit(from.Port()) != 0:
			return PassHandshake
		}
		// As the kernel does, it marks a client of which it drops a packet.
		if state>>droppedShift != 0 || s.state.CompareAndSwap(state, state|1<<droppedShift) {
			return DropOverQuota
		}
	}
}

// seen returns the slot of a client and its state, or nil if it has none. Like the kernel, it
// takes no lock.
func (t *table) seen(port uint16, addr netip.Addr) (*slot, uint64) {
	if !addr.IsValid() {
		return nil, 0
	}
	var p place
	t.locate(&p, t.prefixes.key(port, addr))
	for index := t.find(p.hash); index >= 0; index = t.find(p.hash) {
		s := t.slot(index)
		if state := s.state.Load(); s.hash.Load() == p.hash { // else it has been moved
			return s, state
		}
	}
	return nil, 0
}

// Stats returns the counts of the datagrams that were passed to Drop. The error is always
// nil.
func (a *Application) Stats() (Stats, error) {
	s := Stats{
		Counts: newCounts(), Full: a.clients.full.Load(),
		HalfOpen: a.HalfOpen(), HalfOpenLimit: a.clients.halfOpen.Total,
	}
	for _, reason := range slices.Sorted(maps.Keys(a.packets)) {
		s.add(slices.Index(reasons[:], reason), a.packets[reason].Load())
	}
	return s, nil
}

// Mode returns InApplication.
func (*Application) Mode() Mode { return InApplication }

// Close does nothing.
func (*Application) Close() error { return nil }

// MeasureDrop times the verdict on a datagram of a client over its quota, in short
// bursts, with a table of its own. There is no empty program to compare with.
func (a *Application) MeasureDrop(ctx context.Context) (DropCost, error) {
	const port = 443
	own, datagram := NewApplication(1, a.policy), openingDatagram()
	from := netip.MustParseAddrPort("192.0.2.1:50000") // RFC 5737: for documentation
	if _, err := own.TryInc(port, from.Addr()); err != nil {
		return DropCost{}, err
	}
	times := make([]float64, bursts)
	for i := range times {
		if err := ctx.Err(); err != nil {
			return DropCost{}, err
		}
		start := time.Now()
		for range runsPerBurst {
			own.Drop(port, from, datagram)
		}
		times[i] = float64(time.Since(start).Nanoseconds()) / runsPerBurst
	}
	return DropCost{DropNS: median(times)}, nil
}

// kind is the kind of a datagram's first QUIC packet (enum kind in bpf/verdict.h).
type kind int

const (
	kindUnreadable kind = iota
	kindEstablished
	kind0RTT
	kindToken
	kindInitial
	kindOpening
)

// QUIC: RFC 8999 (any version), RFC 9000 (1), RFC 9369 (2).
const (
	quicLongHeader      = 0x80
	quicFixedBit        = 0x40
	quicVersion1        = 0x00000001
	quicVersion2        = 0x6b3343cf
	quicTypeInitial     = 0
	quicType0RTT        = 1
	quicMinInitialBytes = 1200 // of a datagram with an Initial (RFC 9000, 14.1)
	quicMinClientChosen = 8    // bytes of a connection ID (RFC 9000, 7.2)
	quicMaxID           = 20
	longHeaderStart     = 6 // bytes
)

func kindOf(datagram []byte) kind {
	if len(datagram) < 1 {
		return kindUnreadable
	}
	first := datagram[0]
	if first&quicLongHeader == 0 {
		return kindEstablished
	}
	if len(datagram) < longHeaderStart {
		return kindUnreadable
	}
	form := first >> 4 & 3
	switch binary.BigEndian.Uint32(datagram[1:]) {
	case 0: // version negotiation
		return kindEstablished
	case quicVersion1:
	case quicVersion2:
		form = (form + 3) & 3
	default:
		if first&quicFixedBit != 0 {
			return kindOpening
		}
		return kindEstablished
	}
	switch form {
	case quicTypeInitial:
		return kindOfInitial(datagram)
	case quicType0RTT:
		return kind0RTT
	}
	return kindEstablished
}

// kindOfInitial distinguishes an Initial that opens a connection from one of a
// handshake in progress, by the connection ID (RFC 9000, 7.2 and 17.2.5).
func kindOfInitial(datagram []byte) kind {
	id := int(datagram[longHeaderStart-1])
	if id >= quicMinClientChosen {
		return kindInitial
	}
	at := longHeaderStart + id
	if at >= len(datagram) || datagram[at] > quicMaxID {
		return kindEstablished
	}
	at += 1 + int(datagram[at])
	if at >= len(datagram) || datagram[at] == 0 {
		return kindEstablished
	}
	return kindToken
}
