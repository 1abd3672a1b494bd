package quicguard

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
	"github.com/equic-bench/equic-bench/internal/testkit/quickit"
)

// hostileCase is a set of frames that contain a whole Initial, the reason with which
// the program must count them, and whether the server begins a handshake for them.
type hostileCase struct {
	name   string
	frames func(t *testing.T, initial []byte) [][]byte
	reason string
	opens  bool
}

const (
	opens   = true
	nothing = false

	typeIPv4, typeIPv6, typeTag = layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeDot1Q
	hopByHop, routing, fragment = unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_FRAGMENT
	options, udp                = unix.IPPROTO_DSTOPTS, unix.IPPROTO_UDP
)

// ip4 returns a frame of alice's, with a change of its IP header.
func ip4(t *testing.T, change func(*layers.IPv4), payload []byte) []byte {
	t.Helper()
	return framekit.Frame(t, framekit.Ethernet(typeIPv4), framekit.IPv4(alice.String(), change), framekit.UDP(serverPort),
		gopacket.Payload(payload))
}

// ip6 returns a frame of alice's with extension headers. Each has a type, and the bytes
// after its first one.
func ip6(t *testing.T, last byte, rest []byte, chain ...extension) []byte {
	t.Helper()
	ip := framekit.IPv6(netkit.ClientAddress6)
	var headers []byte
	for i, e := range chain {
		next := last
		if i+1 < len(chain) {
			next = chain[i+1].kind
		}
		headers = append(append(headers, next), e.body...)
	}
	ip.NextHeader = layers.IPProtocol(last)
	if len(chain) > 0 {
		ip.NextHeader = layers.IPProtocol(chain[0].kind)
	}
	return framekit.Frame(t, framekit.Ethernet(typeIPv6), ip, gopacket.Payload(append(headers, rest...)))
}

type extension struct {
	kind byte
	body []byte
}

// datagram6 returns a UDP header with a checksum, and its payload.
func datagram6(t *testing.T, payload []byte) []byte {
	t.Helper()
	return framekit.Frame(t, framekit.Ethernet(typeIPv6), framekit.IPv6(netkit.ClientAddress6), framekit.UDP(serverPort),
		gopacket.Payload(payload))[14+40:]
}

// padding returns an extension header of 8 bytes that does nothing.
func padding(kind byte) extension { return extension{kind, []byte{0, 1, 4, 0, 0, 0, 0}} }

func fragmentHeader(offset int, more bool) extension {
	field := uint16(offset)
	if more {
		field |= 1
	}
	return extension{fragment, binary.BigEndian.AppendUint16([]byte{0}, field)[:3:3]}.filled(7)
}

func (e extension) filled(size int) extension {
	e.body = append(slices.Clone(e.body), make([]byte, size-len(e.body))...)
	return e
}

// changed returns a copy with some bytes changed.
func changed(b []byte, offset int, values ...byte) []byte {
	b = slices.Clone(b)
	copy(b[offset:], values)
	return b
}

// payload makes a case of one frame in IPv4 with another payload.
func payload(change func(initial []byte) []byte) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		return [][]byte{ip4(t, nil, change(initial))}
	}
}

// header makes a case of one frame with a change of its IPv4 header.
func header(change func(*layers.IPv4)) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		return [][]byte{ip4(t, change, initial)}
	}
}

// bytesAt makes a case of one frame with some bytes changed so that it is invalid.
func bytesAt(offset int, values ...byte) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		return [][]byte{changed(ip4(t, nil, initial), offset, values...)}
	}
}

// chained makes a case of one IPv6 packet with extension headers.
func chained(chain ...extension) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		return [][]byte{ip6(t, udp, datagram6(t, initial), chain...)}
	}
}

// split4 makes a case of fragments of an IPv4 datagram, cut at multiples of 8 bytes and
// sent in this order.
func split4(cuts []int, order ...int) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		whole := ip4(t, nil, initial)[14+20:]
		var frames [][]byte
		for i, from := range cuts {
			to, flags := len(whole), layers.IPv4Flag(0)
			if i+1 < len(cuts) {
				to, flags = cuts[i+1], layers.IPv4MoreFragments
			}
			frames = append(frames, framekit.Frame(t, framekit.Ethernet(typeIPv4),
				framekit.IPv4(alice.String(), func(ip *layers.IPv4) {
					ip.Id, ip.FragOffset, ip.Flags = 7, uint16(from/8), flags
				}), gopacket.Payload(whole[from:to])))
		}
		return inOrder(frames, order)
	}
}

