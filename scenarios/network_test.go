package scenarios

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
)

// networked is a scenario with two honest clients and two attackers.
const networked = `name: networked
clients:
  sequential: {count: 2, requests: 40, rate: 10/s}
  parallel: {count: 2, addresses: 3, requests: 30, rate: 10/s, delay: 1s}
network: {family: FAMILY}
`

func parseNetworked(t *testing.T, family record.Family) *Scenario {
	t.Helper()
	s, err := Parse("x.yaml", []byte(strings.Replace(networked, "FAMILY", string(family), 1)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryNodeHasAnAddressOfEachFamilyOfItsOwn(t *testing.T) {
	const none = "invalid IP"
	for family, want := range map[record.Family]struct {
		server, other string
		clients       [4]string // the other address behind a blank
		sources       [2]string
	}{
		record.FamilyIPv4: {
			"172.31.99.2", none,
			[4]string{"172.31.99.11 " + none, "172.31.99.12 " + none, "172.31.99.13 " + none, "172.31.99.14 " + none},
			[2]string{"10.128.0.0/30", "10.128.0.4/30"},
		},
		record.FamilyIPv6: {
			"fd00:e9:1c:2::1", none,
			[4]string{
				"fd00:e9:1c:b::1 " + none, "fd00:e9:1c:c::1 " + none, "fd00:e9:1c:d::1 " + none,
				"fd00:e9:1c:e::1 " + none,
			},
			[2]string{"fd01:e9::/48", "fd01:e9:1::/48"},
		},
		record.FamilyBoth: {
			"172.31.99.2", "fd00:e9:1c:2::1",
			[4]string{
				"172.31.99.11 fd00:e9:1c:b::1", "fd00:e9:1c:c::1 172.31.99.12", "172.31.99.13 fd00:e9:1c:d::1",
				"fd00:e9:1c:e::1 172.31.99.14",
			},
			[2]string{"10.128.0.0/30", "fd01:e9:1::/48"},
		},
	} {
		t.Run(string(family), func(t *testing.T) {
			s := parseNetworked(t, family)
			if p := s.Network.ServerPlace(); p.Address.String() != want.server || p.Other.String() != want.other {
				t.Errorf("the server is at %+v", p)
			}
			for i, address := range want.clients {
				group := s.Sequential
				if i >= 2 {
					group = s.Parallel
				}
				p := s.ClientPlace(i, i%2, group)
				if got := fmt.Sprint(p.Address, " ", p.Other); got != address {
					t.Errorf("client %d is at %s, want %s", i, got, address)
				}
				switch {
				case i < 2 && p.Sources.Given():
					t.Errorf("an honest client has %+v", p.Sources)
				case i >= 2 && (p.Sources.Network.String() != want.sources[i-2] || p.Sources.Count != 3):
					t.Errorf("attacker %d has %+v, want 3 of %s", i-1, p.Sources, want.sources[i-2])
				}
				if err := p.Sources.Validate(); err != nil {
					t.Error(err)
				}
				if server := s.Network.ServerAddressFor(p.Address); server.Is4() != p.Address.Is4() {
					t.Errorf("client %s reaches the server at %s", p.Address, server)
				}
			}
		})
	}
}

func TestTheNetworksOfAScenarioAreApart(t *testing.T) {
	for _, n := range []Network{
		{Subnet: "172.31.99.0/24", Subnet6: "fd00:e9:1c::/48"},
		{Subnet: "10.128.3.0/24", Subnet6: "fd01:e9:1c::/48"},
		{Subnet: "10.192.3.0/24", Subnet6: "fd03:e9:1c::/48"},
		{Subnet: "10.144.3.0/24", Subnet6: "fd02:e9:1c::/48"},
	} {
		s := &Scenario{Network: n, Parallel: Clients{Count: 16, Addresses: record.MostSources}}
		all := []netip.Prefix{netip.MustParsePrefix(n.Subnet), netip.MustParsePrefix(n.Subnet6)}
		for _, six := range []bool{false, true} {
			node := netip.IPv4Unspecified()
			if six {
				node = netip.IPv6Unspecified()
			}
			all = append(all, n.SpoofedSources(node))
			for i := range 16 {
				all = append(all, s.sourcesOf(i, six))
			}
		}
		for i, a := range all {
			if !a.Addr().IsPrivate() {
				t.Errorf("%s is public", a)
			}
			for _, b := range all[:i] {
				if a.Overlaps(b) {
					t.Errorf("%s overlaps with %s", a, b)
				}
			}
		}
	}
}

func TestAForeignServerListensWhereItsClientsAre(t *testing.T) {
	for family, want := range map[record.Family]string{
		"": "172.31.99.2", record.FamilyIPv6: "fd00:e9:1c:2::1", record.FamilyBoth: "::",
	} {
		n := Network{Family: family, Subnet: "172.31.99.0/24", Subnet6: "fd00:e9:1c::/48"}
		if got := n.ListenAddress().String(); got != want {
			t.Errorf("%s: %s, want %s", family, got, want)
		}
	}
}
