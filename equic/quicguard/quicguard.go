// Package quicguard puts equic's quota in front of a QUIC server on quic-go.
//
//	gateway, err := equic.Attach(equic.Options{Interface: "eth0", Ports: []equic.Port{{Number: 443}}})
//	if err != nil {
//		return err
//	}
//	listener, err := quicguard.ListenAddr(":443", tlsConfig, nil, gateway)
//	if err != nil {
//		return err
//	}
//	err = http3Server.ServeListener(listener)
//
// A connection counts until it is closed, for whatever reason. It counts for the
// address that it came from, even if the client migrates.
//
// # Admission and backstop
//
// The kernel drops what a client at its quota sends to open more. Listen counts
// handshakes before they cost anything, so that a client at its quota is one that
// has that many in progress. Wrap, around a listener that exists already, sees
// connections only when their handshakes are complete. In both cases, however many
// connections of a client arrive at once, no more than its quota are handed to the
// server: the rest is refused here, with the error H3_EXCESSIVE_LOAD.
//
// # Dead clients
//
// A client that is killed or loses its network keeps its connections until the
// server's idle timeout, 30 seconds by default. Set quic.Config.MaxIdleTimeout to
// 10 seconds, with a KeepAlivePeriod of 4 if idle clients are to stay.
//
// # Without the kernel
//
// With a counter of its own instead of a gateway (UserSpace, or nil) the guard
// refuses everything that is over quota by itself. It needs no capability then.
package quicguard

import (
	"net/netip"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
)

// Counter counts the connections of clients. A *equic.Gateway is one, and so is
// a *UserSpace. Its methods are called from any goroutine.
type Counter interface {
	// TryInc counts a connection if its client is below its quota, in one step
	// with the check. With an error the connection may be admitted, so counted,
	// or not.
	TryInc(port uint16, client netip.Addr) (admitted bool, err error)
	// Dec counts one less; called once for each that was admitted.
	Dec(port uint16, client netip.Addr) error
}

var (
	_ Counter            = (*equic.Gateway)(nil)
	_ Counter            = (*UserSpace)(nil)
	_ http3.QUICListener = (*Listener)(nil)
)

// Options say how a listener is guarded. The zero value is the default.
//
// The functions may be called from several goroutines at once, each is given
// the connection and its client, and may be nil. Those that are called before
// Accept returns hold up the connections behind: they must be quick.
type Options struct {
	// Port is the port that is counted under. Zero is the listener's own;
	// another one is needed where a port is forwarded, as the gateway's port
	// is the one in the packets that arrive at its interface.
	Port uint16
	// Quota is how many connections each client may have if there is no
	// counter. Zero is equic.DefaultQuota.
	Quota int

	// OnAdmit is called before Accept returns the connection.
	OnAdmit func(conn *quic.Conn, client netip.Addr)
	// OnRefuse is called when a connection turns out to be over quota, before
	// it is closed.
	OnRefuse func(conn *quic.Conn, client netip.Addr)
	// Refuse closes a connection that is over quota, in a goroutine of its own.
	// A function that measures, or uses another error, goes here. Nil is Refuse.
	Refuse func(conn *quic.Conn, client netip.Addr)
	// OnRelease is called after an admitted connection has ended (the cause of
	// its context says why), before it is counted no more.
	OnRelease func(conn *quic.Conn, client netip.Addr)
	// OnError is called with the counter's errors, as Stats.Failed counts them.
	OnError func(client netip.Addr, err error)
}

// Refuse closes a connection with H3_EXCESSIVE_LOAD (RFC 9114, 8.1). It returns
// when the connection has ended, which takes the connection's own goroutine.
func Refuse(conn *quic.Conn, _ netip.Addr) {
	// quic-go's error is always nil.
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "too many connections")
}

// complete fills in the defaults.
func (o Options) complete() Options {
	if o.Quota == 0 {
		o.Quota = equic.DefaultQuota
	}
	if o.Refuse == nil {
		o.Refuse = Refuse
	}
	for _, hook := range []*func(*quic.Conn, netip.Addr){&o.OnAdmit, &o.OnRefuse, &o.OnRelease} {
		if *hook == nil {
			*hook = func(*quic.Conn, netip.Addr) {}
		}
	}
	if o.OnError == nil {
		o.OnError = func(netip.Addr, error) {}
	}
	return o
}

// Stats are the totals of a listener.
type Stats struct {
	// Admitted is how many connections Accept returned, or will return.
	Admitted uint64
	// Refused is how many were over quota and closed. With a gateway, these are
	// what the kernel let pass.
	Refused uint64
	// RefusedEarly is how many attempts were over quota before their handshake
	// (see Listen).
	RefusedEarly uint64
	// Retried is how many packets were answered with a Retry, as too many
	// handshakes were in progress.
	Retried uint64
	// HalfOpen is how many handshakes are in progress now.
	HalfOpen equic.HalfOpen
	// Uncounted is how many of Admitted could not be counted, as after the
	// gateway's Close: only a full table turns away.
	Uncounted uint64
	// Failed is how many calls of the counter ended with an error. A full table is
	// one (equic.ErrFull); such a client is refused.
	Failed uint64
	// Open is how many admitted connections are counted now.
	Open int
}
