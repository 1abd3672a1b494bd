package equic

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

func TestIPv4PacketsAreReadAndCounted(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8})
	p.fillClients(t)
	p.expectAll(t, ipv4Cases(t))
}

func TestIPv6PacketsAreReadAndCounted(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8})
	p.fillClients(t)
	p.expectAll(t, ipv6Cases(t))
}

func TestVLANTagsAreReadAndCounted(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8})
	p.fillClients(t)
	p.expectAll(t, vlanCases(t))
}

// Unusual packets are read and judged like all others if they are to pass.
func TestWhatIsUnusualPassesIfItIsTo(t *testing.T) {
	p := newProgram(t, Options{
		Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8, Pass: Fragments | IPv4Options | DeepHeaders,
	})
	p.fillClients(t)
	for _, c := range slices.Concat(ipv4Cases(t), ipv6Cases(t), vlanCases(t)) {
		reason, unusual := map[string]string{
			DropIncomplete: PassIncomplete, DropTooDeep: PassTooDeep, DropFragmented: DropOverQuota, DropOptions: DropOverQuota,
		}[c.reason]
		if unusual {
			t.Run(c.name, func(t *testing.T) { p.expect(t, c.packet, reason, serverPort) })
		}
	}
}

// v4 returns an IPv4 packet of a client over its quota.
func v4(tb testing.TB, change func(*layers.IPv4), rest ...gopacket.SerializableLayer) []byte {
	tb.Helper()
	if rest == nil {
		rest = []gopacket.SerializableLayer{framekit.UDP(serverPort)}
	}
	return framekit.Frame(tb, append([]gopacket.SerializableLayer{
		framekit.Ethernet(layers.EthernetTypeIPv4),
		framekit.IPv4(over, change),
	}, rest...)...)
}

func ipv4Cases(tb testing.TB) []packetCase {
	tb.Helper()
	whole := datagram(tb, over, nil)
	return []packetCase{
		{"a client without a connection passes", datagram(tb, stranger, nil), PassUnknownClient},
		{"a client under its quota passes", datagram(tb, under, nil), PassUnderQuota},
		{"a client at its quota is dropped", datagram(tb, at, nil), DropOverQuota},
		{"a client over its quota is dropped", whole, DropOverQuota},
		{"with the shortest IP option it is dropped", v4(tb, framekit.Options(4)), DropOptions},
		{"with the most IP options it is dropped", v4(tb, framekit.Options(40)), DropOptions},
		{
			"options that look like a UDP header to the port are not read as one",
			v4(tb, disguised(), framekit.UDP(serverPort+1)), PassOtherPort,
		},
		{"the first fragment has a UDP header and is dropped", v4(tb, fragment(0, layers.IPv4MoreFragments)), DropFragmented},
		{"the first fragment with options is dropped", v4(tb, func(ip *layers.IPv4) {
			framekit.Options(8)(ip)
			fragment(0, layers.IPv4MoreFragments)(ip)
		}), DropFragmented},
		{
			"the first fragment to another port passes",
			v4(tb, fragment(0, layers.IPv4MoreFragments), framekit.UDP(53)), PassOtherPort,
		},
		{
			"a first fragment with less than a UDP header is dropped",
			v4(tb, fragment(0, layers.IPv4MoreFragments), gopacket.Payload(make([]byte, 7))), DropIncomplete,
		},
		{
			"what is behind it in its frame is not its header",
			padded(v4(tb, fragment(0, layers.IPv4MoreFragments), gopacket.Payload{}), udpHeader(53, 40)...), DropIncomplete,
		},
		{"a middle fragment passes", v4(tb, fragment(185, layers.IPv4MoreFragments)), PassFragment},
		{"the last fragment passes", v4(tb, fragment(185, 0)), PassFragment},
		{"the fragment with the least offset passes", v4(tb, fragment(1, 0)), PassFragment},
		{"the fragment with the greatest offset passes", v4(tb, fragment(0x1fff, 0)), PassFragment},
		{
			"a packet that must not be fragmented is dropped like any other", v4(tb, fragment(0, layers.IPv4DontFragment)),
			DropOverQuota,
		},
		{"a packet with the evil bit is dropped like any other", v4(tb, fragment(0, layers.IPv4EvilBit)), DropOverQuota},
		{"another UDP port passes", v4(tb, nil, framekit.UDP(53)), PassOtherPort},
		{"port zero passes", v4(tb, nil, framekit.UDP(0)), PassOtherPort},
		{
			"the port with its bytes swapped passes", v4(tb, nil, framekit.UDP(serverPort>>8|serverPort<<8&0xffff)),
			PassOtherPort,
		},
		{"the port as source passes", v4(tb, nil, &layers.UDP{SrcPort: serverPort, DstPort: 53}), PassOtherPort},
		{
			"TCP to the port passes", v4(tb, framekit.Protocol(layers.IPProtocolTCP), &layers.TCP{DstPort: serverPort}),
			PassNotUDP,
		},
		{"UDP-Lite to the port passes", v4(tb, framekit.Protocol(layers.IPProtocolUDPLite)), PassNotUDP},
		{"ICMP passes", v4(tb, framekit.Protocol(layers.IPProtocolICMPv4), &layers.ICMPv4{}), PassNotUDP},
		{
			"ARP passes", framekit.Frame(tb, framekit.Ethernet(layers.EthernetTypeARP), gopacket.Payload(make([]byte, 28))),
			PassNotIP,
		},
		{"an Ethernet header alone passes", whole[:14], PassMalformed},
		{"an IP header cut short passes", whole[:33], PassMalformed},
		{"a missing UDP header passes", whole[:34], PassMalformed},
		{"a UDP header cut short passes", whole[:41], PassMalformed},
		{"a UDP header cut short behind options passes", v4(tb, framekit.Options(8))[:49], PassMalformed},
		{"a header length under five words passes", with(whole, 14, 0x44), PassMalformed},
		{"a header length beyond the packet passes", with(whole, 14, 0x4f), PassMalformed},
		{"version 6 behind the type of IPv4 passes", with(whole, 14, 0x65), PassMalformed},
		{"a UDP length below its header's passes", with(whole, 38, 0, 7), PassMalformed},
		{"a UDP length of zero passes: IPv4 has no jumbograms", with(whole, 38, 0, 0), PassMalformed},
		{
			"a UDP length beyond the packet is dropped: the stack would drop it too", with(whole, 38, 0xff, 0xff),
			DropOverQuota,
		},
	}
}

