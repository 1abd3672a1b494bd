package equic

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

func TestAnEstablishedFlowSurvivesUnderPolicyNew(t *testing.T) {
	p := newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyNew, Quota: 1, HoldDown: -1})
	f := p.newFlow(t, serverAddress, serverPort)
	f.arrives(t, initial())
	testkit.Must(t, g.Inc(serverPort, netip.MustParseAddr(clientAddress)))
	for range 10 {
		f.arrives(t, short())
		f.stalls(t, g, initial(), DropOverQuota)
	}
	f.arrives(t, long(quicV1, 2, 1200)) // of the end of a handshake
	testkit.Must(t, g.Dec(serverPort, netip.MustParseAddr(clientAddress)))
	f.arrives(t, initial())
}

func TestAnEstablishedFlowStallsUnderPolicyClient(t *testing.T) {
	p := newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyClient, Quota: 1})
	f := p.newFlow(t, serverAddress, serverPort)
	f.arrives(t, initial())
	testkit.Must(t, g.Inc(serverPort, netip.MustParseAddr(clientAddress)))
	for range 10 {
		f.stalls(t, g, short(), DropOverQuota)
		f.stalls(t, g, initial(), DropOverQuota)
	}
	testkit.Must(t, g.Dec(serverPort, netip.MustParseAddr(clientAddress)))
	f.arrives(t, []byte("after the stall"))
}

// The published program can read neither of these, and passes them. It also drops
// packets to every UDP port.
func TestTheBypassesOfThePublishedProgramDoNotWork(t *testing.T) {
	tests := []struct {
		name           string
		client, server string
		options        bool
	}{
		{"IPv6", clientAddress6, serverAddress6, false},
		{"a VLAN", "198.18.0.2", "198.18.0.1", false},
		{"IP options", clientAddress, serverAddress, true},
	}
	for _, test := range tests {
		for _, mode := range modesOfInterfaces() {
			for _, policy := range []Policy{PolicyNew, PolicyClient} {
				t.Run(fmt.Sprintf("%s, %s, %s", test.name, mode, policy), func(t *testing.T) {
					p := newPair(t)
					p.addIPv6(t)
					if test.name == "a VLAN" {
						p.addVLAN(t, 7, test.client, test.server)
					}
					g := mustAttach(t, Options{
						Interfaces: []string{serverIface}, Ports: onePort, Policy: policy, Quota: 1, Mode: mode, HoldDown: -1, Pass: IPv4Options,
					})
					f, other := p.newFlow(t, test.server, serverPort), p.newFlow(t, test.server, serverPort+1)
					if test.options {
						f.setIPOptions(t)
					}
					checkBypass(t, g, f, other, netip.MustParseAddr(test.client))
				})
			}
		}
	}
}

// checkBypass checks that the packets of a client are dropped at its quota, pass again
// below it, and always reach another port.
func checkBypass(t *testing.T, g *Gateway, f, other flow, client netip.Addr) {
	t.Helper()
	f.arrives(t, initial())
	testkit.Must(t, g.Inc(serverPort, client))
	f.stalls(t, g, initial(), DropOverQuota)
	other.arrives(t, initial())
	testkit.Must(t, g.Dec(serverPort, client))
	f.arrives(t, []byte("let in again"))
}

// Tags in the frame itself, because no hardware removes them.
func TestATagInTheFrameIsNoBypass(t *testing.T) {
	const tag, service, v4, v6 = layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ, layers.EthernetTypeIPv4,
		layers.EthernetTypeIPv6
	tests := []struct {
		name   string
		source string
		stack  []gopacket.SerializableLayer
	}{
		{"one", over, []gopacket.SerializableLayer{framekit.Ethernet(tag), framekit.VLAN(v4), framekit.IPv4(over, nil)}},
		{"two", over, []gopacket.SerializableLayer{
			framekit.Ethernet(service), framekit.VLAN(tag), framekit.VLAN(v4),
			framekit.IPv4(over, nil),
		}},
		{"one, with IPv6", over6, []gopacket.SerializableLayer{
			framekit.Ethernet(tag), framekit.VLAN(v6),
			framekit.IPv6(over6),
		}},
		{"two, with IPv6", over6, []gopacket.SerializableLayer{
			framekit.Ethernet(service), framekit.VLAN(tag),
			framekit.VLAN(v6), framekit.IPv6(over6),
		}},
	}
	for _, mode := range []Mode{Native, Generic} {
		for _, test := range tests {
			t.Run(test.name+", "+string(mode), func(t *testing.T) {
				p := newPair(t)
				g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Mode: mode, HoldDown: -1})
				send, tap := p.Wire(t), p.newTap(t)
				sendAs := func(mark byte) []byte {
					body := with(initial(), quicMinInitial-1, mark)
					send(framekit.Frame(t, append(slices.Clone(test.stack), framekit.UDP(serverPort), gopacket.Payload(body))...))
					return body
				}
				tap(sendAs(1), nil)
				testkit.Must(t, g.Inc(serverPort, netip.MustParseAddr(test.source)))
				dropped := sendAs(2)
				testkit.Await(t, "the drop", func() bool { return packets(t, g, DropOverQuota) == 1 })
				testkit.Must(t, g.Dec(serverPort, netip.MustParseAddr(test.source)))
				if early := tap(sendAs(3), dropped); early {
					t.Error("a packet of a client at its quota went through")
				}
			})
		}
	}
}

