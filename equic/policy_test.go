package equic

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

// payloadCase is the payload of a client over its quota, and its verdict under each
// policy.
type payloadCase struct {
	name            string
	payload         []byte
	client, newOnly string
}

const unknownVersion = 0x1a2a3a4a // reserved, never a real one (RFC 9000, 15)

func payloadCases() []payloadCase {
	const (
		established = PassEstablished
		notQUIC     = PassNotQUIC
		dropped     = DropOverQuota
		shortened   = DropShortInitial
	)
	cases := []payloadCase{
		{"an Initial", initial(), dropped, dropped},
		{"an Initial of version 2", long(quicV2, 1, 1200), dropped, dropped},
		{"an Initial with the fixed bit greased (RFC 9287)", with(initial(), 0, 0x80), dropped, dropped},
		{"an Initial with other protected bits", with(initial(), 0, 0xcf), dropped, dropped},
		{"an Initial of version 2 with other protected bits", with(long(quicV2, 1, 1200), 0, 0xdf), dropped, dropped},
		{"an Initial in a datagram one byte too short", long(quicV1, 0, 1199), shortened, shortened},
		{"an Initial of version 2 in a datagram one byte too short", long(quicV2, 1, 1199), shortened, shortened},
		{"an Initial of six bytes", long(quicV1, 0, 6), shortened, shortened},
		{"an Initial to an ID of 7 bytes, without a token", toServerID(quicV1, 0, 7, 8, 0, 40), dropped, established},
		{"the same, in a datagram of 1200 bytes", toServerID(quicV1, 0, 4, 20, 0, 1200), dropped, established},
		{"an Initial to no ID, without a token", toServerID(quicV1, 0, 0, 0, 0, 1200), dropped, established},
		{"an Initial of version 2 to an ID of 4 bytes", toServerID(quicV2, 1, 4, 8, 0, 40), dropped, established},
		{"an Initial from an ID that is too long", toServerID(quicV1, 0, 4, 21, 9, 1200), dropped, established},
		{"an Initial that ends before its source's ID", toServerID(quicV1, 0, 4, 0, 0, 0)[:10], dropped, established},
		{"an Initial that ends before its token", toServerID(quicV1, 0, 4, 2, 0, 0)[:13], dropped, established},
		{"RTP, which has no fixed bit (RFC 9443)", with(long(unknownVersion, 0, 200), 0, 0x80), dropped, established},
		{"RTCP", with(long(unknownVersion, 0, 200), 0, 0xbf), dropped, established},
		{"an Initial to an ID of 7 bytes, with a token", toServerID(quicV1, 0, 7, 8, 9, 1200), dropped, dropped},
		{"an Initial of version 2 to an ID of 4 bytes, with a token", toServerID(quicV2, 1, 4, 0, 1, 1200), dropped, dropped},
		{"the same in a short datagram", toServerID(quicV2, 1, 4, 0, 1, 1199), shortened, shortened},
		{"an Initial to an ID of 20 bytes", toServerID(quicV1, 0, 20, 8, 0, 1200), dropped, dropped},
		{"0-RTT", long(quicV1, 1, 1200), dropped, dropped},
		{"0-RTT in a small datagram", long(quicV1, 1, 40), dropped, dropped},
		{"0-RTT of version 2", long(quicV2, 2, 40), dropped, dropped},
		{"a Handshake packet", long(quicV1, 2, 1200), dropped, established},
		{"a Handshake packet in a small datagram", long(quicV1, 2, 40), dropped, established},
		{"a Handshake packet of version 2", long(quicV2, 3, 40), dropped, established},
		{"a Retry", long(quicV1, 3, 40), dropped, established},
		{"a Retry of version 2", long(quicV2, 0, 1200), dropped, established},
		{"version negotiation", long(0, 0, 40), dropped, established},
		{"version negotiation with all bits set", with(long(0, 0, 40), 0, 0xff), dropped, established},
		{"a short header", short(), dropped, established},
		{"a short header of one byte", []byte{0x40}, dropped, established},
		{"a short header with all other bits set", []byte{0x7f}, dropped, established},
		{"nothing", nil, dropped, notQUIC},
	}
	for kind := range byte(4) {
		cases = append(cases, payloadCase{
			fmt.Sprintf("type %d of an unknown version in a small datagram", kind),
			long(unknownVersion, kind, 40), dropped, dropped,
		})
	}
	for size := 1; size < 6; size++ {
		cases = append(cases, payloadCase{
			fmt.Sprintf("%d bytes of an Initial", size), long(quicV1, 0, size), dropped,
			notQUIC,
		})
	}
	return cases
}

