package quicguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
)

// Listener is a guarded listener: an http3.QUICListener. Its methods may be called from
// any goroutine.
type Listener struct {
	inner   http3.QUICListener
	counter Counter
	options Options // complete
	err     error   // why it cannot be guarded; Accept returns it

	admission *admission   // nil unless made by Listen
	close     func() error // called once all connections have ended; may be nil

	early   early
	closing tasks // Accepts, refusals and waits for handshakes that are in progress
	open    tasks // counted connections

	admitted, refused, uncounted, failed atomic.Uint64
}

// Wrap guards a *quic.Listener, a *quic.EarlyListener or a similar listener, with the
// default options. The counter usually is a *equic.Gateway. If it is nil, the quota is
// equic.DefaultQuota, and it is counted and enforced only here.
//
// If the listener cannot be guarded, because its port is not one of the gateway's, the
// first Accept returns the error.
func Wrap(listener http3.QUICListener, counter Counter) *Listener {
	return WrapWith(listener, counter, Options{})
}

// WrapWith is Wrap with options.
func WrapWith(listener http3.QUICListener, counter Counter, options Options) *Listener {
	options = options.complete()
	if g, ok := counter.(*equic.Gateway); counter == nil || ok && g == nil {
		counter = NewUserSpace(options.Quota)
	}
	l := &Listener{inner: listener, counter: counter, options: options}
	l.early.init()
	if options.Port == 0 {
		l.options.Port = portOf(listener.Addr())
	}
	if g, ok := counter.(*equic.Gateway); ok && g.Quota(l.options.Port) == 0 {
		l.err = fmt.Errorf(
			"guard %s: %w: %d (give it in equic.Options.Ports, or the gateway's port in quicguard.Options.Port)",
			listener.Addr(), equic.ErrPort, l.options.Port)
	}
	return l
}

// Accept waits for a connection whose handshake is complete and whose client is below
// its quota. It also handles other connections, so it must be called in a loop.
//
// This also applies to a *quic.EarlyListener. Its connections wait for their handshakes
// in parallel, so no client can delay another. But the server gets no request before
// the end of the handshake. Otherwise it would have to serve requests of connections
// that do not count yet, and a client that never completes a handshake could have any
// number of these.
func (l *Listener) Accept(ctx context.Context) (*quic.Conn, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.closing.start()
	defer l.closing.done()
	for {
		conn, more := l.early.take()
		if conn != nil {
			return conn, nil
		}
		conn, err := acceptUnless(ctx, more, l.inner)
		switch {
		case err == nil:
			if l.take(conn) { //nolint:contextcheck // a connection has a context of its own
				return conn, nil
			}
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, context.Canceled) && more.Err() != nil:
			// An early connection is ready.
		default:
			if errors.Is(err, quic.ErrServerClosed) {
				l.end()
			}
			return nil, err
		}
	}
}

// acceptUnless accepts until one of the two contexts ends.
func acceptUnless(ctx, other context.Context, from http3.QUICListener) (*quic.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(other, cancel)()
	return from.Accept(ctx)
}

// take reports whether a connection can be returned at once. If its handshake is not
// complete, it is returned later.
func (l *Listener) take(conn *quic.Conn) bool {
	// Read it now, not when the connection ends: the client may migrate.
	client := addressOf(conn.RemoteAddr())
	select {
	case <-conn.HandshakeComplete():
		return l.decide(conn, client)
	default:
	}
	l.closing.start()
	go func() {
		defer l.closing.done()
		l.await(conn, client)
	}()
	return false
}

// decide admits a connection, or refuses it.
func (l *Listener) decide(conn *quic.Conn, client netip.Addr) bool {
	admitted, release, err := l.count(conn, client)
	if err != nil {
		l.note(client, err)
	}
	uncounted := err != nil && !errors.Is(err, equic.ErrFull)
	switch {
	case admitted:
		l.admitted.Add(1)
		l.options.OnAdmit(conn, client)
		l.open.start()
		context.AfterFunc(conn.Context(), func() {
			defer l.open.done()
			l.options.OnRelease(conn, client)
			release()
		})
	case uncounted:
		l.admitted.Add(1)
		l.uncounted.Add(1)
		l.options.OnAdmit(conn, client)
	default:
		l.refused.Add(1)
		l.options.OnRefuse(conn, client)
		l.closing.start()
		go func() {
			defer l.closing.done()
			l.options.Refuse(conn, client)
		}()
	}
	return admitted || uncounted
}

// count counts a connection whose handshake is complete, and returns the function that
// releases it.
func (l *Listener) count(conn *quic.Conn, client netip.Addr) (admitted bool, release func(), err error) {
	if at := attemptOf(conn.Context()); at != nil && at.forget() {
		admitted, err = at.Complete()
		if err != nil {
			context.AfterFunc(conn.Context(), at.Close) // the counter may count it later
		}
		return admitted, at.Close, err
	}
	admitted, err = l.counter.TryInc(l.options.Port, client)
	return admitted, func() {
		// A closed gateway has already forgotten the connection.
		if err := l.counter.Dec(l.options.Port, client); err != nil && !errors.Is(err, equic.ErrClosed) {
			l.note(client, err)
		}
	}, err
}

func (l *Listener) note(client netip.Addr, err error) {
	l.failed.Add(1)
	l.options.OnError(client, err)
}

// Addr returns the address that the listener listens on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Close closes the listener and the early connections that Accept has not returned. It
// waits for the guard's work in progress: Accepts and refusals. Accepted connections
// stay open if quic-go allows it (a listener of a quic.Transport). They are released
// when they end; Wait waits for that.
func (l *Listener) Close() error {
	err := l.inner.Close()
	l.end()
	l.closing.wait()
	return err
}

// Wait waits until all counted connections have ended and are released. Call it after
// Close and after closing the connections. Call it before the gateway's Close if the
// gateway's counts matter.
//
// It also closes what ListenAddr opened.
func (l *Listener) Wait() {
	l.open.wait()
	if l.close != nil {
		_ = l.close() // no longer in use
	}
}

// Stats returns the totals so far.
func (l *Listener) Stats() Stats {
	s := Stats{
		Admitted:  l.admitted.Load(),
		Refused:   l.refused.Load(),
		Uncounted: l.uncounted.Load(),
		Failed:    l.failed.Load(),
		Open:      l.open.running(),
	}
	if a := l.admission; a != nil {
		s.Retried, s.RefusedEarly = a.retried.Load(), a.refused.Load()
		s.Failed += a.failed.Load()
		s.HalfOpen = a.counter.HalfOpen()
	}
	return s
}

func addressOf(a net.Addr) netip.Addr {
	if udp, ok := a.(*net.UDPAddr); ok {
		return udp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{} // no counter accepts it
}

func portOf(a net.Addr) uint16 {
	if udp, ok := a.(*net.UDPAddr); ok {
		return udp.AddrPort().Port()
	}
	return 0
}