// If the length of an IPv6 datagram is zero, Linux takes the length of its packet, of
// any size.
func TestADatagramWithoutALengthIsNoBypass(t *testing.T) {
	p := newPair(t)
	p.addIPv6(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, HoldDown: -1})
	f := p.newFlow(t, serverAddress6, serverPort)
	send := p.Wire(t)
	frame := withoutLength(datagram(t, clientAddress6, initial()))
	send(frame)
	f.receive(t, initial())
	testkit.Must(t, g.Inc(serverPort, netip.MustParseAddr(clientAddress6)))
	send(frame)
	testkit.Await(t, "the drop", func() bool { return packets(t, g, DropOverQuota) == 1 })
	testkit.Must(t, g.Dec(serverPort, netip.MustParseAddr(clientAddress6)))
	f.arrives(t, []byte("let in again"))
}

// withoutLength sets the UDP length of an IPv6 frame to zero, and corrects the
// checksum. That still counts the length once.
func withoutLength(frame []byte) []byte {
	const udp = 14 + 40
	sum := uint32(binary.BigEndian.Uint16(frame[udp+6:])) + uint32(binary.BigEndian.Uint16(frame[udp+4:]))
	sum = sum&0xffff + sum>>16
	return with(frame, udp+4, 0, 0, byte(sum>>8), byte(sum))
}

// RFC 9000, 14 forbids fragments, so a first fragment does not come from an honest
// client. Its content is visible only after reassembly. The last case once got through:
// the program saw that the first fragment was not UDP, and nothing of the rest.
func TestFragmentsAreNoBypass(t *testing.T) {
	whole := datagram(t, clientAddress, initial())[14+20:]
	six := datagram(t, clientAddress6, initial())[14+40:]
	const cut = 8 // bytes: the first fragment has only the UDP header
	options := []byte{unix.IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0}
	for _, test := range []struct {
		name, client, server string
		fragments            [][]byte
		reason               string
	}{
		{"IPv4", clientAddress, serverAddress, [][]byte{
			framekit.Frame(t, framekit.Ethernet(layers.EthernetTypeIPv4),
				framekit.IPv4(clientAddress, fragment(0, layers.IPv4MoreFragments)), gopacket.Payload(whole[:cut])),
			framekit.Frame(t, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(clientAddress, fragment(cut/8, 0)),
				gopacket.Payload(whole[cut:])),
		}, DropFragmented},
		{"IPv6", clientAddress6, serverAddress6, [][]byte{
			fragmented(t, unix.IPPROTO_UDP, fragment6(0, true), six[:cut]),
			fragmented(t, unix.IPPROTO_UDP, fragment6(cut/8, false), six[cut:]),
		}, DropFragmented},
		{"IPv6, in the other order", clientAddress6, serverAddress6, [][]byte{
			fragmented(t, unix.IPPROTO_UDP, fragment6(cut/8, false), six[cut:]),
			fragmented(t, unix.IPPROTO_UDP, fragment6(0, true), six[:cut]),
		}, DropFragmented},
		{"IPv6, with the UDP header in the second", clientAddress6, serverAddress6, [][]byte{
			fragmented(t, unix.IPPROTO_DSTOPTS, fragment6(0, true), []byte{unix.IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0}),
			fragmented(t, unix.IPPROTO_DSTOPTS, fragment6(1, false), append(options, six...)),
		}, DropIncomplete},
	} {
		for _, pass := range []Unusual{0, Fragments} {
			t.Run(fmt.Sprintf("%s, passed %v", test.name, pass != 0), func(t *testing.T) {
				p := newPair(t)
				p.addIPv6(t)
				g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Pass: pass})
				f := p.newFlow(t, test.server, serverPort)
				send := p.Wire(t)
				sendAll := func() {
					for _, frame := range test.fragments {
						send(frame)
					}
				}
				sendAll()
				if pass != 0 {
					f.receiveAgain(t, initial(), sendAll)
					return
				}
				testkit.Await(t, "the drop", func() bool { return packets(t, g, test.reason) == 1 })
				f.arrives(t, short())
			})
		}
	}
}

