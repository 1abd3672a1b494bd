package equic

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// QUIC's versions, and the smallest size of a datagram with an Initial.
const (
	quicV1         = 0x00000001 // RFC 9000
	quicV2         = 0x6b3343cf // RFC 9369
	quicMinInitial = 1200       // bytes; RFC 9000, 14.1
)

// reference computes what the program must do with a frame. It is the documentation of
// the options and reasons, and the RFCs, in plain Go. It shares no code with the
// gateway, only names. It has no rates: it only computes who takes a token.
//
// It reads headers in their order, and stops at the first one that decides. It reads
// the length fields of IP only for fragments: the stack drops other packets with
// inconsistent lengths.
type reference struct {
	options    Options           // complete
	counts     map[client]uint32 // as in the kernel's table
	handshakes bool              // the clients have handshakes in progress
}

// client is the source of a datagram.
type client struct {
	prefix netip.Prefix
	port   uint16
}

// judgement is the expected treatment of a frame.
type judgement struct {
	reason string
	client client // zero if the verdict does not depend on its count
	source netip.Addr
	port   uint16 // zero if it is not a protected port
	token  bool   // it opens a connection, and only the rate can stop it
}

func (r *reference) judge(frame []byte) judgement {
	d, reason := readFrame(frame)
	switch {
	case reason == DropIncomplete && r.options.Pass&Fragments != 0:
		reason = PassIncomplete
	case reason == DropTooDeep && r.options.Pass&DeepHeaders != 0:
		reason = PassTooDeep
	}
	if reason != "" {
		return judgement{reason: reason}
	}
	i := slices.IndexFunc(r.options.Ports, func(p Port) bool { return p.Number == d.port })
	if i < 0 {
		return judgement{reason: PassOtherPort}
	}
	j := r.judgeDatagram(d, r.options.Ports[i])
	j.port = d.port
	return j
}

func (r *reference) judgeDatagram(d udpDatagram, p Port) judgement {
	holds := func(prefix netip.Prefix) bool { return prefix.Contains(d.source) }
	if slices.ContainsFunc(r.options.Allowed, holds) {
		return judgement{reason: PassAllowed}
	}
	if slices.ContainsFunc(r.options.Denied, holds) {
		return judgement{reason: DropDenied}
	}
	if d.partial && r.options.Pass&Fragments == 0 {
		return judgement{reason: DropFragmented}
	}
	if d.ipOptions && r.options.Pass&IPv4Options == 0 {
		return judgement{reason: DropOptions}
	}
	kind := d.kind()
	if p.Policy == PolicyNew && (kind == "") {
		return judgement{reason: PassNotQUIC}
	}
	if p.Policy == PolicyNew && !opens(kind) {
		return judgement{reason: PassEstablished}
	}
	if (kind == "initial" || kind == "initial with a token") && d.length < quicMinInitial {
		return judgement{reason: DropShortInitial}
	}
	j := judgement{client: r.client(d.source, p.Number), source: d.source}
	switch count, known := r.counts[j.client]; {
	case !known:
		j.reason = PassUnknownClient
	case count < uint32(p.Quota):
		j.reason = PassUnderQuota
	case p.Policy == PolicyNew && r.handshakes && portBit(d.sourcePort) == portBit(40000) && (kind == "initial with a token" || kind == "0-rtt"):
		j.reason = PassHandshake
	default:
		j.reason = DropOverQuota
	}
	j.token = opens(kind) && kind != "0-rtt" && j.reason != DropOverQuota && p.InitialsPerSecond > 0
	return j
}

func (r *reference) client(addr netip.Addr, port uint16) client {
	bits := r.options.IPv6Prefix
	if addr.Is4() {
		bits = r.options.IPv4Prefix
	}
	return client{netip.PrefixFrom(addr, bits).Masked(), port}
}

// udpDatagram is the content of a datagram, as far as it is read.
type udpDatagram struct {
	source     netip.Addr // never an IPv4 address in IPv6 form
	port       uint16
	sourcePort uint16
	length     int    // of the payload, by the UDP header
	payload    []byte // the part of it that is in the frame
	partial    bool   // the first of several fragments
	ipOptions  bool
}

// kind returns the kind of the first QUIC packet of a datagram. It is empty if the
// datagram is too short to classify.
func (d udpDatagram) kind() string {
	switch {
	case d.partial: // RFC 9000, 14: no datagram is fragmented
		return "fragment"
	case len(d.payload) < 1:
		return ""
	case d.payload[0]&0x80 == 0: // RFC 8999, 5.2
		return "short header"
	case len(d.payload) < 6: // RFC 8999, 5.1
		return ""
	}
	bits := d.payload[0] >> 4 & 3
	initial := d.initial()
	switch binary.BigEndian.Uint32(d.payload[1:]) {
	case 0: // RFC 8999, 6
		return "version negotiation"
	case quicV1: // RFC 9000, 17.2
		return [...]string{initial, "0-rtt", "handshake", "retry"}[bits]
	case quicV2: // RFC 9369, 3.2
		return [...]string{"retry", initial, "0-rtt", "handshake"}[bits]
	}
	if d.payload[0]&0x40 == 0 { // RFC 9443, 4: not QUIC, as the fixed bit of RFC 9000 is missing
		return "not QUIC"
	}
	return "unknown version"
}

