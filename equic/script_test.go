package equic

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

// The senders of fragments, over IPv4 and IPv6: a client without connections, one at
// its quota, and a denied one. When a marker's datagram arrives, everything before it
// has arrived.
const (
	senderFree = iota
	senderFull
	senderDenied
	marker
)

const otherPort = serverPort + 1 // not protected

// sender returns the address of a client.
func sender(six bool, who int) string {
	if six {
		return fmt.Sprintf("2001:db8:1::%d", 10+who)
	}
	return fmt.Sprintf("192.0.2.%d", 10+who)
}

// receivers are the server's sockets.
var receivers = []netip.AddrPort{
	netip.AddrPortFrom(netip.MustParseAddr(serverAddress), serverPort),
	netip.AddrPortFrom(netip.MustParseAddr(serverAddress), otherPort),
	netip.AddrPortFrom(netip.MustParseAddr(serverAddress6), serverPort),
	netip.AddrPortFrom(netip.MustParseAddr(serverAddress6), otherPort),
}

// script decides what to send. Each choice uses one byte of it. After its end, all
// choices are zero.
type script []byte

func (s *script) below(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

func (s *script) oneIn(n int) bool { return s.below(n) == n-1 }

// piece is a part of a packet. The offset is in bytes.
type piece struct {
	offset int
	more   bool
	data   []byte
}

// packet is a packet to send whole or in fragments.
type packet struct {
	six    bool
	source string
	id     uint32
	front  []extension // before the fragment header
	kind   byte        // over IPv6: of the first header that may be in a fragment
	body   []byte
}

// packet makes a packet with a unique payload.
func (s *script) packet(tb testing.TB, serial byte) packet {
	tb.Helper()
	p := packet{six: s.oneIn(2), kind: unix.IPPROTO_UDP}
	p.source = sender(p.six, s.below(marker))
	p.id = uint32(1 + s.below(2))
	port := serverPort
	if s.oneIn(3) {
		port = otherPort
	}
	p.body = datagramTo(tb, p.source, port, s.payload(serial))[14+20:]
	if p.six {
		p.body = p.body[20:]
		for range s.below(3) { // headers that may be split between fragments
			p.body = append([]byte{p.kind, 0, 1, 4, 0, 0, 0, 0}, p.body...)
			p.kind = unix.IPPROTO_DSTOPTS
		}
		p.front = repeated([]int{0, 0, 0, 1, 2, 9}[s.below(6)])
	}
	return p
}

// payload returns an Initial, a packet of an established connection, or something else.
func (s *script) payload(serial byte) []byte {
	first := [][]byte{initial(), short(), {serial}}[s.below(3)]
	b := make([]byte, max(len(first), 16+8*s.below(150)+s.below(8)))
	for i := range b {
		b[i] = byte(i*7) + serial
	}
	copy(b, first[:min(len(first), 15)])
	return b
}

// cut cuts a packet at multiples of 8 bytes.
func (s *script) cut(body []byte) (pieces []piece) {
	var cuts []int
	for range s.below(6) {
		cuts = append(cuts, min(len(body)&^7, 8*[]int{1, s.below(5), s.below(len(body)/8 + 1)}[s.below(3)]))
	}
	slices.Sort(cuts)
	from := 0
	for _, to := range append(cuts, len(body)) {
		pieces = append(pieces, piece{from, to < len(body), body[from:to]})
		from = to
	}
	pieces[len(pieces)-1].more = false
	return pieces
}

// disturb changes some pieces into ones that no honest sender makes.
func (s *script) disturb(pieces []piece) []piece {
	for range []int{0, 0, 1, 2}[s.below(4)] {
		i := s.below(len(pieces))
		p := &pieces[i]
		switch s.below(8) {
		case 0:
			pieces = append(pieces, *p)
		case 1:
			p.offset += 8
		case 2:
			p.offset = max(0, p.offset-8)
		case 3:
			p.more = !p.more
		case 4:
			p.data = p.data[:max(0, len(p.data)-1-s.below(9))]
		case 5:
			p.data = append(slices.Clone(p.data), 1, 2, 3, 4, 5, 6, 7, 8)
		case 6:
			p.data = nil
		case 7:
			if len(pieces) > 1 {
				pieces = slices.Delete(pieces, i, i+1)
			}
		}
	}
	return pieces
}

// frame returns a fragment of a packet.
func (p packet) frame(tb testing.TB, of piece, options func(*layers.IPv4)) []byte {
	tb.Helper()
	if !p.six {
		return framekit.Frame(tb, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(p.source, func(ip *layers.IPv4) {
			ip.Id, ip.FragOffset = uint16(p.id), uint16(of.offset/8)
			if of.more {
				ip.Flags = layers.IPv4MoreFragments
			}
			options(ip)
		}), gopacket.Payload(of.data))
	}
	header := fragment6(uint16(of.offset/8), of.more)
	binary.BigEndian.PutUint32(header.body[3:], p.id)
	return p.from(extended(tb, append(slices.Clone(p.front), header), p.kind, of.data))
}

// from sets the source of an IPv6 packet.
func (p packet) from(frame []byte) []byte {
	source := netip.MustParseAddr(p.source).As16()
	return with(frame, 14+8, source[:]...)
}

// frames returns the frames of a packet, in some order.
func (s *script) frames(tb testing.TB, p packet) (frames [][]byte) {
	tb.Helper()
	pieces := s.cut(p.body)
	if len(pieces) == 1 && p.six && s.oneIn(2) {
		return [][]byte{p.from(extended(tb, p.front, p.kind, p.body))}
	}
	for _, of := range s.disturb(pieces) {
		options := func(*layers.IPv4) {}
		if s.oneIn(16) {
			options = framekit.Options(8)
		}
		p := p
		if of.offset > 0 && s.oneIn(8) {
			p.kind = unix.IPPROTO_TCP // the stack reads this from the first fragment only
		}
		frame := p.frame(tb, of, options)
		if s.oneIn(8) {
			frame = padded(frame, unix.IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0)
		}
		frames = append(frames, frame)
	}
	return frames
}

// sequence returns the frames that a script sends: those of some packets, interleaved.
// At its end are empty fragments, which make the stack forget incomplete packets, and
// the marker's datagrams.
func (s *script) sequence(tb testing.TB) (frames [][]byte) {
	tb.Helper()
	var packets []packet
	for serial := range 1 + s.below(3) {
		p := s.packet(tb, byte(serial))
		packets = append(packets, p)
		frames = append(frames, s.frames(tb, p)...)
	}
	if !s.oneIn(4) {
		for i := range frames {
			j := i + s.below(len(frames)-i)
			frames[i], frames[j] = frames[j], frames[i]
		}
	}
	for _, p := range packets {
		p.front = nil
		frames = append(frames, p.frame(tb, piece{offset: 8}, func(*layers.IPv4) {}))
	}
	for _, to := range receivers {
		frames = append(frames, datagramTo(tb, sender(to.Addr().Is6(), marker), int(to.Port()), short()))
	}
	return frames
}

// scripts returns the same scripts in each run.
func scripts(n int) [][]byte {
	random := rand.New(rand.NewPCG(15, 0))
	list := make([][]byte, n)
	for i := range list {
		list[i] = make([]byte, 120)
		for j := range list[i] {
			list[i][j] = byte(random.Uint32())
		}
	}
	return list
}