// split6 makes a case of fragments of the content of an IPv6 packet. kind is the type
// of its first header.
func split6(kind byte, prefix []byte, cuts []int, order ...int) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		whole := append(slices.Clone(prefix), datagram6(t, initial)...)
		var frames [][]byte
		for i, from := range cuts {
			to, more := len(whole), false
			if i+1 < len(cuts) {
				to, more = cuts[i+1], true
			}
			frames = append(frames, ip6(t, kind, whole[from:to], fragmentHeader(from, more)))
		}
		return inOrder(frames, order)
	}
}

func inOrder(frames [][]byte, order []int) [][]byte {
	var list [][]byte
	for _, i := range order {
		list = append(list, frames[i])
	}
	return list
}

// tagged makes a case of a frame behind VLAN tags with this identifier.
func tagged(id uint16, tags int) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		stack := []gopacket.SerializableLayer{framekit.Ethernet(typeTag)}
		for i := range tags {
			next := typeTag
			if i == tags-1 {
				next = typeIPv4
			}
			stack = append(stack, &layers.Dot1Q{VLANIdentifier: id, Type: next})
		}
		return [][]byte{framekit.Frame(t, append(stack, framekit.IPv4(alice.String(), nil), framekit.UDP(serverPort),
			gopacket.Payload(initial))...)}
	}
}

// from makes a case of a frame from another source.
func from(address string) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		return [][]byte{framekit.Frame(t, framekit.Ethernet(typeIPv4), framekit.IPv4(address, nil), framekit.UDP(serverPort),
			gopacket.Payload(initial))}
	}
}

// inside makes a case of an IPv4 packet inside a packet of another protocol, after its
// header.
func inside(protocol layers.IPProtocol, header ...byte) func(*testing.T, []byte) [][]byte {
	return func(t *testing.T, initial []byte) [][]byte {
		t.Helper()
		return [][]byte{framekit.Frame(t, framekit.Ethernet(typeIPv4),
			framekit.IPv4(alice.String(), framekit.Protocol(protocol)),
			gopacket.Payload(append(slices.Clone(header), ip4(t, nil, initial)[14:]...)))}
	}
}

// toShortID returns an Initial to a connection ID of 4 bytes, with a token.
func toShortID(token int) func([]byte) []byte {
	return func(initial []byte) []byte {
		p := append(slices.Clone(initial[:5]), 4, 1, 2, 3, 4, 0, byte(token))
		p = append(p, make([]byte, token)...)
		p = append(p, 0x44, 0x80) // 1152 bytes follow
		return append(p, make([]byte, 1200-len(p))...)
	}
}

