package flood

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/flood/wire"
)

// mostPorts is the number of source ports of a flood. A server may count packets that
// come from one port within a short time as one attempt (server/early.go).
const mostPorts = 1024

// sockets are bound to the source ports of a flood. They are not read: the server's
// answers are discarded, and cause no ICMP error.
type sockets struct {
	o        *Options
	all      []*net.UDPConn
	payloads [][]byte
	next     int
	sent     uint64
}

func newSockets(o *Options, payloads [][]byte) (_ *sockets, err error) {
	s := &sockets{o: o, payloads: payloads}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	local := new(net.UDPAddr) // any address
	if !o.own().Given() {
		if local, err = localAddress(o); err != nil {
			return nil, err
		}
		local.Port = 0
	}
	for range min(mostPorts, len(payloads)) {
		conn, err := net.ListenUDP(o.network(), local)
		if err != nil {
			return nil, fmt.Errorf("open source port %d of %d: %w", len(s.all)+1, mostPorts, err)
		}
		s.all = append(s.all, conn)
		if err := silence(conn, o.Server.Addr().Is6()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// localAddress returns the local address from which the server is reached.
func localAddress(o *Options) (*net.UDPAddr, error) {
	conn, err := net.DialUDP(o.network(), nil, net.UDPAddrFromAddrPort(o.Server))
	if err != nil {
		return nil, fmt.Errorf("find a way to the server: %w", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr), nil
}

// silence makes a socket keep next to nothing of what it receives, and mark what it
// sends.
func silence(conn *net.UDPConn, six bool) error {
	if err := conn.SetReadBuffer(1); err != nil { // the kernel's minimum
		return fmt.Errorf("shrink a receive buffer: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if six {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), level, option, wire.Mark)
	})
	if err := errors.Join(err, setErr); err != nil {
		return fmt.Errorf("mark a socket's packets: %w", err)
	}
	return nil
}

// ports returns the source ports.
func (s *sockets) ports() []uint16 {
	var ports []uint16
	for _, conn := range s.all {
		ports = append(ports, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	}
	return ports
}

// Send sends n datagrams, each from the next port.
func (s *sockets) Send(n int) error {
	for range n {
		conn := s.all[s.next%len(s.all)]
		_, err := conn.WriteToUDPAddrPort(s.payloads[s.next%len(s.payloads)], s.o.Server)
		if err != nil && !errors.Is(err, syscall.ENOBUFS) { // a full queue: the frame is not sent
			return fmt.Errorf("send to %s: %w", s.o.Server, err)
		}
		if s.next++; err == nil {
			s.sent++
		}
	}
	return nil
}

// Sent returns the number of datagrams sent.
func (s *sockets) Sent() (uint64, error) { return s.sent, nil }

// Close closes the ports.
func (s *sockets) Close() error {
	var err error
	for _, conn := range s.all {
		err = errors.Join(err, conn.Close())
	}
	return err
}