func TestEachPolicyDropsItsPacketsOfAClientOverItsQuota(t *testing.T) {
	for _, policy := range []Policy{PolicyClient, PolicyNew} {
		p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: policy, MaxClients: 8})
		p.fillClients(t)
		for _, source := range []string{over, at, over6} {
			for _, c := range payloadCases() {
				t.Run(fmt.Sprintf("%s from %s under %s", c.name, source, policy), func(t *testing.T) {
					want := c.client
					if policy == PolicyNew {
						want = c.newOnly
					}
					p.expect(t, datagram(t, source, c.payload), want, serverPort)
				})
			}
		}
	}
}

// The packets that are dropped because of a client's count pass for a client with a
// lower one.
func TestEachPolicyPassesAClientUnderItsQuota(t *testing.T) {
	for _, policy := range []Policy{PolicyClient, PolicyNew} {
		p := newProgram(t, Options{Ports: onePort, Quota: 3, Policy: policy, MaxClients: 8})
		p.fillClients(t)
		for source, pass := range map[string]string{under: PassUnderQuota, stranger: PassUnknownClient} {
			for _, c := range payloadCases() {
				t.Run(fmt.Sprintf("%s from %s under %s", c.name, source, policy), func(t *testing.T) {
					want := c.client
					if policy == PolicyNew {
						want = c.newOnly
					}
					if want == DropOverQuota {
						want = pass
					}
					p.expect(t, datagram(t, source, c.payload), want, serverPort)
				})
			}
		}
	}
}

// Ethernet pads short frames, so bytes after the datagram are not part of it.
func TestBytesBehindTheDatagramAreNotReadAsItsPayload(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 3, MaxClients: 8})
	p.fillClients(t)
	rest := bytes.Repeat([]byte{0}, 30)
	rest1 := append([]byte{clientChosen}, rest...)
	p.expectAll(t, []packetCase{
		{
			"an empty datagram with what looks like a short header behind", padded(datagram(t, over, nil), short()...),
			PassNotQUIC,
		},
		{"an empty datagram with an Initial behind", padded(datagram(t, over, nil), initial()...), PassNotQUIC},
		{
			"one byte of an Initial with the rest of it behind",
			padded(datagram(t, over, long(quicV1, 0, 1)), initial()[1:]...), PassNotQUIC,
		},
		{
			"five bytes of an Initial with the rest of it behind", padded(datagram(t, over, long(quicV1, 0, 5)), rest1...),
			PassNotQUIC,
		},
		{
			"five bytes of an IPv6 client's Initial with the rest of it behind",
			padded(datagram(t, over6, long(quicV1, 0, 5)), rest1...), PassNotQUIC,
		},
		{"one byte of a short header with padding behind", padded(datagram(t, over, []byte{0x40}), rest...), PassEstablished},
		{
			"six bytes of an unknown version with padding behind",
			padded(datagram(t, over, long(unknownVersion, 0, 6)), rest...), DropOverQuota,
		},
		{
			"an Initial to a server's ID with what looks like a token behind",
			padded(datagram(t, over, toServerID(quicV1, 0, 4, 0, 0, 0)[:11]), 0x40), PassEstablished,
		},
		{
			"an Initial of 1199 bytes with one of padding behind", padded(datagram(t, over, long(quicV1, 0, 1199)), 0),
			DropShortInitial,
		},
		{"an Initial of 1200 bytes with padding behind", padded(datagram(t, over, initial()), rest...), DropOverQuota},
	})
}

// The first fragment does not show the whole datagram: the stack reassembles it with
// bytes that the program does not see. RFC 9000, 14 forbids fragments.
func TestAFirstFragmentThatPassesIsTakenToOpenAConnection(t *testing.T) {
	p := newProgram(t, Options{
		Ports: onePort, Quota: 3, MaxClients: 8, InitialsPerSecond: slow, Burst: 1, Pass: Fragments,
	})
	p.fillClients(t)
	more := fragment(0, layers.IPv4MoreFragments)
	p.expectAll(t, []packetCase{
		{"with a UDP header alone", v4(t, more, framekit.UDP(serverPort)), DropOverQuota},
		{
			"with what looks like a short header", v4(t, more, framekit.UDP(serverPort), gopacket.Payload(short())),
			DropOverQuota,
		},
		{
			"with what looks like a short Initial",
			v4(t, more, framekit.UDP(serverPort), gopacket.Payload(long(quicV1, 0, 80))), DropOverQuota,
		},
		{"with IPv6", v6(t, fragment6(0, true)), DropOverQuota},
		{"with IPv6 and headers on both sides", v6(t, repeated(1)[0], fragment6(0, true), repeated(1)[0]), DropOverQuota},
		{"an atomic fragment is whole, and read as such", v6(t, fragment6(0, false)), PassNotQUIC},
		{
			"of a client under its quota",
			framekit.Frame(t, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(under, more), framekit.UDP(serverPort)),
			PassUnderQuota,
		},
		{
			"of the same client, which took its token",
			framekit.Frame(t, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(under, more), framekit.UDP(serverPort)),
			DropRate,
		},
	})
}

