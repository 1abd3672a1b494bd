package client

import (
	"errors"
	"fmt"
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
// system calls, allocations and goroutines. With several sources, each request has a new
// socket, bound to the next of them: to keep one for each could take many descriptors.
type sockets struct {
	network string // udp4 or udp6
	sources record.Sources

	mu   sync.Mutex
	next int      // number of the next source
	idle []socket // in the order in which their requests ended
}

func newSockets(server *net.UDPAddr, sources record.Sources) (*sockets, error) {
	s := &sockets{network: "udp6", sources: sources}
	if server.IP.To4() != nil {
		s.network = "udp4"
	}
	if sources.Given() && sources.Network.Addr().Is4() != (s.network == "udp4") {
		return nil, fmt.Errorf("sources: %s is of another version of IP than the server %s", sources.Network, server)
	}
	return s, nil
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
	var local *net.UDPAddr // any
	if s.sources.Given() {
		local = &net.UDPAddr{IP: s.sources.At(s.next).AsSlice()}
		s.next++
	}
	conn, err := listen(s.network, local)
	if err != nil {
		return socket{}, err
	}
	return socket{Transport: &quic.Transport{Conn: conn}}, nil
}

// put returns a socket after its request. If the request failed, the socket may be
// broken, so it is closed.
func (s *sockets) put(x socket, outcome record.Outcome) {
	if outcome == record.Failed || outcome == record.Local || s.sources.Given() {
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
