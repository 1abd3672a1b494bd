package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/results"
)

// Limiter says where the server turns away a client that is over quota
// (docs/method.md, Variants).
type Limiter string

// The limiters.
const (
	// LimiterNone admits everybody.
	LimiterNone Limiter = "none"
	// LimiterUserspace completes the handshake, then closes the connection:
	// the paper's user-space variant.
	LimiterUserspace Limiter = "userspace"
	// LimiterUserspaceEarly refuses on the first packet, before any crypto.
	LimiterUserspaceEarly Limiter = "userspace-early"
	// LimiterXDP has the kernel drop the client's packets (Algorithm 1).
	LimiterXDP Limiter = "xdp"
)

// Limiters are all limiters.
var Limiters = []Limiter{LimiterNone, LimiterUserspace, LimiterUserspaceEarly, LimiterXDP}

// ParseLimiter takes a limiter's name, or the name of the variant that uses it.
func ParseLimiter(name string) (Limiter, error) {
	switch name {
	case "no-block":
		return LimiterNone, nil
	case "userspace-block":
		return LimiterUserspace, nil
	case "xdp-block":
		return LimiterXDP, nil
	}
	if l := Limiter(name); l.known() {
		return l, nil
	}
	return "", fmt.Errorf("unknown limiter %q: want one of %v", name, Limiters)
}

func (l Limiter) known() bool { return slices.Contains(Limiters, l) }

// The stages of a refusal (results.Refusal).
const (
	stageEarly    = "early"
	stageAccepted = "accepted"
)

var errOverQuota = errors.New("client is over quota")

// admitOrRefuse decides on a connection whose handshake is complete. Every
// blocking limiter enforces the quota here: refusing early, or in the kernel,
// cannot stop a connection whose handshake was under way when its client
// reached the quota.
func (s *server) admitOrRefuse(conn *quic.Conn) {
	limit := s.o.Quota
	if s.o.Limiter == LimiterNone {
		limit = 0
	}
	c := connectionOf(conn.Context())
	if !s.book.admit(c, conn, limit) {
		s.work.Go(func() { s.refuse(c, conn) })
		return
	}
	s.count(c, conn)
	s.work.Go(func() {
		// What ends the connection is kept in its context's cause.
		_ = s.h3.ServeQUICConn(conn)
	})
}

// count tells the gateway of an admitted connection, until it ends.
func (s *server) count(c *connection, conn *quic.Conn) {
	if s.gateway == nil {
		return
	}
	if err := s.gateway.Inc(s.port, c.client); err != nil {
		s.book.updateFailed()
		s.o.Log.Warn("count connection in the kernel", "client", c.client, "err", err)
	}
	s.work.Add(1)
	context.AfterFunc(conn.Context(), func() {
		defer s.work.Done()
		if err := s.gateway.Dec(s.port, c.client); err != nil {
			s.book.updateFailed()
			s.o.Log.Warn("release connection in the kernel", "client", c.client, "err", err)
		}
	})
}

// refuse closes a connection, and times what that takes.
func (s *server) refuse(c *connection, conn *quic.Conn) {
	clock := startCostClock()
	// An error would say that the connection ended by itself meanwhile.
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), errOverQuota.Error())
	wall, cpu := clock.stop()
	s.book.refused(results.Refusal{
		Client: c.client.String(),
		AtNS:   s.o.Clock.At(clock.start),
		Stage:  stageAccepted,
		WallNS: wall,
		CPUNS:  cpu,
	})
}

// refuseEarly decides on a connection attempt; an error has the transport
// answer CONNECTION_REFUSED and forget it.
func (s *server) refuseEarly(info *quic.ClientInfo) error {
	clock := startCostClock()
	defer clock.release()
	from := addrPort(info.RemoteAddr)
	if s.book.admitted(from.Addr()) < s.o.Quota {
		return nil
	}
	wall, cpu := clock.read()
	s.early.add(from, results.Refusal{
		Client: from.Addr().String(),
		AtNS:   s.o.Clock.At(clock.start),
		Stage:  stageEarly,
		WallNS: wall,
		CPUNS:  cpu,
	})
	return errOverQuota
}

// costClock reads wall time and the CPU time of the thread, on which it keeps
// the goroutine.
type costClock struct {
	start time.Time
	cpu   int64
}

func startCostClock() costClock {
	runtime.LockOSThread()
	return costClock{start: time.Now(), cpu: threadCPUNS()}
}

func (c costClock) read() (wallNS, cpuNS int64) {
	cpu := threadCPUNS() - c.cpu
	return int64(time.Since(c.start)), cpu
}

func (c costClock) release() { runtime.UnlockOSThread() }

func (c costClock) stop() (wallNS, cpuNS int64) {
	wallNS, cpuNS = c.read()
	c.release()
	return wallNS, cpuNS
}

func threadCPUNS() int64 {
	var t unix.Timespec
	// It cannot fail: the clock exists on every Linux, the pointer is good.
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return t.Nano()
}

// sameAttempt is how long packets from one address and port belong to one
// connection attempt: longer than a client retries, shorter than it takes to
// use a port again.
const sameAttempt = 10 * time.Second

// earlyRefusals counts one refusal per connection attempt. A refused attempt
// leaves no state in the transport, so each further packet of it (a client
// hello with a post-quantum key share fills two) is decided on anew; their
// costs are added up.
type earlyRefusals struct {
	mu   sync.Mutex
	list []results.Refusal
	last map[netip.AddrPort]int // the attempt's index in list
}

func newEarlyRefusals() *earlyRefusals {
	return &earlyRefusals{last: make(map[netip.AddrPort]int)}
}

func (e *earlyRefusals) add(from netip.AddrPort, r results.Refusal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i, ok := e.last[from]; ok && r.AtNS-e.list[i].AtNS < int64(sameAttempt) {
		e.list[i].WallNS += r.WallNS
		e.list[i].CPUNS += r.CPUNS
		return
	}
	e.last[from] = len(e.list)
	e.list = append(e.list, r)
}

func (e *earlyRefusals) refusals() []results.Refusal {
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