// A client at its quota may have a handshake in progress that took its last place. The
// packets of that handshake must get through, or it never ends.
func TestPacketsOfAHandshakeInProgressPass(t *testing.T) {
	p := newProgram(t, Options{Ports: []Port{{Number: serverPort}, {Number: 443, Policy: PolicyClient}}, Quota: 3})
	for _, port := range []uint16{serverPort, 443} {
		p.clients.put(t, port, alice, 3, 1)
	}
	for _, c := range []struct {
		name    string
		payload []byte
		want    string
	}{
		{"its second flight", toServerID(quicV1, 0, 4, 8, 0, 1200), PassEstablished},
		{"its second flight after a Retry, or the answer to one", toServerID(quicV1, 0, 4, 8, 20, 1200), PassHandshake},
		{"its early data", long(quicV1, 1, 1200), PassHandshake},
		{"an Initial that opens another", initial(), DropOverQuota},
		{"an Initial with a token that opens another", toServerID(quicV1, 0, 8, 8, 20, 1200), DropOverQuota},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.expect(t, datagram(t, alice.String(), c.payload), c.want, serverPort)
			if c.want == PassHandshake {
				other := with(datagram(t, alice.String(), c.payload), 14+20, 0x12, 0x34)
				p.expect(t, other, DropOverQuota, serverPort) // from another port
			}
			p.expect(t, datagramTo(t, alice.String(), 443, c.payload), DropOverQuota, 443)
		})
	}
}

func TestAFrameThatEndsBeforeItsDatagramIsReadAsFarAsItGoes(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 3, MaxClients: 8})
	p.fillClients(t)
	whole, handshake := datagram(t, over, initial()), datagram(t, over, long(quicV1, 2, 1200))
	const payload = 14 + 20 + 8
	p.expectAll(t, []packetCase{
		{"six bytes of an Initial that says it is long enough", whole[:payload+6], DropOverQuota},
		{"five bytes of it", whole[:payload+5], PassNotQUIC},
		{"one byte of it", whole[:payload+1], PassNotQUIC},
		{"none of it", whole[:payload], PassNotQUIC},
		{"six bytes of a Handshake packet", handshake[:payload+6], PassEstablished},
		{"one byte of a short header", datagram(t, over, short())[:payload+1], PassEstablished},
	})
}

func TestEachPortHasItsOwnQuotaPolicyAndCounts(t *testing.T) {
	const web, game, idle = 443, 8443, 65535
	p := newProgram(t, Options{
		Ports: []Port{{Number: web, Quota: 2}, {Number: game, Quota: 4, Policy: PolicyClient}, {Number: idle}},
		Quota: 1, MaxClients: 16,
	})
	p.put(t, web, over, 3)
	p.put(t, game, over, 3)
	p.put(t, game, at, 4)
	for _, c := range []struct {
		name    string
		source  string
		port    uint16
		payload []byte
		want    string
	}{
		{"at its quota at the first port", over, web, initial(), DropOverQuota},
		{"as many are under the quota of the second", over, game, initial(), PassUnderQuota},
		{"none at the third", over, idle, initial(), PassUnknownClient},
		{"at its quota at the second", at, game, initial(), DropOverQuota},
		{"and none at the first", at, web, initial(), PassUnknownClient},
		{"the first port's policy lets the established live", over, web, short(), PassEstablished},
		{"the second port's does not", at, game, short(), DropOverQuota},
		{"no port beside them is touched", over, web + 1, initial(), PassOtherPort},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.expect(t, datagramTo(t, c.source, int(c.port), c.payload), c.want, c.port)
		})
	}
}

