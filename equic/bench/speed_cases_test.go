package bench

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

const (
	stranger = "198.51.100.1"
	under    = "198.51.100.2"
	under6   = "2001:db8:0:1::1"
	over     = "198.51.100.4"
	over6    = "2001:db8::1"

	// The limits of equic.Options.
	minRate           = 0.001
	maxRate, maxBurst = 1e6, 1e6

	establishedCase = "established flow, client under quota"
	dropCase        = "Initial, client over quota: drop"

	hotClients = 4 // in the map while one packet is repeated
	manyRoom   = 1 << 16
)

// dropsNone and drop are the verdicts if all programs agree. dropsOurs is for a packet
// that Algorithm 1 does not read.
var (
	dropsNone = [columns]bool{}
	dropsAll  = [columns]bool{algorithm1: true, clockless: true, oursClient: true, oursNew: true}
	dropsOurs = [columns]bool{oursClient: true, oursNew: true}

	goalsEstablished = [columns]float64{oursClient: goalAny, oursNew: goalEstablished}
	goalsDrop        = [columns]float64{oursClient: goalDrop, oursNew: goalDrop}
	goalsAny         = [columns]float64{oursClient: goalAny, oursNew: goalAny}
	goalsMany        = [columns]float64{oursClient: goalMany, oursNew: goalMany}
	goalsFlood       = [columns]float64{oursClient: goalFlood, oursNew: goalFlood}
)

// measureUnprivileged measures the program as the verifier accepts it without CAP_PERFMON.
func measureUnprivileged(t *testing.T, table *speedTable) {
	t.Helper()
	s := newStageBy(t, attachWithoutPerfmon, manyRoom, equic.Port{})
	s.put(t, speedQuota-1, netip.MustParseAddr(under))
	s.put(t, speedQuota+1, netip.MustParseAddr(over))
	v4 := layers.EthernetTypeIPv4
	table.section("One packet again and again, loaded without CAP_PERFMON")
	for _, c := range []speedCase{
		{establishedCase, speedShort(t, framekit.Ethernet(v4), framekit.IPv4(under, nil)), "", dropsNone, [columns]float64{}},
		{dropCase, speedInitial(t, framekit.Ethernet(v4), framekit.IPv4(over, nil)), "", dropsAll, [columns]float64{}},
	} {
		s.measure(t, table, c)
	}
}

// measureHot repeats one packet, so the caches are warm.
func measureHot(t *testing.T, table *speedTable) {
	t.Helper()
	s := newStage(t, manyRoom, equic.Port{})
	s.put(t, speedQuota-1, netip.MustParseAddr(under), netip.MustParseAddr(under6))
	s.put(t, speedQuota+1, netip.MustParseAddr(over), netip.MustParseAddr(over6))
	v4, v6, tag := layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeDot1Q
	table.section(fmt.Sprintf("One packet again and again, %d clients", hotClients))
	for _, c := range []speedCase{
		{establishedCase, speedShort(t, framekit.Ethernet(v4), framekit.IPv4(under, nil)), "", dropsNone, goalsEstablished},
		{
			"Initial, unknown client", speedInitial(t, framekit.Ethernet(v4), framekit.IPv4(stranger, nil)), "", dropsNone,
			goalsAny,
		},
		{
			"Initial, client under quota", speedInitial(t, framekit.Ethernet(v4), framekit.IPv4(under, nil)), "", dropsNone,
			goalsAny,
		},
		{dropCase, speedInitial(t, framekit.Ethernet(v4), framekit.IPv4(over, nil)), "", dropsAll, goalsDrop},
		{
			"IPv6, established flow", speedShort(t, framekit.Ethernet(v6), framekit.IPv6(under6)), establishedCase, dropsNone,
			goalsEstablished,
		},
		{"IPv6, Initial: drop", speedInitial(t, framekit.Ethernet(v6), framekit.IPv6(over6)), dropCase, dropsOurs, goalsDrop},
		{
			"VLAN tag, established flow", speedShort(t, framekit.Ethernet(tag), framekit.VLAN(v4), framekit.IPv4(under, nil)),
			establishedCase, dropsNone, goalsEstablished,
		},
		{
			"VLAN tag, Initial: drop", speedInitial(t, framekit.Ethernet(tag), framekit.VLAN(v4), framekit.IPv4(over, nil)),
			dropCase, dropsOurs, goalsDrop,
		},
		{
			"IP options: drop", speedInitial(t, framekit.Ethernet(v4), framekit.IPv4(over, framekit.Options(8))), "",
			dropsAll, goalsDrop,
		},
	} {
		s.measure(t, table, c)
	}
}

