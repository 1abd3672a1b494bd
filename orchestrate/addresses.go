package orchestrate

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/scenarios"
)

// subnet6Of returns the subnet of the nodes in IPv6; it is not valid if they have no address
// in it.
func subnet6Of(s *scenarios.Scenario) (netip.Prefix, error) {
	if !s.Network.Family.Has6() {
		return netip.Prefix{}, nil
	}
	subnet, err := netip.ParsePrefix(s.Network.Subnet6)
	if err != nil {
		return subnet, fmt.Errorf("network.subnet6: %w", err)
	}
	return subnet.Masked(), nil
}

// serverPortFor returns the address and port at which a client reaches the server.
func serverPortFor(s *scenarios.Scenario, client netip.Addr) string {
	return netip.AddrPortFrom(s.Network.ServerAddressFor(client), uint16(s.Network.Port)).String()
}

// familyFlag returns the server's flag for the version of IP. IPv4 is its default.
func familyFlag(s *scenarios.Scenario) []string {
	if !s.Network.Family.Has6() {
		return nil
	}
	return []string{"--family", string(s.Network.Family)}
}

// sourcesFlags returns the flags of an attacker with several addresses.
func sourcesFlags(at scenarios.Place) []string {
	if !at.Sources.Given() {
		return nil
	}
	return []string{"--sources", at.Sources.Network.String(), "--addresses", strconv.Itoa(at.Sources.Count)}
}

// checkAddresses refuses IPv6, and several addresses for an attacker, if nodes of the runtime
// cannot have them.
func checkAddresses(s *scenarios.Scenario, p Platform) error {
	if s.Network.Family.Has6() && !p.IPv6 {
		return fmt.Errorf("%w: network.family: %s needs nodes with IPv6 addresses, which those of the runtime %s do not have "+
			"on this machine: run with --runtime netns, on a kernel with IPv6, or write network.family: ipv4",
			ErrRuntime, s.Network.Family, p.Runtime.Name)
	}
	several := func(attack scenarios.Clients) bool { return attack.Addresses > 1 }
	if slices.ContainsFunc(s.Attacks(), several) && !p.SeveralAddresses {
		return fmt.Errorf("%w: addresses needs nodes that can have a network of addresses, and each node of the runtime %s has "+
			"one of its own: run with --runtime netns, or leave addresses out", ErrRuntime, p.Runtime.Name)
	}
	return nil
}

// family returns the network of a scenario as the manifest has it: nothing for IPv4 alone, as
// in older runs.
func family(n scenarios.Network) (record.Family, []string) {
	switch n.Family {
	case record.FamilyIPv6:
		return n.Family, []string{n.Subnet6}
	case record.FamilyBoth:
		return n.Family, []string{n.Subnet, n.Subnet6}
	}
	return "", nil
}
