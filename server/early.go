package server

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/record"
)

// refuseEarly decides on a connection attempt. If it returns an error, the transport
// answers CONNECTION_REFUSED and forgets the attempt.
func (s *server) refuseEarly(info *quic.ClientInfo) error {
	from := addrPort(info.RemoteAddr)
	clock := s.startRefusal(from)
	defer clock.release()
	if s.counter.Count(s.port, from.Addr()) < s.o.Quota {
		return nil
	}
	s.early.add(from, s.refusal(clock, from.Addr(), stageEarly))
	return errOverQuota
}

// sameAttempt is how long packets from one address and port count as one connection
// attempt. It is longer than the time between the packets of one ClientHello. It is
// shorter than the time after which a client tries again (RFC 9002, 6.2), and than the
// time for which our client leaves a port unused before its next attempt
// (client/sockets.go).
const sameAttempt = 100 * time.Millisecond

// earlyRefusals counts one refusal per connection attempt. A refused attempt leaves no
// state in the transport, so each further packet of it causes another decision (a
// ClientHello with a post-quantum key share fills two packets). Their costs are added
// up. The transport drops answers when it has many to send; a client that then tries
// again is refused again.
type earlyRefusals struct {
	mu   sync.Mutex
	list []record.Refusal
	last map[netip.AddrPort]int // index of the attempt in list
}

func newEarlyRefusals() *earlyRefusals {
	return &earlyRefusals{last: make(map[netip.AddrPort]int)}
}

func (e *earlyRefusals) add(from netip.AddrPort, r record.Refusal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i, ok := e.last[from]; ok && r.AtNS-e.list[i].AtNS < int64(sameAttempt) {
		e.list[i].WallNS += r.WallNS
		if r.CPUNS == 0 || e.list[i].CPUNS == 0 { // not measured
			e.list[i].CPUNS = 0
			return
		}
		e.list[i].CPUNS += r.CPUNS
		return
	}
	e.last[from] = len(e.list)
	e.list = append(e.list, r)
}

func (e *earlyRefusals) refusals() []record.Refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list
}

func addrPort(a net.Addr) netip.AddrPort {
	if udp, ok := a.(*net.UDPAddr); ok {
		ap := udp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