// v6 returns an IPv6 packet of a client over its quota, with extension headers.
func v6(tb testing.TB, chain ...extension) []byte {
	tb.Helper()
	return extended(tb, chain, unix.IPPROTO_UDP, udpHeader(serverPort, 0))
}

// udpHeader returns a header without a checksum, with room for a payload.
func udpHeader(port, payload int) []byte {
	length := 8 + payload
	return append([]byte{0x9c, 0x40, byte(port >> 8), byte(port), byte(length >> 8), byte(length), 0, 0},
		make([]byte, payload)...)
}

func ipv6Cases(tb testing.TB) []packetCase {
	tb.Helper()
	const hopByHop, routing, destination = unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS
	whole := datagram(tb, over6, nil)
	two := v6(tb, optional(hopByHop, 1), optional(destination, 3))
	return []packetCase{
		{"a client over its quota is dropped", whole, DropOverQuota},
		{"its neighbour in the same /64 too", datagram(tb, "2001:db8::2", nil), DropOverQuota},
		{"a client of another /64 passes", datagram(tb, "2001:db8:0:1::1", nil), PassUnknownClient},
		{"an IPv4 address mapped into IPv6 is the IPv4 client", datagram6(tb, "::ffff:"+over), DropOverQuota},
		{"an IPv4 client behind NAT64 is the IPv4 client", datagram6(tb, "64:ff9b::"+over), DropOverQuota},
		{"and no other", datagram6(tb, "64:ff9b::"+stranger), PassUnknownClient},
		{"another UDP port passes", datagramTo(tb, over6, 53, nil), PassOtherPort},
		{"behind a hop-by-hop header it is dropped", v6(tb, optional(hopByHop, 1)), DropOverQuota},
		{"behind a routing header it is dropped", v6(tb, optional(routing, 3)), DropOverQuota},
		{"behind a destination header it is dropped", v6(tb, optional(destination, 2)), DropOverQuota},
		{"behind the longest destination header it is dropped", v6(tb, optional(destination, 256)), DropOverQuota},
		{"behind an authentication header it is dropped", v6(tb, authentication(24)), DropOverQuota},
		{"behind the shortest authentication header it is dropped", v6(tb, authentication(12)), DropOverQuota},
		{"the first fragment is dropped", v6(tb, fragment6(0, true)), DropFragmented},
		{
			"the first fragment to another port passes",
			extended(tb, []extension{fragment6(0, true)}, unix.IPPROTO_UDP, udpHeader(53, 0)), PassOtherPort,
		},
		{
			"the first fragment of another protocol passes",
			extended(tb, []extension{fragment6(0, true)}, unix.IPPROTO_TCP, make([]byte, 20)), PassNotUDP,
		},
		{
			"a first fragment that ends with an extension header, before the next, is dropped",
			extended(tb, []extension{fragment6(0, true), optional(destination, 1)}, destination, nil), DropIncomplete,
		},
		{
			"what is behind it in its frame is not its next header",
			padded(extended(tb, []extension{fragment6(0, true), optional(destination, 1)}, destination, nil),
				unix.IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0), DropIncomplete,
		},
		{
			"nor its UDP header",
			padded(extended(tb, []extension{fragment6(0, true)}, unix.IPPROTO_UDP, nil), udpHeader(53, 40)...), DropIncomplete,
		},
		{
			"a first fragment with less than a UDP header is dropped",
			extended(tb, []extension{fragment6(0, true)}, unix.IPPROTO_UDP, make([]byte, 7)), DropIncomplete,
		},
		{
			"a first fragment that does not end its extension header is dropped",
			extended(tb, []extension{fragment6(0, true)}, destination, []byte{17, 1, 1, 4, 0, 0, 0, 0}), DropIncomplete,
		},
		{"an atomic fragment is dropped", v6(tb, fragment6(0, false)), DropOverQuota},
		{"a middle fragment passes", v6(tb, fragment6(185, true)), PassFragment},
		{"the last fragment passes", v6(tb, fragment6(1, false)), PassFragment},
		{
			"a later fragment behind other headers passes",
			v6(tb, optional(hopByHop, 1), optional(routing, 1), fragment6(1, false)), PassFragment,
		},
		{
			"the length of a fragment header is not read: the field is reserved",
			with(v6(tb, fragment6(0, false)), 14+40+1, 0xff), DropOverQuota,
		},
		{
			"every header in the order of RFC 8200 is read",
			v6(tb, optional(hopByHop, 1), optional(destination, 1), optional(routing, 1), fragment6(0, false),
				authentication(16), optional(destination, 1)),
			DropOverQuota,
		},
		{"behind eight headers it is dropped", v6(tb, repeated(8)...), DropOverQuota},
		{"behind nine it is dropped unread", v6(tb, repeated(9)...), DropTooDeep},
		{
			"TCP behind eight headers passes as such", extended(tb, repeated(8), unix.IPPROTO_TCP, make([]byte, 20)),
			PassNotUDP,
		},
		{"TCP passes", extended(tb, nil, unix.IPPROTO_TCP, make([]byte, 20)), PassNotUDP},
		{"TCP behind a header passes", extended(tb, repeated(1), unix.IPPROTO_TCP, make([]byte, 20)), PassNotUDP},
		{"no next header passes", extended(tb, repeated(1), unix.IPPROTO_NONE, nil), PassNotUDP},
		{"an encrypted packet passes", extended(tb, nil, unix.IPPROTO_ESP, make([]byte, 40)), PassNotUDP},
		{"an IPv6 header cut short passes", whole[:14+39], PassMalformed},
		{"a missing UDP header passes", whole[:14+40], PassMalformed},
		{"a UDP header cut short passes", whole[:14+47], PassMalformed},
		{"version 4 behind the type of IPv6 passes", with(whole, 14, 0x45), PassMalformed},
		{"a missing extension header passes", two[:14+40], PassMalformed},
		{"an extension header cut short passes", two[:14+40+3], PassMalformed},
		{"a second extension header that is missing passes", two[:14+40+8], PassMalformed},
		{"a second extension header cut short passes", two[:14+40+8+9], PassMalformed},
		{"a UDP header cut short behind extension headers passes", two[:len(two)-1], PassMalformed},
		{"an extension header longer than the packet passes", with(two, 14+40+1, 0xff), PassMalformed},
		{"a UDP length of zero is that of a jumbogram, and it is dropped", with(whole, 14+40+4, 0, 0), DropOverQuota},
		{"a UDP length below its header's passes", with(whole, 14+40+4, 0, 7), PassMalformed},
	}
}

