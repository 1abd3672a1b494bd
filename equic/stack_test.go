package equic

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// stack is the reference for what Linux does with the frames that the program passes:
// it reassembles fragments (RFC 791, 3.2; RFC 8200, 4.5) and delivers datagrams to
// sockets. It discards an overlapping fragment with everything before it (RFC 5722, 4;
// Linux does the same over IPv4), except if all of its bytes have already come in one
// run. It supports only the headers that scripts send. It matches Linux 6.18.
type stack struct {
	waiting    map[packetID]*reassembly
	assembled  [2]int // packets, of IPv4 and of IPv6
	duplicates int
	overlaps   int
}

func newStack() *stack { return &stack{waiting: make(map[packetID]*reassembly)} }

// packetID identifies the fragments of one packet.
type packetID struct {
	source   netip.Addr
	number   uint32
	protocol byte // for IPv4 only
}

// reassembly is a partly received packet.
type reassembly struct {
	runs        []run // of bytes, in order
	data        []byte
	have        int // bytes
	length      int // of the packet, as far as it is known
	first, last bool
	next        byte // over IPv6: the type of the first header, from the first fragment
}

// run is a range of bytes that came in a row.
type run struct{ from, to int }

// delivery is a datagram that a socket receives.
type delivery struct {
	from, to netip.AddrPort
	payload  string
}

// receive processes a frame, and returns the datagram that then reaches a socket, or
// nil.
func (s *stack) receive(frame []byte) *delivery {
	b := frame[14:]
	if binary.BigEndian.Uint16(frame[12:]) == 0x0800 {
		return s.receiveIPv4(b)
	}
	addresses := [2]netip.Addr{netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))}
	return s.receiveIPv6(addresses, b[6], b[40:][:binary.BigEndian.Uint16(b[4:])])
}

func (s *stack) receiveIPv4(b []byte) *delivery {
	const moreFragments, offset = 0x2000, 0x1fff
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	addresses := [2]netip.Addr{netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))}
	id := packetID{source: addresses[0], number: uint32(binary.BigEndian.Uint16(b[4:])), protocol: b[9]}
	field, rest := binary.BigEndian.Uint16(b[6:]), b[header:total]
	if field&(moreFragments|offset) == 0 {
		return deliver(addresses, rest)
	}
	more := field&moreFragments != 0
	if more {
		rest = rest[:len(rest)&^7]
	}
	r := s.add(id, piece{int(field&offset) * 8, more, rest}, 0)
	if r == nil {
		return nil
	}
	s.assembled[0]++
	return deliver(addresses, r.data)
}

// receiveIPv6 parses headers up to the datagram.
func (s *stack) receiveIPv6(addresses [2]netip.Addr, next byte, rest []byte) *delivery {
	for fragmented := false; ; {
		switch {
		case next == 17:
			return deliver(addresses, rest)
		case next == 60 && len(rest) >= 8 && len(rest) >= (int(rest[1])+1)*8: // destination options, of padding
			next, rest = rest[0], rest[(int(rest[1])+1)*8:]
		case next == 44 && len(rest) >= 8 && !fragmented: // at most one fragment header
			field := binary.BigEndian.Uint16(rest[2:])
			p := piece{int(field &^ 7), field&1 != 0, rest[8:]}
			id := packetID{source: addresses[0], number: binary.BigEndian.Uint32(rest[4:])}
			next, rest, fragmented = rest[0], p.data, true
			if p.offset == 0 && !p.more {
				continue
			}
			if p.more && len(p.data)%8 != 0 || p.offset == 0 && isTruncated(next, p.data) {
				return nil
			}
			r := s.add(id, p, next)
			if r == nil {
				return nil
			}
			s.assembled[1]++
			next, rest = r.next, r.data
		default:
			return nil
		}
	}
}

// isTruncated reports whether Linux discards a first fragment at once because it ends
// within a header that is not one of IPv6. It keeps a fragment that ends before that
// header.
func isTruncated(next byte, b []byte) bool {
	at := 0
	for next == 60 {
		if at+2 > len(b) {
			return false
		}
		next, at = b[at], at+(int(b[at+1])+1)*8
	}
	switch next {
	case 0, 43, 44, 51, 59: // the other headers of IPv6
		return false
	case 17:
		return at+8 > len(b)
	case 6:
		return at+20 > len(b)
	}
	return at >= len(b)
}

// add adds a fragment, and returns the packet if it is complete.
func (s *stack) add(id packetID, p piece, next byte) *reassembly {
	r := s.waiting[id]
	if r == nil {
		r = &reassembly{}
		s.waiting[id] = r
	}
	to := p.offset + len(p.data)
	contradicts := r.last && to > r.length || !p.more && (to < r.length || r.last && to != r.length)
	if !contradicts {
		r.last = r.last || !p.more
		r.length = max(r.length, to)
	}
	overlaps, duplicate := r.overlap(run{p.offset, to})
	switch {
	case contradicts || len(p.data) == 0:
		delete(s.waiting, id)
		return nil
	case duplicate:
		s.duplicates++
		return nil
	case overlaps:
		s.overlaps++
		delete(s.waiting, id)
		return nil
	}
	r.insert(p)
	if p.offset == 0 {
		r.first, r.next = true, next
	}
	if !r.first || !r.last || r.have != r.length {
		return nil
	}
	delete(s.waiting, id)
	return r
}

// overlap reports whether some of the bytes have already come, and whether all of them
// have come in one run.
func (r *reassembly) overlap(n run) (overlaps, duplicate bool) {
	for _, have := range r.runs {
		if n.from < have.to && n.to > have.from {
			return true, n.from >= have.from && n.to <= have.to
		}
	}
	return false, false
}

// insert puts a fragment in its place. Only the last run is extended.
func (r *reassembly) insert(p piece) {
	to := p.offset + len(p.data)
	r.have += len(p.data)
	r.data = append(r.data, make([]byte, max(0, to-len(r.data)))...)
	copy(r.data[p.offset:], p.data)
	if n := len(r.runs); n > 0 && r.runs[n-1].to == p.offset {
		r.runs[n-1].to = to
		return
	}
	r.runs = append(r.runs, run{p.offset, to})
	slices.SortFunc(r.runs, func(a, b run) int { return cmp.Compare(a.from, b.from) })
}

// deliver parses a datagram (RFC 768).
func deliver(addresses [2]netip.Addr, b []byte) *delivery {
	if len(b) < 8 {
		return nil
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < 8 || length > len(b) {
		return nil
	}
	b = b[:length]
	sum := checksum(addresses[0].AsSlice(), checksum(addresses[1].AsSlice(), checksum(b, 17+uint32(length))))
	if sum != 0xffff {
		return nil
	}
	return &delivery{
		from:    netip.AddrPortFrom(addresses[0], binary.BigEndian.Uint16(b)),
		to:      netip.AddrPortFrom(addresses[1], binary.BigEndian.Uint16(b[2:])),
		payload: string(b[8:]),
	}
}

// checksum adds b to a sum of 16-bit words in ones' complement (RFC 1071).
func checksum(b []byte, sum uint32) uint32 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}
