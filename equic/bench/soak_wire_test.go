package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/framekit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// soakWire is the client's end of the veth pair, and the server's socket.
type soakWire struct {
	fd     int // a packet socket
	frames [][]byte
	server *net.UDPConn
}

func newSoakWire(t *testing.T, p netkit.Pair) soakWire {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(netkit.ServerAddress), Port: serverPort})
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, server.Close()) })
	to := netkit.Link(t, netkit.ServerInterface).Attrs().HardwareAddr
	netkit.Enter(t, p.Client)
	defer netkit.Enter(t, p.Server)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0 receives nothing
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, unix.Close(fd)) })
	testkit.Must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: netkit.Link(t, netkit.ClientInterface).Attrs().Index}))
	return soakWire{fd: fd, frames: soakFrames(t, to), server: server}
}

// soakFrames returns packets of all kinds to the server, from all clients.
func soakFrames(t *testing.T, to net.HardwareAddr) [][]byte {
	t.Helper()
	hello, flow := make(gopacket.Payload, 1200), make(gopacket.Payload, 1200)
	copy(hello, []byte{0xc0, 0, 0, 0, 1, 8})
	flow[0] = 0x40
	v4, v6, tag := layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeDot1Q
	frames := [][]byte{
		framekit.Frame(t, framekit.Ethernet(v4), framekit.IPv4(netkit.ClientAddress, nil), framekit.UDP(serverPort), flow),
		framekit.Frame(t, framekit.Ethernet(v4), framekit.IPv4(netkit.ClientAddress, nil), framekit.UDP(serverPort),
			hello[:100]),
		framekit.Frame(t, framekit.Ethernet(v4),
			framekit.IPv4(netkit.ClientAddress, framekit.Protocol(layers.IPProtocolICMPv4)), &layers.ICMPv4{}),
		framekit.Frame(t, framekit.Ethernet(layers.EthernetTypeARP), make(gopacket.Payload, 28)),
	}
	for i := range soakClients {
		c := soakClient(i)
		if c.Is6() {
			frames = append(frames, framekit.Frame(t, framekit.Ethernet(v6), framekit.IPv6(c.String()),
				framekit.UDP(serverPort), hello))
			continue
		}
		frames = append(frames,
			framekit.Frame(t, framekit.Ethernet(v4), framekit.IPv4(c.String(), nil), framekit.UDP(serverPort), hello),
			framekit.Frame(t, framekit.Ethernet(tag), framekit.VLAN(v4), framekit.IPv4(c.String(), framekit.Options(8)),
				framekit.UDP(serverPort), hello),
			frames[0])
	}
	for _, f := range frames {
		copy(f, to)
	}
	return frames
}

// send sends packets as fast as it can.
func (s *soak) send(ctx context.Context, t *testing.T) {
	t.Helper()
	for ctx.Err() == nil {
		_, err := unix.Write(s.wire.fd, s.wire.frames[rand.IntN(len(s.wire.frames))])
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			t.Error(err)
			return
		}
		s.sent.Add(1)
	}
}

// receive is the server: it receives the packets that pass.
func (s *soak) receive(ctx context.Context, t *testing.T) {
	t.Helper()
	noteError(t, s.wire.server.SetReadDeadline(time.Time{}))
	stop := context.AfterFunc(ctx, func() { noteError(t, s.wire.server.SetReadDeadline(time.Now())) })
	defer stop()
	b := make([]byte, 2048)
	for {
		_, err := s.wire.server.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		noteError(t, err)
		s.received.Add(1)
	}
}
