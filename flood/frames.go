package flood

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

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
	to, err := hardwareAddress(ctx, o)
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
	own, ports := netip.AddrFrom4([4]byte(local.To4())), silent.ports()
	all := make([][]byte, len(payloads))
	for i, payload := range payloads {
		from := netip.AddrPortFrom(own, ports[i%len(ports)])
		if o.Kind == record.Spoofed {
			from = randomSource(o.Sources)
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

// randomSource returns an address in a network and a port, at random.
func randomSource(network netip.Prefix) netip.AddrPort {
	first := network.Masked().Addr().As4()
	random := rand.Uint32() >> network.Bits()
	address := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(first[:])|random)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address)), uint16(1024+rand.IntN(64512)))
}

// frame returns a datagram in UDP, IPv4 and Ethernet, padded to wire.FrameBytes. Its UDP checksum is zero, which
// means that there is none (RFC 768). Between nodes of one machine no checksum is
// verified. If the hardware of an interface verifies checksums, the CPU does not do so
// either.
func frame(fromMAC, toMAC net.HardwareAddr, from, to netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 0, wire.FrameBytes)
	b = append(append(append(b, toMAC...), fromMAC...), 0x08, 0x00)
	ip := len(b)
	b = append(b, 0x45, wire.Mark)
	b = binary.BigEndian.AppendUint16(b, uint16(20+8+len(payload)))
	const dontFragment, ttl, udp = 0x40, 64, 17
	b = append(b, 0, 0, dontFragment, 0, ttl, udp, 0, 0)
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(b[ip+10:], checksum(b[ip:]))
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(append(b, 0, 0), payload...)
	return append(b, make([]byte, wire.FrameBytes-len(b))...)
}

// checksum returns the checksum of an IPv4 header (RFC 791, 3.1).
func checksum(header []byte) uint16 {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// resolveLimit limits the wait for the server's hardware address.
const resolveLimit = 3 * time.Second

// hardwareAddress sends an empty datagram, so that the kernel resolves the server's
// hardware address, and returns the address. No QUIC server answers an empty datagram.
func hardwareAddress(ctx context.Context, o *Options) (net.HardwareAddr, error) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(o.Server))
	if err != nil {
		return nil, fmt.Errorf("find a way to the server: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write(nil); err != nil {
		return nil, fmt.Errorf("ask for the server's hardware address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	for {
		found, err := neighbour(o.Server.Addr().String(), o.Interface)
		if found != nil || err != nil {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is not a neighbour on %s: %w", o.Server.Addr(), o.Interface, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// neighbour returns the hardware address of a neighbour from the kernel's table, or
// nil.
func neighbour(address, device string) (_ net.HardwareAddr, err error) {
	table, err := os.Open("/proc/thread-self/net/arp") // of this thread's network namespace
	if err != nil {
		return nil, fmt.Errorf("read the neighbours: %w", err)
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// IP address, HW type, flags, HW address, mask, device
		f := strings.Fields(lines.Text())
		if len(f) == 6 && f[0] == address && f[5] == device && f[2] != "0x0" {
			return net.ParseMAC(f[3])
		}
	}
	return nil, nil
}
