package equic

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// clientKey is the kernel's key of a client (struct key in bpf/maps.h): the first
// address of its prefix (in network order, IPv4 mapped into IPv6) and the port of the
// server (in host order).
type clientKey struct {
	Prefix [16]byte
	Port   uint16
	Zero   uint16
}

// prefixes are the lengths, in bits, of the prefixes that distinguish clients.
type prefixes struct {
	ipv4, ipv6 int
	masks      [2]mask128 // for both lengths
}

// mask128 is the mask of an IPv6 address, or of an IPv4 address mapped into IPv6.
type mask128 struct{ high, low uint64 }

func newPrefixes(ipv4, ipv6 int) prefixes {
	return prefixes{ipv4: ipv4, ipv6: ipv6, masks: [2]mask128{maskOf(mapped + ipv4), maskOf(ipv6)}}
}

func maskOf(bits int) mask128 {
	return mask128{^uint64(0) << max(0, 64-bits), ^uint64(0) << min(64, 128-bits)}
}

// mapped is the length of ::ffff:0:0/96, the prefix of IPv4 addresses mapped into IPv6.
const mapped = 96

const (
	mappedIPv4 = 0xffff              // the third 32 bits of an IPv4 address mapped into IPv6
	nat64High  = 0x0064ff9b_00000000 // of an address in nat64; its third 32 bits are zero
)

// key returns the key of the client that an address belongs to. IPv4, IPv4 mapped into
// IPv6 and IPv4 behind NAT64 give the same key. The zone is ignored. The address must
// be valid.
func (p *prefixes) key(port uint16, addr netip.Addr) clientKey {
	k := clientKey{Prefix: addr.As16(), Port: port}
	high, low := binary.BigEndian.Uint64(k.Prefix[:8]), binary.BigEndian.Uint64(k.Prefix[8:])
	mask := &p.masks[1]
	switch {
	case high == 0 && low>>32 == mappedIPv4:
		mask = &p.masks[0]
	case high == nat64High && low>>32 == 0:
		high, low = 0, low|mappedIPv4<<32
		mask = &p.masks[0]
	}
	binary.BigEndian.PutUint64(k.Prefix[:8], high&mask.high)
	binary.BigEndian.PutUint64(k.Prefix[8:], low&mask.low)
	return k
}

// nat64 is the prefix of IPv4 addresses behind NAT64 (RFC 6052, 2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// plain returns an address without its zone. An address that is IPv4 mapped into IPv6,
// or IPv4 behind NAT64, becomes IPv4.
func plain(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// prefix returns the prefix of a client.
func (p *prefixes) prefix(k clientKey) netip.Prefix {
	addr := netip.AddrFrom16(k.Prefix).Unmap()
	if addr.Is4() {
		return netip.PrefixFrom(addr, p.ipv4)
	}
	return netip.PrefixFrom(addr, p.ipv6)
}

// leastMapped is the least length of an IPv4 prefix that is given as one of IPv6.
const leastMapped = 8

// ListedPrefix returns a prefix in the form in which List.Added returns it: masked, and as IPv4
// if it is IPv4 mapped into IPv6, or IPv4 behind NAT64. It is an error if it is most of IPv4: lists
// of unrouted addresses contain ::ffff:0:0/96 and 64:ff9b::/96.
func ListedPrefix(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, fmt.Errorf("prefix %q is not valid", p)
	}
	if a := plain(p.Addr()); a.Is4() && !p.Addr().Is4() && p.Bits() >= mapped {
		in4 := netip.PrefixFrom(a, p.Bits()-mapped).Masked()
		if in4.Bits() < leastMapped {
			return p, fmt.Errorf("prefix %s would be %s: leave it out, or list that", p, in4)
		}
		p = in4
	}
	return p.Masked(), nil
}
