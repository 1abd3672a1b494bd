package flood

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// packets sends whole frames through a packet socket, with one system call each.
type packets struct {
	fd     int
	to     unix.SockaddrLinklayer
	frames [][]byte
	next   int
	sent   uint64
}

func newPackets(index int, frames [][]byte) (*packets, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	return &packets{fd: fd, to: unix.SockaddrLinklayer{Ifindex: index}, frames: frames}, nil
}

// Send sends n frames.
func (p *packets) Send(n int) error {
	for range n {
		err := unix.Sendto(p.fd, p.frames[p.next], 0, &p.to)
		switch {
		case err == nil:
			p.sent++
		case !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR): // these mean: not sent
			return fmt.Errorf("send a frame: %w", err)
		}
		p.next = (p.next + 1) % len(p.frames)
	}
	return nil
}

// Close closes the socket.
func (p *packets) Close() error { return unix.Close(p.fd) }
