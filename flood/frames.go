package flood

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"

	"github.com/equic-bench/equic-bench/flood/wire"
	"github.com/equic-bench/equic-bench/record"
)

// leastLive is the least number of frames to send at once as live frames. To start
// these, the kernel needs some 5 to 25 ms (it waits for an RCU grace period), so a
// steady rate would turn into bursts. Smaller numbers are sent one by one.
const leastLive = 2048

// frames sends whole frames. Its sockets only keep the source ports open, without
// reading.
type frames struct {
	live   *wire.Sender
	single *packets
	silent *sockets
}

func newFrames(ctx context.Context, o *Options, payloads [][]byte) (_ *frames, err error) {
	link, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", o.Interface, err)
	}
	to, err := hardwareAddress(ctx, o, link)
	if err != nil {
		return nil, err
	}
	silent, err := newSockets(o, payloads)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, silent.Close())
		}
	}()
	local, err := localAddress(o)
	if err != nil {
		return nil, err
	}
	own, ports, several := local.AddrPort().Addr().Unmap(), silent.ports(), o.own()
	all := make([][]byte, len(payloads))
	for i, payload := range payloads {
		from := netip.AddrPortFrom(own, ports[i%len(ports)])
		switch {
		case o.Kind == record.Spoofed:
			from = randomSource(o.Sources)
		case several.Given():
			from = netip.AddrPortFrom(several.At(i), from.Port())
		}
		all[i] = frame(link.HardwareAddr, to, from, o.Server, payload)
	}
	live, err := wire.NewSender(link.Index, all)
	if err != nil {
		return nil, err
	}
	single, err := newPackets(link.Index, all)
	if err != nil {
		return nil, errors.Join(err, live.Close())
	}
	return &frames{live, single, silent}, nil
}

// Send sends about n frames.
func (f *frames) Send(n int) error {
	if n < leastLive {
		return f.single.Send(n)
	}
	return f.live.Send(n)
}

// Sent returns the number of frames sent.
func (f *frames) Sent() (uint64, error) {
	n, err := f.live.Sent()
	return n + f.single.sent, err
}

// Close unloads the program and closes the sockets.
func (f *frames) Close() error {
	return errors.Join(f.live.Close(), f.single.Close(), f.silent.Close())
}

// randomSource returns an address in a network and a port, at random. In IPv6, it is in a
// random /64 of the network.
func randomSource(network netip.Prefix) netip.AddrPort {
	port := uint16(1024 + rand.IntN(64512))
	if network.Addr().Is6() {
		first := network.Masked().Addr().As16()
		address := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(first[:8])|rand.Uint64()>>network.Bits())
		address = binary.BigEndian.AppendUint64(address, rand.Uint64())
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(address)), port)
	}
	first := network.Masked().Addr().As4()
	random := rand.Uint32() >> network.Bits()
	address := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(first[:])|random)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address)), port)
}

// frame returns a datagram in UDP, IP and Ethernet. It is padded to the size of a frame with
// a datagram of 1200 bytes.
func frame(fromMAC, toMAC net.HardwareAddr, from, to netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 0, wire.FrameBytes6)
	b = append(append(b, toMAC...), fromMAC...)
	size := wire.FrameBytes
	if to.Addr().Is6() {
		size = wire.FrameBytes6
		b = appendIPv6(append(b, 0x86, 0xdd), from, to, payload)
	} else {
		b = appendIPv4(append(b, 0x08, 0x00), from, to, payload)
	}
	return append(b, make([]byte, size-len(b))...)
}

// Fields of IP headers.
const (
	udp = 17 // the protocol
	ttl = 64 // or hop limit
)

// appendIPv4 appends a datagram in IPv4. Its UDP checksum is zero, which means that there is
// none (RFC 768). Between nodes of one machine no checksum is verified. If the hardware of an
// interface verifies checksums, the CPU does not do so either.
func appendIPv4(b []byte, from, to netip.AddrPort, payload []byte) []byte {
	ip := len(b)
	b = append(b, 0x45, wire.Mark)
	b = binary.BigEndian.AppendUint16(b, uint16(20+8+len(payload)))
	const dontFragment = 0x40
	b = append(b, 0, 0, dontFragment, 0, ttl, udp, 0, 0)
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(b[ip+10:], checksum(b[ip:]))
	return appendUDP(b, from, to, payload)
}

// appendIPv6 appends a datagram in IPv6, where the UDP checksum is required (RFC 8200, 8.1).
func appendIPv6(b []byte, from, to netip.AddrPort, payload []byte) []byte {
	b = append(b, 0x60|wire.Mark>>4, wire.Mark<<4&0xff, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, udp, ttl)
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	datagram := len(b)
	b = appendUDP(b, from, to, payload)
	binary.BigEndian.PutUint16(b[datagram+6:], udpChecksum(from.Addr(), to.Addr(), b[datagram:]))
	return b
}

// appendUDP appends a datagram without a checksum.
func appendUDP(b []byte, from, to netip.AddrPort, payload []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// udpChecksum returns the checksum of a datagram whose checksum is zero, with the
// pseudo-header of IPv6. A sum of zero is sent as 0xffff.
func udpChecksum(from, to netip.Addr, datagram []byte) uint16 {
	b := slices.Concat(from.AsSlice(), to.AsSlice())
	b = binary.BigEndian.AppendUint32(b, uint32(len(datagram)))
	b = append(append(b, 0, 0, 0, udp), datagram...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	if sum := checksum(b); sum != 0 {
		return sum
	}
	return 0xffff
}

// checksum returns the Internet checksum of an even number of bytes (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