func TestAsManyPortsAsThereMayBeAreTold(t *testing.T) {
	var ports []Port
	for i := range MaxPorts {
		ports = append(ports, Port{Number: uint16(1000 + i), Quota: i + 2})
	}
	p := newProgram(t, Options{Ports: ports, MaxClients: 2 * MaxPorts})
	for i, port := range ports {
		p.put(t, port.Number, at, uint32(i+2))
		p.put(t, port.Number, under, uint32(i+1))
		p.expect(t, datagramTo(t, at, int(port.Number), initial()), DropOverQuota, port.Number)
		p.expect(t, datagramTo(t, under, int(port.Number), initial()), PassUnderQuota, port.Number)
	}
}

func TestClientsOfOnePrefixShareACountInTheKernel(t *testing.T) {
	tests := []struct {
		ipv4, ipv6   int
		counted      string
		same, others []string
	}{
		{32, 64, "203.0.113.7", []string{"203.0.113.7"}, []string{"203.0.113.6", "203.0.113.8"}},
		{24, 64, "203.0.113.7", []string{"203.0.113.0", "203.0.113.255"}, []string{"203.0.112.255", "203.0.114.0"}},
		{31, 64, "203.0.113.7", []string{"203.0.113.6"}, []string{"203.0.113.5", "203.0.113.8"}},
		{1, 64, "203.0.113.7", []string{"128.0.0.0", "255.255.255.255"}, []string{"127.255.255.255"}},
		{
			32, 64, "2001:db8:0:1::7",
			[]string{"2001:db8:0:1::", "2001:db8:0:1:ffff::"},
			[]string{"2001:db8::7", "2001:db8:0:2::7"},
		},
		{32, 128, "2001:db8::7", []string{"2001:db8::7"}, []string{"2001:db8::6", "2001:db8::8"}},
		{32, 56, "2001:db8:0:1::7", []string{"2001:db8:0:ff::"}, []string{"2001:db8:0:100::"}},
		{32, 1, "2001:db8::7", []string{"7fff::"}, []string{"8000::", "203.0.113.7"}},
		{24, 97, "2001:db8::7", []string{"2001:db8::7fff:ffff"}, []string{"2001:db8::8000:0"}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s by /%d and /%d", test.counted, test.ipv4, test.ipv6), func(t *testing.T) {
			p := newProgram(t, Options{Ports: onePort, Quota: 1, IPv4Prefix: test.ipv4, IPv6Prefix: test.ipv6, MaxClients: 8})
			testkit.Must(t, p.Inc(serverPort, netip.MustParseAddr(test.counted)))
			for _, source := range append(test.same, test.counted) {
				p.expect(t, datagram(t, source, initial()), DropOverQuota, serverPort)
			}
			for _, source := range test.others {
				p.expect(t, datagram(t, source, initial()), PassUnknownClient, serverPort)
			}
		})
	}
}

func TestAQuotaChangesWhileTheProgramIsLoaded(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 2, MaxClients: 8, HoldDown: -1})
	frame := datagram(t, alice.String(), initial())
	testkit.Must(t, p.Inc(serverPort, alice))
	testkit.Must(t, p.Inc(serverPort, alice))
	p.expect(t, frame, DropOverQuota, serverPort)
	testkit.Must(t, p.SetQuota(serverPort, 3))
	p.expect(t, frame, PassUnderQuota, serverPort)
	testkit.Must(t, p.SetQuota(serverPort, 1))
	p.expect(t, frame, DropOverQuota, serverPort)
	testkit.Must(t, p.Dec(serverPort, alice))
	p.expect(t, frame, DropOverQuota, serverPort)
	testkit.Must(t, p.Dec(serverPort, alice))
	p.expect(t, frame, PassUnderQuota, serverPort) // it is remembered for some seconds
}

func TestWithLongIDsEveryInitialOpensAConnection(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 3, MaxClients: 8, LongIDs: true})
	p.fillClients(t)
	for name, c := range map[string]struct {
		payload []byte
		want    string
	}{
		"to an ID of 7 bytes, without a token": {toServerID(quicV1, 0, 7, 8, 0, 1200), DropOverQuota},
		"to no ID, without a token":            {toServerID(quicV1, 0, 0, 0, 0, 1200), DropOverQuota},
		"of version 2":                         {toServerID(quicV2, 1, 4, 8, 0, 1200), DropOverQuota},
		"in a small datagram":                  {toServerID(quicV1, 0, 7, 8, 0, 40), DropShortInitial},
		"no Initial: a short header":           {short(), PassEstablished},
	} {
		t.Run(name, func(t *testing.T) { p.expect(t, datagram(t, over, c.payload), c.want, serverPort) })
	}
}