// fragmented returns a fragment from the client's IPv6 address. It begins with a header
// of this kind.
func fragmented(t *testing.T, kind byte, header extension, rest []byte) []byte {
	t.Helper()
	from := netip.MustParseAddr(clientAddress6).As16()
	return with(extended(t, []extension{header}, kind, rest), 14+8, from[:]...)
}

// The source of an Initial is not proven. Only the server counts, after a handshake.
func TestSpoofedInitialsNeverRaiseACount(t *testing.T) {
	p := newPair(t)
	p.addIPv6(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, InitialsPerSecond: 100})
	send := p.Wire(t)
	victim := netip.MustParseAddr(clientAddress)
	const sources, each = 500, 3
	four, six := netip.MustParseAddr("198.51.0.0"), netip.MustParseAddr("2001:db8:2::")
	for range sources {
		four, six = four.Next(), six.Next()
		for range each {
			send(datagram(t, four.String(), initial()))
			send(datagram(t, six.String(), initial()))
		}
	}
	for range each {
		send(datagram(t, victim.String(), initial()))
	}
	testkit.Await(t, "all are seen", func() bool {
		s, err := g.Stats()
		testkit.Must(t, err)
		return s.Ports[serverPort].Seen == (2*sources+1)*each
	})
	if got := kernelCounts(t, g); len(got) != 0 {
		t.Errorf("the kernel counts %d clients, want none", len(got))
	}
	for c := range g.Clients() {
		t.Errorf("%v is counted", c)
	}
	if n := packets(t, g, DropOverQuota); n != 0 {
		t.Errorf("%d dropped for a quota, want none", n)
	}
	f := p.newFlow(t, serverAddress, serverPort)
	f.send(t, initial())
	testkit.Await(t, "the victim passes", func() bool { return packets(t, g, PassUnknownClient) > 0 })
}

func TestSettingsChangeWhileAttached(t *testing.T) {
	p := newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, HoldDown: -1})
	f := p.newFlow(t, serverAddress, serverPort)
	client := netip.MustParseAddr(clientAddress)
	testkit.Must(t, g.Inc(serverPort, client))
	f.stalls(t, g, initial(), DropOverQuota)

	testkit.Must(t, g.SetQuota(serverPort, 2))
	f.arrives(t, []byte{0xc0, 1, 2, 3, 4, 5}) // of an unknown version
	if got := g.Quota(serverPort); got != 2 {
		t.Errorf("quota %d, want 2", got)
	}
	testkit.Must(t, g.SetQuota(serverPort, 1))
	f.stalls(t, g, initial(), DropOverQuota)
	testkit.Must(t, g.Allowed().Add(netip.PrefixFrom(client, 24)))
	f.arrives(t, initial())
	testkit.Must(t, g.Allowed().Remove(netip.PrefixFrom(client, 24)))
	f.stalls(t, g, initial(), DropOverQuota)
	testkit.Must(t, g.Denied().Add(netip.PrefixFrom(client, 32)))
	f.stalls(t, g, short(), DropDenied)
	testkit.Must(t, g.Denied().Remove(netip.PrefixFrom(client, 32)))
	testkit.Must(t, g.Dec(serverPort, client))
	f.arrives(t, initial())

	testkit.Must(t, g.SetRate(serverPort, slow, 1))
	f.arrives(t, initial())
	f.stalls(t, g, initial(), DropRate)
	f.arrives(t, short())
	testkit.Must(t, g.SetRate(serverPort, 0, 0))
	f.arrives(t, initial())
}
