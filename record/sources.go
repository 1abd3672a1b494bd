package record

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// MostSources is the most addresses from which one attacker sends.
const MostSources = 65536

// Sources are the addresses of an attacker that has more than one: the first Count of a
// network that belongs to it, each a client of its own. In IPv6 a client is a /64
// (equic.DefaultIPv6Prefix), so each address is the first of another /64. The zero value
// means that the attacker sends from the address of its node.
type Sources struct {
	Network netip.Prefix
	Count   int
}

// Given reports whether there are any.
func (s Sources) Given() bool { return s.Count > 0 || s.Network.IsValid() }

// Validate returns an error unless all addresses are in the network, and are private,
// unique local or loopback addresses.
func (s Sources) Validate() error {
	switch {
	case !s.Given():
		return nil
	case !s.Network.IsValid() || s.Network.Addr().Is4In6():
		return fmt.Errorf("no network for %d addresses: give one such as 10.128.0.0/16", s.Count)
	case s.Count < 1 || s.Count > MostSources:
		return fmt.Errorf("%d addresses of %s: want 1 to %d", s.Count, s.Network, MostSources)
	case s.Count > s.room():
		return fmt.Errorf("%s has %d addresses for clients, not %d", s.Network, s.room(), s.Count)
	}
	for _, a := range []netip.Addr{s.At(0), s.At(s.Count - 1)} {
		if !a.IsPrivate() && !a.IsLoopback() {
			return fmt.Errorf("%s has public addresses: an attacker sends only from private ones", s.Network)
		}
	}
	return nil
}

// room returns how many clients have an address in the network, at most MostSources.
func (s Sources) room() int {
	bits := 64 - s.Network.Bits()
	if s.Network.Addr().Is4() {
		bits = 32 - s.Network.Bits()
	}
	switch {
	case bits < 0:
		return 0
	case bits >= 16:
		return MostSources
	}
	return 1 << bits
}

// At returns the address of request or datagram i, from zero: all of them in turn.
func (s Sources) At(i int) netip.Addr {
	first, number := s.Network.Masked().Addr(), i%s.Count
	if first.Is4() {
		b := first.As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(number))
		return netip.AddrFrom4(b)
	}
	b := first.As16()
	binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])+uint64(number))
	b[15] = 1
	return netip.AddrFrom16(b)
}
