package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// groConn is a UDP socket with receive offload (UDP_GRO): the kernel returns the
// datagrams of one burst of the server as one piece, with one system call. quic-go uses
// ReadBatch if a connection has it.
type groConn struct {
	*net.UDPConn
	raw  syscall.RawConn
	from *net.UDPAddr // the last sender

	// The last piece read.
	piece   *[largestPiece]byte // nil if there is none
	left    []byte              // the part of piece that is not yet returned
	segment int                 // length of each datagram in it; the last may be shorter
	ecn     []byte              // its control message with the ECN bits
	oobs    [128]byte
}

const largestPiece = 64 << 10

// pieces are shared, since most sockets are waiting most of the time.
var pieces = sync.Pool{New: func() any { return new([largestPiece]byte) }}

// listen opens a UDP socket on any port of an address (nil: any), with receive offload if
// the kernel has it.
func listen(network string, local *net.UDPAddr) (net.PacketConn, error) {
	conn, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	var noOffload error
	err = raw.Control(func(fd uintptr) {
		noOffload = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if noOffload != nil {
		return conn, nil //nolint:nilerr // a kernel before 5.0
	}
	return &groConn{UDPConn: conn, raw: raw}, nil
}

// ReadBatch fills messages with datagrams of one piece.
func (c *groConn) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	if c.piece == nil {
		if err := c.read(); err != nil {
			return 0, err
		}
	}
	n := 0
	for ; n < len(ms) && len(c.left) > 0; n++ {
		m := &ms[n]
		m.N = copy(m.Buffers[0], c.left[:min(c.segment, len(c.left))])
		m.NN = copy(m.OOB, c.ecn)
		m.Addr = c.from
		c.left = c.left[min(c.segment, len(c.left)):]
	}
	if len(c.left) == 0 {
		pieces.Put(c.piece)
		c.piece = nil
	}
	return n, nil
}

// read waits for the next piece.
func (c *groConn) read() (err error) {
	var n, oobn int
	var from syscall.Sockaddr
	waitErr := c.raw.Read(func(fd uintptr) bool {
		piece := pieces.Get().(*[largestPiece]byte)
		n, oobn, _, from, err = syscall.Recvmsg(int(fd), piece[:], c.oobs[:], 0)
		if err != nil {
			pieces.Put(piece)
			return err != syscall.EAGAIN && err != syscall.EINTR
		}
		c.piece = piece
		return true
	})
	if waitErr != nil {
		return waitErr
	}
	if err != nil {
		return os.NewSyscallError("recvmsg", err)
	}
	c.left = c.piece[:n]
	c.parse(c.oobs[:oobn])
	c.sender(from)
	return nil
}

// parse reads the length of the datagrams in a piece. Of the control messages it keeps
// only the one that quic-go needs for each datagram: the ECN bits. Parsing the others
// for each datagram costs more than they are worth: they contain the client's own
// address.
func (c *groConn) parse(oob []byte) {
	c.segment, c.ecn = max(1, len(c.left)), nil
	for len(oob) > 0 {
		header, body, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		switch {
		case header.Level == unix.IPPROTO_UDP && header.Type == unix.UDP_GRO && len(body) >= 4:
			c.segment = max(1, int(binary.NativeEndian.Uint32(body)))
		case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_TOS,
			header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_TCLASS:
			c.ecn = oob[:len(oob)-len(rest)]
		}
		oob = rest
	}
}

// sender records the sender of a piece. It rarely changes.
func (c *groConn) sender(from syscall.Sockaddr) {
	var ip []byte
	var port int
	switch a := from.(type) {
	case *syscall.SockaddrInet4:
		ip, port = a.Addr[:], a.Port
	case *syscall.SockaddrInet6:
		ip, port = a.Addr[:], a.Port
	}
	if c.from == nil || c.from.Port != port || !c.from.IP.Equal(ip) {
		c.from = &net.UDPAddr{IP: append(net.IP(nil), ip...), Port: port}
	}
}
