package record

import (
	"net/netip"
	"strings"
	"testing"
)

func TestSourcesAreTakenInTurnAndEachIsAClient(t *testing.T) {
	for _, c := range []struct {
		network string
		count   int
		want    []string
	}{
		{"10.128.2.0/24", 3, []string{"10.128.2.0", "10.128.2.1", "10.128.2.2", "10.128.2.0"}},
		{"127.0.0.0/8", 1, []string{"127.0.0.0", "127.0.0.0"}},
		{"fd01:e9:3::/48", 2, []string{"fd01:e9:3::1", "fd01:e9:3:1::1", "fd01:e9:3::1"}},
	} {
		s := Sources{netip.MustParsePrefix(c.network), c.count}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", c.network, err)
		}
		for i, want := range c.want {
			if got := s.At(i).String(); got != want {
				t.Errorf("address %d of %s is %s, want %s", i, c.network, got, want)
			}
		}
	}
	last := Sources{netip.MustParsePrefix("fd01:e9:3::/48"), MostSources}.At(MostSources - 1)
	if want := "fd01:e9:3:ffff::1"; last.String() != want {
		t.Errorf("the last address is %s, want %s", last, want)
	}
}

func TestSourcesThatCannotBeAnAttackersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		network string
		count   int
		want    string
	}{
		"public":                   {"198.51.100.0/24", 2, "has public addresses"},
		"public IPv6":              {"2001:db8::/48", 2, "has public addresses"},
		"private as far as used":   {"192.168.0.0/15", 65536, ""},
		"none":                     {"10.128.0.0/24", 0, "want 1 to 65536"},
		"too many":                 {"10.0.0.0/8", 65537, "want 1 to 65536"},
		"more than there are":      {"10.128.0.0/24", 257, "10.128.0.0/24 has 256 addresses for clients, not 257"},
		"more /64s than there are": {"fd01:e9::/62", 5, "has 4 addresses for clients"},
		"less than a /64":          {"fd01:e9::/96", 1, "has 0 addresses for clients"},
		"mapped":                   {"::ffff:10.0.0.0/112", 1, "no network"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Sources{netip.MustParsePrefix(c.network), c.count}.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if err := (Sources{Count: 3}).Validate(); err == nil {
		t.Error("addresses without a network are accepted")
	}
	if err := (Sources{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestAFamilyNamesItsSocketAndItsClients(t *testing.T) {
	for name, want := range map[string]struct {
		udp     string
		clients [3]bool // by IPv6
		has     [2]bool
	}{
		"":     {"udp4", [3]bool{}, [2]bool{true, false}},
		"ipv4": {"udp4", [3]bool{}, [2]bool{true, false}},
		"ipv6": {"udp6", [3]bool{true, true, true}, [2]bool{false, true}},
		"both": {"udp", [3]bool{false, true, false}, [2]bool{true, true}},
	} {
		f, err := ParseFamily(name)
		if err != nil {
			t.Fatal(err)
		}
		got := [3]bool{f.UsesIPv6(0), f.UsesIPv6(1), f.UsesIPv6(2)}
		if f.UDP() != want.udp || got != want.clients || [2]bool{f.Has4(), f.Has6()} != want.has {
			t.Errorf("%q: %s, %v, %v, %v", name, f.UDP(), got, f.Has4(), f.Has6())
		}
	}
	if _, err := ParseFamily("ipx"); err == nil {
		t.Error("ipx is a family")
	}
}