// datagram6 returns an IPv6 packet from an address in any form.
func datagram6(tb testing.TB, source string) []byte {
	tb.Helper()
	frame := datagram(tb, over6, nil)
	from := netip.MustParseAddr(source).As16()
	return with(frame, 14+8, from[:]...)
}

func vlanCases(tb testing.TB) []packetCase {
	tb.Helper()
	const tag, service, v4, v6 = layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ, layers.EthernetTypeIPv4,
		layers.EthernetTypeIPv6
	ip4, ip6 := framekit.IPv4(over, nil), framekit.IPv6(over6)
	one := framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(v4), ip4, framekit.UDP(serverPort))
	two := framekit.Frame(tb, framekit.Ethernet(service), framekit.VLAN(tag), framekit.VLAN(v4), ip4,
		framekit.UDP(serverPort))
	return []packetCase{
		{"IPv4 behind one tag is dropped", one, DropOverQuota},
		{
			"IPv6 behind one tag is dropped",
			framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(v6), ip6, framekit.UDP(serverPort)), DropOverQuota,
		},
		{
			"behind a service tag alone it is dropped",
			framekit.Frame(tb, framekit.Ethernet(service), framekit.VLAN(v4), ip4, framekit.UDP(serverPort)), DropOverQuota,
		},
		{"IPv4 behind two tags is dropped", two, DropOverQuota},
		{
			"IPv6 behind two tags is dropped",
			framekit.Frame(tb, framekit.Ethernet(service), framekit.VLAN(tag), framekit.VLAN(v6), ip6,
				framekit.UDP(serverPort)), DropOverQuota,
		},
		{
			"behind two customer tags it is dropped",
			framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(tag), framekit.VLAN(v4), ip4, framekit.UDP(serverPort)),
			DropOverQuota,
		},
		{
			"behind three tags IPv4 is dropped unread",
			framekit.Frame(tb, framekit.Ethernet(service), framekit.VLAN(tag), framekit.VLAN(tag), framekit.VLAN(v4), ip4,
				framekit.UDP(serverPort)), DropTooDeep,
		},
		{
			"behind three tags IPv6 is dropped unread",
			framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(service), framekit.VLAN(tag), framekit.VLAN(v6), ip6,
				framekit.UDP(serverPort)), DropTooDeep,
		},
		{
			"options behind a tag are seen",
			framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(v4), framekit.IPv4(over, framekit.Options(12)),
				framekit.UDP(serverPort)), DropOptions,
		},
		{
			"options behind two tags are seen",
			framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(tag), framekit.VLAN(v4),
				framekit.IPv4(over, framekit.Options(40)), framekit.UDP(serverPort)), DropOptions,
		},
		{
			"another port behind a tag passes",
			framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(v4), ip4, framekit.UDP(53)), PassOtherPort,
		},
		{"ARP behind a tag passes", framekit.Frame(tb, framekit.Ethernet(tag), framekit.VLAN(layers.EthernetTypeARP),
			gopacket.Payload(make([]byte, 28))), PassNotIP},
		{"a missing tag passes", one[:14], PassMalformed},
		{"a tag cut short passes", one[:17], PassMalformed},
		{"a second tag cut short passes", two[:21], PassMalformed},
		{"an IP header cut short behind two tags passes", two[:22+19], PassMalformed},
		{"a UDP header cut short behind two tags passes", two[:len(two)-1], PassMalformed},
	}
}

func TestPacketOfTheMeasurementIsWhatALayerLibraryReads(t *testing.T) {
	raw := initialPacket(netip.MustParseAddr(over), serverPort)
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.Default)
	if failure := p.ErrorLayer(); failure != nil {
		t.Fatal(failure.Error())
	}
	if got := p.NetworkLayer().NetworkFlow().Src().String(); got != over {
		t.Errorf("source %s, want %s", got, over)
	}
	if got := p.TransportLayer().(*layers.UDP).DstPort; got != serverPort {
		t.Errorf("port %d, want %d", got, serverPort)
	}
}
