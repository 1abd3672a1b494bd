package equic

import "net/netip"

// clientKey is the kernel's key of a client (struct key in bpf/equic.bpf.c):
// the first address of its prefix, IPv4 mapped into IPv6, in network order, and
// the port that it is a client of, in host order.
type clientKey struct {
	Prefix [16]byte
	Port   uint16
	Zero   uint16
}

// clientValue is the kernel's value of a client (struct client).
type clientValue struct {
	Connections uint32
	Dropped     uint32 // one from the first dropped packet on
}

// prefixes says how long the prefixes are by which clients are told apart.
type prefixes struct{ ipv4, ipv6 int }

// key is the client that an address belongs to. IPv4 and IPv4 mapped into IPv6
// are the same, and a zone is not part of it. The address must be valid.
func (p prefixes) key(port uint16, addr netip.Addr) clientKey {
	return clientKey{Prefix: p.of(addr).Addr().As16(), Port: port}
}

// of is the prefix that an address is counted by.
func (p prefixes) of(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	// No error: the lengths are those of valid options.
	prefix, _ := addr.Prefix(p.bits(addr))
	return prefix
}

func (p prefixes) bits(addr netip.Addr) int {
	if addr.Is4() {
		return p.ipv4
	}
	return p.ipv6
}

// prefix is the prefix of a client, as of returned it.
func (p prefixes) prefix(k clientKey) netip.Prefix {
	addr := netip.AddrFrom16(k.Prefix).Unmap()
	return netip.PrefixFrom(addr, p.bits(addr))
}
