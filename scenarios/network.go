package scenarios

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/equic-bench/equic-bench/record"
)

// Place is where a node is in the network of a trial.
type Place struct {
	Address netip.Addr // of the server, or of a client as the server sees it
	// Other is the address of the other version of IP, if nodes have both. No node sends
	// from it unless a server answers there.
	Other netip.Addr
	// Sources are the addresses of an attacker that has several. They are used in place
	// of Address, through which the server reaches them.
	Sources record.Sources
}

// ServerPlace returns the place of the server. If there are both versions of IP, its Address is
// that of IPv4.
func (n Network) ServerPlace() Place { return n.place(serverHost, 0) }

// ListenAddress returns the address on which a foreign server listens: with both versions
// of IP, it is that of all addresses.
func (n Network) ListenAddress() netip.Addr {
	if n.Family == record.FamilyBoth {
		return netip.IPv6Unspecified()
	}
	return n.ServerAddress()
}

// ServerAddressFor returns the server's address for a client.
func (n Network) ServerAddressFor(client netip.Addr) netip.Addr {
	if client.Is6() {
		return n.host6(serverHost)
	}
	return n.host(serverHost)
}

// ClientPlace returns the place of a client, the i-th of its group. Both count from zero;
// for clients see Network.ClientAddress.
func (s *Scenario) ClientPlace(client, i int, c Clients) Place {
	p := s.Network.place(firstClientHost+client, i)
	if c.Addresses > 1 {
		p.Sources = record.Sources{Network: s.sourcesOf(client-s.Sequential.Count, p.Address.Is6()), Count: c.Addresses}
	}
	return p
}

// place returns the addresses of a host, the i-th client of its group.
func (n Network) place(number, i int) Place {
	switch {
	case n.Family == record.FamilyIPv6:
		return Place{Address: n.host6(number)}
	case n.Family != record.FamilyBoth:
		return Place{Address: n.host(number)}
	case n.Family.UsesIPv6(i):
		return Place{Address: n.host6(number), Other: n.host(number)}
	}
	return Place{Address: n.host(number), Other: n.host6(number)}
}

// host6 returns the address of a host in IPv6: the first of a /64 of its own, as a client
// in IPv6 is a /64.
func (n Network) host6(number int) netip.Addr {
	address := netip.MustParsePrefix(n.Subnet6).Addr().As16()
	binary.BigEndian.PutUint16(address[6:], uint16(number))
	address[15] = 1
	return netip.AddrFrom16(address)
}

// slices6 is the length of the network of each attacker with several addresses, in IPv6.
const slices6 = 48

// mostSlices are the most addresses that all attackers have together, in IPv4.
const mostSlices = 1 << (32 - 12)

// sourcesOf returns the network of an attacker with several addresses. Attackers count
// from zero. In IPv4 each has a slice of 10.128.0.0/12 that is large enough for the
// attacker with the most addresses; in IPv6 a /48.
func (s *Scenario) sourcesOf(attacker int, six bool) netip.Prefix {
	if six {
		all := s.Network.apart6("fd01:e9::/32", "fd02:e9::/32").Addr().As16()
		binary.BigEndian.PutUint16(all[4:], uint16(attacker))
		return netip.PrefixFrom(netip.AddrFrom16(all), slices6)
	}
	all := s.Network.apart("10.128.0.0/12", "10.144.0.0/12").Addr().As4()
	size := s.sliceBits()
	binary.BigEndian.PutUint32(all[:], binary.BigEndian.Uint32(all[:])+uint32(attacker)<<size)
	return netip.PrefixFrom(netip.AddrFrom4(all), 32-size)
}

// sliceBits returns how many bits number the addresses of one attacker.
func (s *Scenario) sliceBits() int {
	most := 1
	for _, attack := range s.Attacks() {
		most = max(most, attack.Addresses)
	}
	return bits.Len(uint(most - 1))
}

// apart returns the first of two private networks, or the second if the subnet is in the
// first.
func (n Network) apart(first, second string) netip.Prefix {
	p := netip.MustParsePrefix(first)
	if p.Overlaps(netip.MustParsePrefix(n.Subnet)) {
		return netip.MustParsePrefix(second)
	}
	return p
}

// apart6 does the same in IPv6.
func (n Network) apart6(first, second string) netip.Prefix {
	p := netip.MustParsePrefix(first)
	if p.Overlaps(netip.MustParsePrefix(n.Subnet6)) {
		return netip.MustParsePrefix(second)
	}
	return p
}

// SpoofedSources returns the private network, outside the subnets, of the sources of spoofed
// packets from a node.
func (n Network) SpoofedSources(node netip.Addr) netip.Prefix {
	if node.Is6() {
		return n.apart6("fd03:e9::/32", "fd04:e9::/32")
	}
	return n.FloodSources()
}

var uniqueLocal = netip.MustParsePrefix("fd00::/8") // RFC 4193, 3.1

// checkSubnet6 refuses IPv6 subnets that are not the scenario's own.
func (d *decoder) checkSubnet6(s *Scenario) {
	const key, example = "network.subnet6", "such as fd00:e9:1c::/48"
	at := d.key(key, "network")
	subnet, err := netip.ParsePrefix(s.Network.Subnet6)
	switch {
	case err != nil || !subnet.Addr().Is6() || subnet.Addr().Is4In6():
		d.problem(at, fmt.Sprintf("%s: %q is not an IPv6 subnet", key, s.Network.Subnet6), "write one "+example)
	case !uniqueLocal.Contains(subnet.Addr()):
		d.problem(at, fmt.Sprintf("%s: %s is not a unique local network", key, subnet), "take one from fd00::/8, "+example)
	case subnet.Bits() != 48:
		d.problem(at, fmt.Sprintf("%s: /%d is not a site's network, in which each node has a /64", key, subnet.Bits()),
			"write a /48, "+example)
	case subnet.Masked() != subnet:
		d.problem(at, fmt.Sprintf("%s: %s has host bits set", key, subnet), fmt.Sprintf("write %s", subnet.Masked()))
	}
}

// checkAddresses refuses several addresses for an attacker that does not send from
// addresses of its own, and more than there are.
func (d *decoder) checkAddresses(path string, c Clients, s *Scenario) {
	path += ".addresses"
	attackers := 0
	for _, attack := range s.Attacks() {
		attackers += attack.Count
	}
	switch most := mostSlices >> s.sliceBits(); {
	case c.Addresses <= 1:
	case c.Kind == record.Spoofed:
		d.problem(d.key(path), d.path(path)+": the kind is spoofed, which sends from random addresses", "leave it out")
	case s.Neighbour.Count > 0 && path == "clients.parallel.addresses":
		d.problem(d.key(path), d.path(path)+": a neighbour would have none of these addresses", "leave it out, or neighbour")
	case s.Network.Family.Has4() && attackers > most && 2*c.Addresses > 1<<s.sliceBits():
		d.problem(d.key(path), fmt.Sprintf("%s: a network of %d addresses for each of %d attackers is more than %d in all",
			d.path(path), 1<<s.sliceBits(), attackers, mostSlices), "write fewer addresses or attackers, or network.family: ipv6")
	}
}