// initial returns the kind of an Initial: one that opens a connection, one with a token
// to an ID that a server chose, or a later one of a handshake (RFC 9000, 7.2 and
// 17.2.2).
func (d udpDatagram) initial() string {
	rest := d.payload[5:]
	if rest[0] >= 8 {
		return "initial"
	}
	for range 2 { // the destination's ID, then the source's
		size := int(rest[0])
		if size > 20 || len(rest) < 1+size+1 {
			return "later initial"
		}
		rest = rest[1+size:]
	}
	if rest[0] == 0 {
		return "later initial"
	}
	return "initial with a token"
}

// opens reports whether a packet may be the first of a connection.
func opens(kind string) bool {
	return slices.Contains([]string{"initial", "initial with a token", "0-rtt", "unknown version", "fragment"}, kind)
}

// readFrame parses a frame, or returns the reason why it can't.
func readFrame(frame []byte) (udpDatagram, string) {
	const addresses, mostTags = 12, 2
	rest := frame[min(addresses, len(frame)):]
	for tags := 0; len(rest) >= 2; tags++ {
		switch binary.BigEndian.Uint16(rest) {
		case 0x0800:
			return readIPv4(rest[2:])
		case 0x86dd:
			return readIPv6(rest[2:])
		case 0x8100, 0x88a8: // IEEE 802.1Q: two more bytes of the tag, then the next type
		default:
			return udpDatagram{}, PassNotIP
		}
		if tags == mostTags {
			return udpDatagram{}, DropTooDeep
		}
		rest = rest[min(4, len(rest)):]
	}
	return udpDatagram{}, PassMalformed
}

// readIPv4 parses a packet according to RFC 791.
func readIPv4(b []byte) (udpDatagram, string) {
	if len(b) < 20 || b[0]>>4 != 4 || b[0]&15 < 5 {
		return udpDatagram{}, PassMalformed
	}
	if b[9] != 17 {
		return udpDatagram{}, PassNotUDP
	}
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return udpDatagram{}, PassFragment
	}
	header, partial := int(b[0]&15)*4, b[6]&0x20 != 0
	if partial && int(binary.BigEndian.Uint16(b[2:])) < header+8 {
		return udpDatagram{}, DropIncomplete
	}
	d, reason := readUDP(b[min(header, len(b)):], netip.AddrFrom4([4]byte(b[12:16])), false)
	if partial && reason == PassMalformed {
		reason = DropIncomplete
	}
	d.partial, d.ipOptions = partial, header > 20
	return d, reason
}

// readIPv6 parses a packet according to RFC 8200. The first four bytes of an extension
// header must be there.
func readIPv6(b []byte) (udpDatagram, string) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return udpDatagram{}, PassMalformed
	}
	source := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	if netip.MustParsePrefix("64:ff9b::/96").Contains(source) { // RFC 6052, 2.1
		source = netip.AddrFrom4([4]byte(b[20:24]))
	}
	// Bytes after the IP packet in its frame are not part of it.
	behind := len(b) - 40 - int(binary.BigEndian.Uint16(b[4:]))
	next, rest, partial := b[6], b[40:], false
	for headers := 0; next != 17; headers++ {
		size := func(units int) int { return units * 8 }
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination
		case 44: // fragment: 8 bytes; its second byte is reserved (4.5)
			size = func(int) int { return 8 }
		case 51: // AH: RFC 4302, 2.2
			size = func(units int) int { return (units + 1) * 4 }
		default:
			return udpDatagram{}, PassNotUDP
		}
		if headers == 8 {
			return udpDatagram{}, DropTooDeep
		}
		if len(rest) < 4 && partial {
			return udpDatagram{}, DropIncomplete
		}
		if len(rest) < 4 {
			return udpDatagram{}, PassMalformed
		}
		if next == 44 && binary.BigEndian.Uint16(rest[2:])>>3 != 0 {
			return udpDatagram{}, PassFragment
		}
		partial = partial || next == 44 && rest[3]&1 != 0
		length := size(int(rest[1]) + 1)
		if partial && len(rest)-length < behind {
			return udpDatagram{}, DropIncomplete
		}
		next, rest = rest[0], rest[min(length, len(rest)):]
	}
	if partial && len(rest)-8 < behind {
		return udpDatagram{}, DropIncomplete
	}
	d, reason := readUDP(rest, source, true)
	if partial && reason == PassMalformed {
		reason = DropIncomplete
	}
	d.partial = partial
	return d, reason
}

// readUDP parses a datagram according to RFC 768. Over IPv6, a length of zero is that
// of a jumbogram, which extends to the end of the packet (RFC 2675, 4).
func readUDP(b []byte, source netip.Addr, jumbo bool) (udpDatagram, string) {
	const header = 8
	if len(b) < header {
		return udpDatagram{}, PassMalformed
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length == 0 && jumbo {
		length = len(b)
	}
	if length < header {
		return udpDatagram{}, PassMalformed
	}
	return udpDatagram{
		source:     source,
		port:       binary.BigEndian.Uint16(b[2:]),
		sourcePort: binary.BigEndian.Uint16(b),
		length:     length - header,
		payload:    b[header:min(length, len(b))],
	}, ""
}
