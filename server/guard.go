package server

import (
	"iter"
	"math"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
	"github.com/equic-bench/equic-bench/record"
)

// counter counts connections by client: a *equic.Gateway or, where the kernel
// does not block, a *quicguard.UserSpace.
type counter interface {
	quicguard.Counter
	Count(port uint16, client netip.Addr) int
	Clients() iter.Seq[equic.Client]
}

// newCounter is the counter of a variant that does not use the kernel.
func newCounter(o Options) counter {
	if o.Variant == record.NoBlock {
		return quicguard.NewUserSpace(math.MaxInt)
	}
	return quicguard.NewUserSpace(o.Quota)
}

// protect puts the quota in front of a listener. Every blocking variant enforces
// it here: refusing early, or in the kernel, cannot stop a connection whose
// handshake was under way when its client reached the quota.
func (s *server) protect(listener *quic.Listener) {
	s.guard = quicguard.WrapWith(listener, s.counter, quicguard.Options{
		OnAdmit: func(conn *quic.Conn, client netip.Addr) {
			s.book.admit(connectionOf(conn.Context()), conn, s.counter.Count(s.port, client))
		},
		OnRefuse: func(conn *quic.Conn, _ netip.Addr) { s.book.refuse(connectionOf(conn.Context())) },
		Refuse:   s.refuse,
		OnError: func(client netip.Addr, err error) {
			s.o.Log.Warn("count connections", "client", client, "err", err)
		},
	})
}

// refuse closes a connection, and times what that takes.
func (s *server) refuse(conn *quic.Conn, client netip.Addr) {
	clock := startCostClock()
	quicguard.Refuse(conn, client)
	wall, cpu := clock.stop()
	s.book.addRefusal(record.Refusal{
		Client: client.String(),
		AtNS:   s.o.Clock.At(clock.start),
		Stage:  stageAccepted,
		WallNS: wall,
		CPUNS:  cpu,
	})
}