func hostileCases() []hostileCase {
	const (
		pass, known = equic.PassUnknownClient, equic.PassEstablished
		short       = equic.DropShortInitial
		tooDeep     = equic.DropTooDeep
		incomplete  = equic.DropIncomplete
		fragmented  = equic.DropFragmented
		malformed   = equic.PassMalformed
	)
	same := func(b []byte) []byte { return b }
	set := func(offset int, values ...byte) func([]byte) []byte {
		return func(b []byte) []byte { return changed(b, offset, values...) }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	before := func(first ...byte) func([]byte) []byte {
		return func(b []byte) []byte { return append(slices.Clone(first), b...)[:min(1400, len(first)+len(b))] }
	}
	handshake := append([]byte{0xe0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 20}, make([]byte, 20)...)
	eight := make([]extension, 8)
	for i := range eight {
		eight[i] = padding(options)
	}
	cases := []hostileCase{
		{"an Initial", payload(same), pass, opens},
		{"an Initial over IPv6", chained(), pass, opens},
		{"behind a zero", payload(func(b []byte) []byte { return append(slices.Clone(b), 0) }), pass, opens},
		{"one byte too short", payload(cut(1199)), short, nothing},
		{"of 100 bytes", payload(cut(100)), short, nothing},
		{"without the fixed bit", payload(set(0, 0x80)), pass, nothing},
		{"of an unknown version", payload(set(1, 0x1a, 0x2a, 0x3a, 0x4a)), pass, nothing},
		{"of an unknown version, without the fixed bit", payload(set(0, 0x80, 0x1a, 0x2a, 0x3a, 0x4a)), known, nothing},
		{"of version zero", payload(set(1, 0, 0, 0, 0)), known, nothing},
		{"of version 2, whose Initials have another type", payload(set(1, 0x6b, 0x33, 0x43, 0xcf)), known, nothing},
		{"of version 2", payload(set(0, 0xd0, 0x6b, 0x33, 0x43, 0xcf)), pass, opens},
		{"with the type of 0-RTT", payload(set(0, 0xd0)), pass, nothing},
		{"with the type of a Handshake packet", payload(set(0, 0xe0)), known, nothing},
		{"with the type of a Retry", payload(set(0, 0xf0)), known, nothing},
		{"with a short header", payload(set(0, 0x40)), known, nothing},
		{"to a connection ID of 7 bytes", payload(func(b []byte) []byte { return changed(changed(b, 5, 7), 13, 0, 0) }), known, nothing},
		{"to an ID of no bytes", payload(set(5, 0, 0, 0)), known, nothing},
		{"to an ID of 4 bytes, without a token", payload(toShortID(0)), known, nothing},
		{"to an ID of 4 bytes, with a token that the server did not make", payload(toShortID(20)), pass, opens},
		{"to an ID of 21 bytes", payload(set(5, 21)), pass, nothing},
		{"to an ID of 255 bytes", payload(set(5, 255)), pass, nothing},
		{"behind a Handshake packet in the same datagram", payload(before(handshake...)), known, nothing},
		{"behind a short header in the same datagram", payload(before(0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9)), known, nothing},
		{"behind version negotiation", payload(before(0xc0, 0, 0, 0, 0, 0, 0)), known, nothing},

		{"with the shortest IPv4 options", header(framekit.Options(4)), equic.DropOptions, nothing},
		{"with the longest IPv4 options", header(framekit.Options(40)), equic.DropOptions, nothing},
		{"with a router alert", header(func(ip *layers.IPv4) {
			ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
		}), equic.DropOptions, nothing},
		{"that must not be fragmented", header(func(ip *layers.IPv4) { ip.Flags = layers.IPv4DontFragment }), pass, opens},
		{"with the evil bit", header(func(ip *layers.IPv4) { ip.Flags = layers.IPv4EvilBit }), pass, opens},
		{"with the last hop", header(func(ip *layers.IPv4) { ip.TTL = 1 }), pass, opens},
		{"in UDP-Lite", header(framekit.Protocol(layers.IPProtocolUDPLite)), equic.PassNotUDP, nothing},
		{"with an IPv4 checksum that is wrong", bytesAt(14+10, 1, 2), pass, nothing},
		{"with a UDP checksum that is wrong", bytesAt(14+20+6, 1, 2), pass, nothing},
		{"without a UDP checksum", bytesAt(14+20+6, 0, 0), pass, opens},
		{"with a UDP length beyond the packet", bytesAt(14+20+4, 0xff, 0xff), pass, nothing},
		{"with a UDP length below its header's", bytesAt(14+20+4, 0, 7), malformed, nothing},
		{"with an IPv4 header of four words", bytesAt(14, 0x44), malformed, nothing},
		{"with the version of IPv6 in IPv4", bytesAt(14, 0x65), malformed, nothing},
		{"with bytes behind the packet", func(t *testing.T, b []byte) [][]byte {
			t.Helper()
			return [][]byte{append(ip4(t, nil, b), 1, 2, 3, 4)}
		}, pass, opens},

		{"in two fragments", split4([]int{0, 600}, 0, 1), fragmented, nothing},
		{"in two fragments, the last first", split4([]int{0, 600}, 1, 0), fragmented, nothing},
		{"in fragments of which the first is the UDP header", split4([]int{0, 8}, 0, 1), fragmented, nothing},
		{"in four fragments, out of order", split4([]int{0, 8, 64, 512}, 2, 0, 3, 1), fragmented, nothing},
		{"in fragments of which one comes twice", split4([]int{0, 600}, 0, 0, 1), fragmented, nothing},
		{"behind a first fragment with nothing in it", split4([]int{0, 0}, 0, 1), incomplete, opens},

		{"behind a hop-by-hop header", chained(padding(hopByHop)), pass, opens},
		{"behind destination options", chained(padding(options)), pass, opens},
		{"behind a routing header", chained(extension{routing, make([]byte, 7)}), pass, opens},
		{"behind eight headers", chained(eight...), pass, opens},
		{"behind nine headers", chained(append(slices.Clone(eight), padding(options))...), tooDeep, nothing},
		{"in an atomic fragment", chained(fragmentHeader(0, false)), pass, opens},
		{"behind an authentication header", chained(extension{unix.IPPROTO_AH, make([]byte, 15)}.withSize(2)), pass, nothing},
		{"in two IPv6 fragments", split6(udp, nil, []int{0, 600}, 0, 1), fragmented, nothing},
		{"in two IPv6 fragments, the last first", split6(udp, nil, []int{0, 600}, 1, 0), fragmented, nothing},
		{"in IPv6 fragments of which the first is the UDP header", split6(udp, nil, []int{0, 8}, 0, 1), fragmented, nothing},
		{
			"in IPv6 fragments of which the first ends before the UDP header",
			split6(options, []byte{options, 0, 1, 4, 0, 0, 0, 0, udp, 0, 1, 4, 0, 0, 0, 0}, []int{0, 8}, 0, 1), incomplete, nothing,
		},
		{
			"the same, the last first",
			split6(options, []byte{options, 0, 1, 4, 0, 0, 0, 0, udp, 0, 1, 4, 0, 0, 0, 0}, []int{0, 8}, 1, 0), incomplete, nothing,
		},
		{"the same, with what looks like TCP behind the packet", func(t *testing.T, b []byte) [][]byte {
			t.Helper()
			frames := split6(options, []byte{options, 0, 1, 4, 0, 0, 0, 0, udp, 0, 1, 4, 0, 0, 0, 0}, []int{0, 8}, 0, 1)(t, b)
			frames[0] = append(frames[0], 6, 0, 1, 4, 0, 0, 0, 0)
			return frames
		}, incomplete, nothing},
		{
			"in IPv6 fragments with headers in front",
			split6(options, []byte{udp, 0, 1, 4, 0, 0, 0, 0}, []int{0, 16}, 0, 1), fragmented, nothing,
		},
		{"in IPv6 without a UDP checksum", func(t *testing.T, b []byte) [][]byte {
			t.Helper()
			return [][]byte{changed(ip6(t, udp, datagram6(t, b)), 14+40+6, 0, 0)}
		}, pass, nothing},
		{"in IPv6 with a wrong UDP checksum", func(t *testing.T, b []byte) [][]byte {
			t.Helper()
			return [][]byte{changed(ip6(t, udp, datagram6(t, b)), 14+40+6, 1, 2)}
		}, pass, nothing},

		{"behind a VLAN tag of no device", tagged(7, 1), pass, nothing},
		{"behind a priority tag", tagged(0, 1), pass, opens},
		{"behind two priority tags", tagged(0, 2), pass, opens},
		{"behind three priority tags", tagged(0, 3), tooDeep, nothing},
		{"in IPIP", inside(layers.IPProtocolIPIP), equic.PassNotUDP, nothing},
		{"in GRE", inside(layers.IPProtocolGRE, 0, 0, 8, 0), equic.PassNotUDP, nothing},

		{"from the loopback network", from("127.0.0.1"), pass, nothing},
		{"from a group", from("224.0.0.1"), pass, nothing},
		{"from everybody", from("255.255.255.255"), pass, nothing},
		{"from the server itself", from(netkit.ServerAddress), pass, nothing},
	}
	for n := 1; n < 6; n++ {
		cases = append(cases, hostileCase{fmt.Sprintf("%d bytes of an Initial", n), payload(cut(n)), equic.PassNotQUIC, nothing})
	}
	return append(cases, hostileCase{"nothing", payload(cut(0)), equic.PassNotQUIC, nothing})
}

// withSize sets the length field of an authentication header.
func (e extension) withSize(words byte) extension {
	e.body[0] = words
	return e
}

// Each frame contains its own whole Initial, so that the server begins a handshake if
// the frame reaches it. A frame that gets through from a client that is not denied must
// not get through from one that is.
func TestNoHostileFrameOfADeniedClientOpensAConnection(t *testing.T) {
	cases := hostileCases()
	packets := quickit.Initials(t, 6*len(cases), http3.NextProtoH3) // first: the namespaces have no loopback address
	n := newNetwork(t)
	netkit.Enter(t, n.Client)
	netkit.SetUp(t, netkit.ClientInterface, netkit.ClientAddress6+"/64")
	netkit.Enter(t, n.Server)
	netkit.SetUp(t, netkit.ServerInterface, netkit.ServerAddress6+"/64")
	gateway, err := equic.Attach(equic.Options{
		Interfaces: []string{netkit.ServerInterface}, Ports: []equic.Port{{Number: serverPort}}, Quota: 1000,
		HalfOpen: equic.HalfOpenLimits{Total: 10_000, PerClient: 10_000},
	})
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, gateway.Close()) })
	bob6 := netip.MustParseAddr("2001:db8:b0b::1")
	var begun, marks atomic.Int64
	watch := func(info *quic.ClientInfo) {
		if from := info.RemoteAddr.(*net.UDPAddr).AddrPort().Addr().Unmap(); from == bob || from == bob6 {
			marks.Add(1)
		}
	}
	for _, address := range []string{netkit.ServerAddress, netkit.ServerAddress6} {
		at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), serverPort))
		socket, err := net.ListenUDP("udp", at)
		testkit.Must(t, err)
		listenGuarded(t, transportOn(t, socket), nil, gateway, &begun, watch)
	}
	send := n.Wire(t)
	next := func() []byte {
		p := packets[0]
		packets = packets[1:]
		return p
	}
	// A handshake of bob's at each socket marks that everything sent before has arrived.
	const sockets = 2
	mark := func() {
		t.Helper()
		before := marks.Load()
		send(framekit.Frame(t, framekit.Ethernet(typeIPv4), framekit.IPv4(bob.String(), nil), framekit.UDP(serverPort),
			gopacket.Payload(next())))
		send(framekit.Frame(t, framekit.Ethernet(layers.EthernetTypeIPv6), framekit.IPv6(bob6.String()),
			framekit.UDP(serverPort), gopacket.Payload(next())))
		testkit.Await(t, "the marks", func() bool { return marks.Load() == before+sockets })
	}
	try := func(c hostileCase) (opened int64, stats equic.Stats) {
		t.Helper()
		before := begun.Load()
		for _, frame := range c.frames(t, next()) {
			send(frame)
		}
		time.Sleep(2 * time.Millisecond) // for reassembled packets, which do not overtake others
		mark()
		stats, err := gateway.Stats()
		testkit.Must(t, err)
		return begun.Load() - before - sockets, stats
	}
	for _, c := range cases {
		before, err := gateway.Stats()
		testkit.Must(t, err)
		opened, after := try(c)
		got := after.Packets[c.reason] - before.Packets[c.reason]
		if c.reason == equic.PassUnknownClient {
			// Once a handshake is in progress, the client is in the table.
			got += after.Packets[equic.PassUnderQuota] - before.Packets[equic.PassUnderQuota]
			got -= sockets // the marks
		}
		if got == 0 || (opened != 0) != c.opens {
			t.Errorf("%s: counted %d times as %s, and %d handshakes; want %v", c.name, got, c.reason, opened, c.opens)
		}
	}
	for _, p := range []string{netkit.ClientAddress + "/32", netkit.ClientAddress6 + "/128"} {
		testkit.Must(t, gateway.Denied().Add(netip.MustParsePrefix(p)))
	}
	for _, c := range cases {
		if opened, _ := try(c); opened != 0 {
			t.Errorf("%s: %d handshakes of a denied client", c.name, opened)
		}
	}
	if len(cases) < 60 {
		t.Errorf("%d cases", len(cases))
	}
}
