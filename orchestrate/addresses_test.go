package orchestrate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// in6 returns oneTrial in a network of a family.
func in6(family record.Family) *scenarios.Scenario {
	s := oneTrial(record.NoBlock)
	s.Network.Family, s.Network.Subnet6 = family, "fd00:e9:1c::/48"
	return s
}

// flag returns the value of a node's flag, or "".
func flag(n NodeSpec, name string) string {
	if i := slices.Index(n.Command, name); i >= 0 {
		return n.Command[i+1]
	}
	return ""
}

func TestEachNodeReachesTheServerByItsOwnFamily(t *testing.T) {
	const server4, server6 = "10.9.8.2:4433", "[fd00:e9:1c:2::1]:4433"
	for family, want := range map[record.Family]map[string]string{ // the server by node
		record.FamilyIPv4: {
			"server": "", "sequential-1": server4, "sequential-2": server4, "parallel-1": server4, "parallel-2": server4,
		},
		record.FamilyIPv6: {
			"server": "", "sequential-1": server6, "sequential-2": server6, "parallel-1": server6, "parallel-2": server6,
		},
		record.FamilyBoth: {
			"server": "", "sequential-1": server4, "sequential-2": server6, "parallel-1": server4, "parallel-2": server6,
		},
	} {
		t.Run(string(family), func(t *testing.T) {
			nodes := NodeSpecs(in6(family), "no-block", "/")
			got := map[string]string{}
			for _, n := range nodes {
				got[n.Name] = flag(n, "--server")
				if n.Role != results.RoleServer && n.Address.Is6() != strings.HasPrefix(got[n.Name], "[") {
					t.Errorf("%s, at %s, reaches the server at %s", n.Name, n.Address, got[n.Name])
				}
				if n.Other.IsValid() != (family == record.FamilyBoth) {
					t.Errorf("%s has another address %s", n.Name, n.Other)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			asked := string(family)
			if family == record.FamilyIPv4 {
				asked = "" // the command line of older versions
			}
			if got := flag(nodes[0], "--family"); got != asked {
				t.Errorf("the server listens on %q, want %q", got, asked)
			}
		})
	}
}

func TestANeighbourHasTheFamilyOfItsAttacker(t *testing.T) {
	s := in6(record.FamilyBoth)
	s.Neighbour = scenarios.Clients{Count: 3, Requests: 10, MaxInFlight: 1, Timeout: time.Second, KeyExchange: "x25519"}
	for _, n := range NodeSpecs(s, "no-block", "/") {
		if n.Role == results.RoleNeighbour && n.Address.Is6() != strings.HasPrefix(flag(n, "--server"), "[") {
			t.Errorf("%s, at %s, reaches the server at %s", n.Name, n.Address, flag(n, "--server"))
		}
	}
}

func TestAttackersWithSeveralAddressesAreToldThem(t *testing.T) {
	for kind, program := range map[record.Attack]string{record.Requests: "/equic-client", record.HalfOpen: "/equic-flood"} {
		s := in6(record.FamilyBoth)
		s.Parallel.Kind, s.Parallel.Addresses = kind, 50
		nodes := specBuilder{scenario: s, bin: "/", wholeFrames: true}.nodes("no-block")
		for name, network := range map[string]string{"parallel-1": "10.128.0.0/26", "parallel-2": "fd01:e9:1::/48"} {
			i := slices.IndexFunc(nodes, func(n NodeSpec) bool { return n.Name == name })
			n := nodes[i]
			if flag(n, "--sources") != network || flag(n, "--addresses") != "50" || !slices.Contains(n.Command, program) ||
				n.Addresses.Network.String() != network || n.Addresses.Count != 50 {
				t.Errorf("%s: %s with %+v", name, n.Command, n.Addresses)
			}
		}
	}
}

func TestTheSourcesOfSpoofedPacketsHaveTheFamilyOfTheirNode(t *testing.T) {
	s := in6(record.FamilyBoth)
	s.Parallel.Kind = record.Spoofed
	got := map[string]string{}
	for _, n := range (specBuilder{scenario: s, bin: "/", wholeFrames: true}).nodes("no-block") {
		if n.Flood {
			got[n.Name] = flag(n, "--sources")
		}
	}
	want := map[string]string{"parallel-1": "10.192.0.0/12", "parallel-2": "fd03:e9::/32"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatNodesOfARuntimeCannotHaveIsRefused(t *testing.T) {
	several := func(s *scenarios.Scenario) { s.Parallel.Addresses = 50 }
	for name, c := range map[string]struct {
		family record.Family
		change func(*scenarios.Scenario)
		says   string
	}{
		"IPv6":              {record.FamilyIPv6, func(*scenarios.Scenario) {}, "network.family: ipv6 needs"},
		"both":              {record.FamilyBoth, func(*scenarios.Scenario) {}, "network.family: both needs"},
		"several addresses": {record.FamilyIPv4, several, "addresses needs nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := in6(c.family)
			c.change(s)
			rt := newFake(s)
			_, err := Run(t.Context(), s, rt, testOptions(t))
			if !errors.Is(err, ErrRuntime) || !strings.Contains(err.Error(), c.says) ||
				!strings.Contains(err.Error(), "run with --runtime netns") || rt.opened > 0 {
				t.Errorf("error %v, %d trials", err, rt.opened)
			}
			if err := checkRuntime(s, Platform{IPv6: true, SeveralAddresses: true}); err != nil {
				t.Errorf("a runtime that can: %v", err)
			}
		})
	}
}

func TestTheManifestHasTheNetworkUnlessItIsIPv4(t *testing.T) {
	for family, want := range map[record.Family][]string{
		record.FamilyIPv4: nil,
		record.FamilyIPv6: {"fd00:e9:1c::/48"},
		record.FamilyBoth: {"10.9.8.0/24", "fd00:e9:1c::/48"},
	} {
		s := in6(family)
		s.Parallel.Addresses = 50
		e := experiment(s)
		if !slices.Equal(e.Subnets, want) || e.Parallel.Addresses != 50 || e.Sequential.Addresses != 0 {
			t.Errorf("%s: %+v", family, e)
		}
		if family == record.FamilyIPv4 {
			family = "" // as in older runs
		}
		if e.Family != family {
			t.Errorf("family %q, want %q", e.Family, family)
		}
	}
	if s := saturatingScenario(in6(record.FamilyIPv6)); s.Parallel.Addresses > 1 {
		t.Error("the capacity is measured with several addresses, so without a client over its quota")
	}
}

func TestASpecHasTheSubnetsAndTargetsOfItsNodes(t *testing.T) {
	for family, want := range map[record.Family]string{
		record.FamilyIPv4: "invalid Prefix", record.FamilyIPv6: "fd00:e9:1c::/48", record.FamilyBoth: "fd00:e9:1c::/48",
	} {
		s := in6(family)
		s.Parallel.Kind = record.Junk
		spec, err := newSpec(s, "run", results.PlannedTrial{Variant: "no-block"}, 1, time.Now(), Platform{BinDir: "/"})
		testkit.Must(t, err)
		if got := spec.Subnet6.String(); got != want {
			t.Errorf("%s: subnet %s, want %s", family, got, want)
		}
		for _, n := range spec.Nodes {
			target := record.EnvFloodTarget + "=" + serverPortFor(s, n.Address)
			if n.Flood != slices.Contains(n.Env, target) {
				t.Errorf("%s: environment %s, want %s", n.Name, n.Env, target)
			}
		}
	}
}
