// Package quicguard puts equic's quota in front of a QUIC server on quic-go.
//
//	gateway, err := equic.Attach(equic.Options{Interfaces: []string{"eth0"}, Ports: []equic.Port{{Number: 443}}})
//	if err != nil {
//		return err
//	}
//	listener, err := quicguard.ListenAddr(":443", tlsConfig, nil, gateway)
//	if err != nil {
//		return err
//	}
//	err = http3Server.ServeListener(listener)
//
// A connection counts until it is closed, for any reason. It counts for the address
// that it came from, even if the client migrates.
//
// # Admission and backstop
//
// The kernel drops packets with which a client at its quota tries to open more
// connections. Listen counts handshakes before they cost anything, so a client's
// handshakes in progress count towards its quota. Wrap guards an existing listener, and
// gets connections only when their handshakes are complete. In both cases, however many
// connections of a client arrive at once, the server gets no more than its quota. The
// others are refused here, with the error H3_EXCESSIVE_LOAD.
//
// # Dead clients
//
// A client that is killed or loses its network keeps its connections until the server's
// idle timeout, 30 seconds by default. Set quic.Config.MaxIdleTimeout to 10 seconds,
// with a KeepAlivePeriod of 4 seconds if idle clients are to stay.
//
// # Without the kernel
//
// With its own counter instead of a gateway (UserSpace, or nil), the guard itself
// refuses all connections over quota. It needs no capability then.
package quicguard

import (
	"net/netip"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
)

// Counter counts the connections of clients. *equic.Gateway and *UserSpace implement
// it. Its methods are called from any goroutine.
type Counter interface {
	// TryInc counts a connection if its client is below its quota. The check and the
	// count are one atomic step. After an error, the connection may be admitted (and
	// counted) or not.
	TryInc(port uint16, client netip.Addr) (admitted bool, err error)
	// Dec removes one from the count. It is called once for each admitted connection.
	Dec(port uint16, client netip.Addr) error
}

var (
	_ Counter            = (*equic.Gateway)(nil)
	_ Counter            = (*UserSpace)(nil)
	_ http3.QUICListener = (*Listener)(nil)
)

// Options specify how a listener is guarded. The zero value is the default.
//
// The functions may be called from several goroutines at once. Each of them may be nil. A
// function that runs before Accept returns must be quick: it delays later connections.
type Options struct {
	// Port is the port to count under. Zero is the listener's own. Another one is
	// needed if a port is forwarded: the gateway's port is the one in the packets that
	// arrive at its interface.
	Port uint16
	// Quota is the number of connections that each client may have if there is no
	// counter. Zero is equic.DefaultQuota.
	Quota int

	// OnAdmit is called before Accept returns the connection.
	OnAdmit func(conn *quic.Conn, client netip.Addr)
	// OnRefuse is called before a connection that is over quota is closed.
	OnRefuse func(conn *quic.Conn, client netip.Addr)
	// Refuse closes a connection that is over quota, in its own goroutine. Set it to
	// measure, or to use another error. Nil is the function Refuse.
	Refuse func(conn *quic.Conn, client netip.Addr)
	// OnRelease is called after an admitted connection has ended, before its count is
	// released. The cause of the connection's context is the reason for its end.
	OnRelease func(conn *quic.Conn, client netip.Addr)
	// OnError is called with each error of the counter. Stats.Failed counts the same
	// errors.
	OnError func(client netip.Addr, err error)
}

// Refuse closes a connection with H3_EXCESSIVE_LOAD (RFC 9114, 8.1). It returns when
// the connection's own goroutine has ended.
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
	// Admitted is the number of connections that Accept has returned, or will return.
	Admitted uint64
	// Refused is the number of connections that were over quota and closed. With a
	// gateway, these are the ones that the kernel let pass.
	Refused uint64
	// RefusedEarly is the number of attempts that were refused before their handshake
	// (see Listen).
	RefusedEarly uint64
	// Retried is the number of packets answered with a Retry because too many
	// handshakes were in progress.
	Retried uint64
	// HalfOpen is the number of handshakes in progress now.
	HalfOpen equic.HalfOpen
	// Uncounted is the number of Admitted that could not be counted, for example after
	// the gateway's Close. Of the counter's errors, only a full table makes the guard
	// refuse a connection.
	Uncounted uint64
	// Failed is the number of calls of the counter that returned an error. One of these
	// is a full table (equic.ErrFull); the client is then refused.
	Failed uint64
	// Open is the number of admitted connections that are counted now.
	Open int
}
