package equic

import (
	"bytes"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// flow is a client's socket and a server's, in the namespaces of a pair.
type flow struct {
	client, server *net.UDPConn
}

// newFlow connects to a server's address. The test is then in the server's namespace.
func (p pair) newFlow(t *testing.T, server string, port uint16) flow {
	t.Helper()
	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(server), port))
	var f flow
	var err error
	f.server, err = net.ListenUDP("udp", at)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, f.server.Close()) })
	testkit.Must(t, f.server.SetReadDeadline(time.Now().Add(10*time.Second)))
	netkit.Enter(t, p.Client)
	f.client, err = net.DialUDP("udp", nil, at)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, f.client.Close()) })
	netkit.Enter(t, p.Server)
	return f
}

// addressOf is the client's.
func addressOf(f flow) netip.Addr { return f.client.LocalAddr().(*net.UDPAddr).AddrPort().Addr() }

func (f flow) send(t *testing.T, payload []byte) {
	t.Helper()
	_, err := f.client.Write(payload)
	testkit.Must(t, err)
}

// receive expects that the next payload at the server is want.
func (f flow) receive(t *testing.T, want []byte) {
	t.Helper()
	b := make([]byte, 9000)
	n, err := f.server.Read(b)
	testkit.Must(t, err)
	if string(b[:n]) != string(want) {
		t.Errorf("received %d bytes that begin with %x, want %d that begin with %x", n, b[:min(n, 8)], len(want),
			want[:min(len(want), 8)])
	}
}

// receiveAgain expects a payload, and sends it again until it arrives: a busy kernel
// may lose a fragment.
func (f flow) receiveAgain(t *testing.T, want []byte, send func()) {
	t.Helper()
	b := make([]byte, 9000)
	testkit.Await(t, "the datagram", func() bool {
		testkit.Must(t, f.server.SetReadDeadline(time.Now().Add(time.Second)))
		n, err := f.server.Read(b)
		if err != nil {
			send()
			return false
		}
		return string(b[:n]) == string(want)
	})
}

// arrives sends a payload that the server must receive.
func (f flow) arrives(t *testing.T, payload []byte) {
	t.Helper()
	f.send(t, payload)
	f.receive(t, payload)
}

// stalls sends a payload that the gateway must drop and count. The next payload at the
// server shows that this one was dropped.
func (f flow) stalls(t *testing.T, g *Gateway, payload []byte, reason string) {
	t.Helper()
	before := packets(t, g, reason)
	f.send(t, payload)
	testkit.Await(t, reason, func() bool { return packets(t, g, reason) == before+1 })
}

// setIPOptions makes the client's packets carry IP options that do nothing.
func (f flow) setIPOptions(t *testing.T) {
	t.Helper()
	raw, err := f.client.SyscallConn()
	testkit.Must(t, err)
	var failure error
	testkit.Must(t, raw.Control(func(fd uintptr) {
		failure = syscall.SetsockoptString(int(fd), unix.IPPROTO_IP, unix.IP_OPTIONS, "\x01\x01\x01\x00")
	}))
	testkit.Must(t, failure)
}

// newTap returns a function that waits for a frame with a payload on the server's
// interface, after the gateway. The function reports whether a frame with notBefore
// came earlier.
func (pair) newTap(t *testing.T) func(payload, notBefore []byte) (early bool) {
	t.Helper()
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, unix.Close(fd)) })
	testkit.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	index := netkit.Link(t, serverIface).Attrs().Index
	testkit.Must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index, Protocol: all}))
	return func(payload, notBefore []byte) (early bool) {
		t.Helper()
		b := make([]byte, 9000)
		for {
			n, _, err := unix.Recvfrom(fd, b, 0)
			testkit.Must(t, err)
			if bytes.HasSuffix(b[:n], payload) {
				return early
			}
			early = early || bytes.HasSuffix(b[:n], notBefore)
		}
	}
}
