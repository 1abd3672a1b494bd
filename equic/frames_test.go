package equic

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
)

// datagram returns a frame to the test's server, without tags and options.
func datagram(tb testing.TB, source string, payload []byte) []byte {
	tb.Helper()
	return datagramTo(tb, source, serverPort, payload)
}

// datagramTo returns a frame to a port, without tags and options.
func datagramTo(tb testing.TB, source string, port int, payload []byte) []byte {
	tb.Helper()
	if net.ParseIP(source).To4() == nil {
		return framekit.Frame(tb, framekit.Ethernet(layers.EthernetTypeIPv6), framekit.IPv6(source), framekit.UDP(port),
			gopacket.Payload(payload))
	}
	return framekit.Frame(tb, framekit.Ethernet(layers.EthernetTypeIPv4), framekit.IPv4(source, nil), framekit.UDP(port),
		gopacket.Payload(payload))
}

// clientChosen is the length of the shortest connection ID that a client may choose
// (RFC 9000, 7.2).
const clientChosen = 8

// long returns a QUIC packet with a long header (RFC 8999, 5.1), with the given type
// bits and size, to a connection ID that the client has chosen. It may be too short for
// its version.
func long(version uint32, kind byte, size int) []byte {
	p := append(binary.BigEndian.AppendUint32([]byte{0xc0 | kind<<4}, version), clientChosen)
	if size < len(p) {
		return p[:size]
	}
	return append(p, make([]byte, size-len(p))...)
}

// initial returns the first packet of a client, as in RFC 9000, 14.1.
func initial() []byte { return long(quicV1, 0, quicMinInitial) }

// toServerID returns an Initial to a connection ID that a server has chosen. The
// lengths are in bytes.
func toServerID(version uint32, kind byte, id, source, token, size int) []byte {
	p := binary.BigEndian.AppendUint32([]byte{0xc0 | kind<<4}, version)
	p = append(append(p, byte(id)), make([]byte, id)...)
	p = append(append(p, byte(source)), make([]byte, source)...)
	p = append(p, byte(token))
	return append(p, make([]byte, max(0, size-len(p)))...)
}

// short returns a QUIC packet with a short header, as in an established connection.
func short() []byte { return append([]byte{0x40}, make([]byte, 40)...) }

// extended returns a packet of over6 with extension headers before rest, which stands
// for the UDP datagram. last is the number of the protocol after them.
func extended(tb testing.TB, chain []extension, last byte, rest []byte) []byte {
	tb.Helper()
	var headers []byte
	ip := framekit.IPv6(over6)
	ip.NextHeader = layers.IPProtocol(last)
	for i, e := range chain {
		if i == 0 {
			ip.NextHeader = layers.IPProtocol(e.kind)
		}
		next := last
		if i+1 < len(chain) {
			next = chain[i+1].kind
		}
		headers = append(headers, next)
		headers = append(headers, e.body...)
	}
	return framekit.Frame(tb, framekit.Ethernet(layers.EthernetTypeIPv6), ip, gopacket.Payload(append(headers, rest...)))
}

// extension is an IPv6 extension header: its protocol number, and its bytes after the
// first one, which is the number of the next header.
type extension struct {
	kind byte
	body []byte
}

// optional returns a hop-by-hop, routing or destination header of units times 8 bytes
// (RFC 8200, 4.3 to 4.6). It contains nothing that a host would act on.
func optional(kind byte, units int) extension {
	body := make([]byte, units*8-1)
	body[0] = byte(units - 1)
	if kind != unix.IPPROTO_ROUTING {
		body[1], body[2] = 1, byte(len(body)-3) // one option, PadN
	}
	return extension{kind, body}
}

// authentication returns an AH header of this many bytes, a multiple of 4 (RFC 4302,
// 2.2).
func authentication(bytes int) extension {
	body := make([]byte, bytes-1)
	body[0] = byte(bytes/4 - 2)
	return extension{unix.IPPROTO_AH, body}
}

// fragment6 returns a fragment header (RFC 8200, 4.5). The offset is in units of 8
// bytes.
func fragment6(offset uint16, more bool) extension {
	body := make([]byte, 7)
	field := offset << 3
	if more {
		field |= 1
	}
	binary.BigEndian.PutUint16(body[1:], field)
	return extension{unix.IPPROTO_FRAGMENT, body}
}

// repeated returns a chain of n destination headers.
func repeated(n int) []extension {
	var chain []extension
	for range n {
		chain = append(chain, optional(unix.IPPROTO_DSTOPTS, 1))
	}
	return chain
}

func fragment(offset uint16, flags layers.IPv4Flag) func(*layers.IPv4) {
	return func(ip *layers.IPv4) { ip.FragOffset, ip.Flags = offset, flags }
}

// disguised puts the server's port at the position of the destination port in a packet
// without options: bytes 22 and 23 of the IP header.
func disguised() func(*layers.IPv4) {
	return func(ip *layers.IPv4) {
		ip.Options = []layers.IPv4Option{{
			OptionType:   0x88,
			OptionLength: 8,
			OptionData:   []byte{serverPort >> 8, serverPort & 0xff, 0, 0, 0, 0},
		}}
	}
}

// with returns a copy of a packet with some bytes changed.
func with(packet []byte, offset int, values ...byte) []byte {
	changed := slices.Clone(packet)
	copy(changed[offset:], values)
	return changed
}

// padded returns a packet with bytes after its end, as Ethernet pads short ones.
func padded(packet []byte, padding ...byte) []byte {
	return append(slices.Clone(packet), padding...)
}
