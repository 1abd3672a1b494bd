package client

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/record"
)

// rest is how long a socket stays unused between two requests. The server counts first
// packets that come from one port within 100 ms as one attempt (server/early.go).
const rest = 200 * time.Millisecond

// socket is a UDP socket with its transport.
type socket struct {
	*quic.Transport
	ended time.Time // of its last request
}

// sockets gives each request a socket that no other request uses at the time, as if it
// were its own process. It keeps them for later requests: making one costs several
// system calls, allocations and goroutines.
type sockets struct {
	network string // udp4 or udp6
	mu      sync.Mutex
	idle    []socket // in the order in which their requests ended
}

func newSockets(server *net.UDPAddr) *sockets {
	if server.IP.To4() != nil {
		return &sockets{network: "udp4"}
	}
	return &sockets{network: "udp6"}
}

// take returns a socket that has rested, or else a new one.
func (s *sockets) take() (socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) > 0 && time.Since(s.idle[0].ended) >= rest {
		first := s.idle[0]
		s.idle = s.idle[1:]
		return first, nil
	}
	conn, err := listen(s.network)
	if err != nil {
		return socket{}, err
	}
	return socket{Transport: &quic.Transport{Conn: conn}}, nil
}

// put returns a socket after its request. If the request failed, the socket may be
// broken, so it is closed.
func (s *sockets) put(x socket, outcome record.Outcome) {
	if outcome == record.Failed || outcome == record.Local {
		_ = x.close()
		return
	}
	x.ended = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, x)
}

// close closes the sockets that were returned. Those are all, once no request is in
// flight.
func (s *sockets) close() error {
	var err error
	for _, x := range s.idle {
		err = errors.Join(err, x.close())
	}
	return err
}

func (x socket) close() error { return errors.Join(x.Close(), x.Conn.Close()) }