// measureSize gives each packet another client, at random, from a full map.
func measureSize(t *testing.T, table *speedTable, clients int) {
	t.Helper()
	s := newStage(t, max(clients, manyRoom), equic.Port{})
	known := s.rotated(t, rotation{sources: uint32(clients)})
	unknown := s.rotated(t, rotation{sources: uint32(clients), first: uint32(clients)})
	hello, flow := plainInitial(t), plainShort(t)
	established, pass, drop := goalsEstablished, goalsAny, goalsDrop
	if clients >= manyRoom {
		established[oursClient] = goalMany
		pass, drop = goalsMany, goalsMany
	}
	table.section(fmt.Sprintf("Each packet from another client, %s in the map", thousands(clients)))
	all := firstSources(clients)
	s.put(t, speedQuota-1, all...)
	known.measure(t, table, speedCase{establishedCase, flow, "", dropsNone, established})
	unknown.measure(t, table, speedCase{"Initial, unknown client", hello, "", dropsNone, pass})
	s.put(t, speedQuota+1, all...)
	known.measure(t, table, speedCase{dropCase, hello, "", dropsAll, drop})
	s.noteMemory(t, table, clients)
}

// measureRate enables the rate limit, for one client.
func measureRate(t *testing.T, table *speedTable) {
	t.Helper()
	table.section("One packet again and again, rate limit on")
	t.Run("within", func(t *testing.T) {
		s := newStage(t, manyRoom, equic.Port{InitialsPerSecond: maxRate, Burst: maxBurst})
		s.measure(t, table, speedCase{name: establishedCase, packet: plainShort(t)})
		s.measure(t, table, speedCase{name: "Initial, unknown client within its rate", packet: plainInitial(t)})
	})
	t.Run("over", func(t *testing.T) {
		s := newStage(t, manyRoom, equic.Port{InitialsPerSecond: minRate, Burst: 1})
		s.measure(t, table, speedCase{
			"Initial, unknown client over its rate: drop", plainInitial(t), "", dropsOurs,
			[columns]float64{},
		})
	})
}

// measureFlood enables the rate limit, with more sources than it has buckets.
func measureFlood(t *testing.T, table *speedTable) {
	t.Helper()
	const sources = 1 << 20
	table.section(fmt.Sprintf("Each packet from another client, rate limit on, room for %s", thousands(manyRoom)))
	s := newStage(t, manyRoom, equic.Port{InitialsPerSecond: maxRate, Burst: maxBurst})
	flood := s.rotated(t, rotation{sources: sources})
	flood.measure(t, table, speedCase{
		name:   "Initial, one of " + thousands(sources) + " unknown clients",
		packet: plainInitial(t),
		goals:  goalsFlood,
	})
}

func plainInitial(t *testing.T) []byte {
	t.Helper()
	return speedInitial(t, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(stranger, nil))
}

func plainShort(t *testing.T) []byte {
	t.Helper()
	return speedShort(t, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(stranger, nil))
}

// speedInitial returns a QUIC version 1 Initial of the required size, after the
// headers.
func speedInitial(t *testing.T, headers ...gopacket.SerializableLayer) []byte {
	t.Helper()
	return speedPacket(t, []byte{0xc0, 0, 0, 0, 1, 8}, headers)
}

// speedShort returns a packet of an established flow.
func speedShort(t *testing.T, headers ...gopacket.SerializableLayer) []byte {
	t.Helper()
	return speedPacket(t, []byte{0x40}, headers)
}

func speedPacket(t *testing.T, start []byte, headers []gopacket.SerializableLayer) []byte {
	t.Helper()
	payload := make([]byte, 1200)
	copy(payload, start)
	return framekit.Frame(t, append(headers, framekit.UDP(serverPort), gopacket.Payload(payload))...)
}
