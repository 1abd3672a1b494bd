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

// prefixes says how long the prefixes are by which clients are told apart.
type prefixes struct{ ipv4, ipv6 int }

// key is the client that an address belongs to. IPv4 and IPv4 mapped into IPv6
// are the same, and a zone is not part of it. The address must be valid.
func (p prefixes) key(port uint16, addr netip.Addr) clientKey {
	return clientKey{Prefix: p.of(addr).Addr().As16(), Port: port}
}

// of is the prefix that an address is counted by.
func (p prefixes) of(addr netip.Addr) netip.Prefix {
	addr = plain(addr)
	// No error: the lengths are those of valid options.
	prefix, _ := addr.Prefix(p.bits(addr))
	return prefix
}

// nat64 is the prefix of IPv4 addresses behind NAT64 (RFC 6052, 2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// plain is an address without a zone, and as IPv4 if it is one that is mapped into
// IPv6 or comes from behind NAT64.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
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
