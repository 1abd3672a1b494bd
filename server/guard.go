package server

import (
	"context"
	"crypto/tls"
	"errors"
	"iter"
	"math"
	"net/netip"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
	"github.com/equic-bench/equic-bench/record"
)

// counter counts connections by client: a dropper or a *quicguard.UserSpace.
type counter interface {
	quicguard.Counter
	Count(port uint16, client netip.Addr) int
	Clients() iter.Seq[equic.Client]
}

// dropper drops packets before QUIC reads them: a *equic.Gateway, a *equic.Application
// or a *firewall.
type dropper interface {
	quicguard.Admission
	counter
	Stats() (equic.Stats, error)
	Mode() equic.Mode
	MeasureDrop(ctx context.Context) (equic.DropCost, error)
	Close() error
}

// newCounter returns the counter of a variant that drops no packets.
func newCounter(o Options) (counter, error) {
	if o.Variant == record.NoBlock {
		return quicguard.NewUserSpace(math.MaxInt), nil
	}
	u := quicguard.NewUserSpace(o.Quota)
	return u, u.LimitHalfOpen(o.Retry.limits())
}

// listen listens, guarded by the quota. Every blocking variant enforces the quota here:
// refusing early, or dropping, cannot stop a connection whose handshake was in progress
// when its client reached the quota. If packets are dropped under policy "new", or the
// server answers with a Retry, handshakes count from their first packet on.
func (s *server) listen(tr *quic.Transport, tlsConfig *tls.Config) error {
	options := quicguard.Options{
		OnAdmit: func(conn *quic.Conn, client netip.Addr) {
			s.book.admit(connectionOf(conn.Context()), conn, s.counter.Count(s.port, client))
		},
		OnRefuse: func(conn *quic.Conn, _ netip.Addr) { s.book.refuse(connectionOf(conn.Context())) },
		Refuse:   s.refuse,
		OnError: func(client netip.Addr, err error) {
			s.o.Log.Warn("count connections", "client", client, "err", err)
		},
	}
	if admission := s.admission(); admission != nil {
		guard, err := quicguard.Listen(tr, tlsConfig, s.quicConfig(), timedAdmission{admission, s}, options)
		s.guard = guard
		return err
	}
	listener, err := tr.Listen(tlsConfig, s.quicConfig())
	if err != nil {
		return err
	}
	s.guard = quicguard.WrapWith(listener, s.counter, options)
	return nil
}

// admission returns the counter of handshakes, or nil if only complete connections
// count.
func (s *server) admission() quicguard.Admission {
	switch {
	case !s.o.Variant.Retries():
		return nil
	case s.gateway != nil:
		return s.gateway
	}
	return s.counter.(*quicguard.UserSpace)
}

// timedAdmission is an admission that records each attempt refused before the
// handshake, and may ask for a Retry of every attempt.
type timedAdmission struct {
	quicguard.Admission
	server *server
}

// MustValidate reports whether to answer an attempt with a Retry.
func (a timedAdmission) MustValidate(port uint16, client netip.Addr) bool {
	return a.Admission.MustValidate(port, client) || a.server.o.Retry.Always
}

func (a timedAdmission) Begin(port uint16, from netip.AddrPort, validated bool) (equic.Handshake, error) {
	clock := a.server.startRefusal(from)
	defer clock.release()
	h, err := a.Admission.Begin(port, from, validated)
	if errors.Is(err, equic.ErrOverQuota) || errors.Is(err, equic.ErrFull) {
		a.server.early.add(from, a.server.refusal(clock, from.Addr(), stageEarly))
	}
	return h, err
}

// refuse closes a connection, and measures the cost of that.
func (s *server) refuse(conn *quic.Conn, client netip.Addr) {
	clock := s.startRefusal(addrPort(conn.RemoteAddr()))
	defer clock.release()
	quicguard.Refuse(conn, client)
	s.book.addRefusal(s.refusal(clock, client, stageAccepted))
}
