package quicguard

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
)

// Admission is a Counter that is also told of handshakes, when their first packet
// arrives. A *equic.Gateway is one, and so are a *UserSpace and a *socket.Client.
type Admission interface {
	Counter
	// MustValidate says whether an attempt is to be answered with a Retry.
	MustValidate(port uint16, client netip.Addr) bool
	// Begin counts a handshake in progress. An error that is equic.ErrOverQuota or
	// equic.ErrFull turns the attempt away.
	Begin(port uint16, from netip.AddrPort, validated bool) (equic.Handshake, error)
	// HalfOpen is how many handshakes are in progress.
	HalfOpen() equic.HalfOpen
}

var (
	_ Admission = (*equic.Gateway)(nil)
	_ Admission = (*UserSpace)(nil)
)

// ListenAddr is Listen on a UDP address and a transport of its own, with the
// default options. Close and then Wait close both.
func ListenAddr(address string, tlsConfig *tls.Config, config *quic.Config, counter Admission) (*Listener, error) {
	addr, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	socket, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, err
	}
	tr := &quic.Transport{Conn: socket}
	l, err := Listen(tr, tlsConfig, config, counter, Options{})
	if err != nil {
		return nil, errors.Join(err, tr.Close(), socket.Close())
	}
	l.close = func() error { return errors.Join(tr.Close(), socket.Close()) }
	return l, nil
}

// Listen listens on a transport, and sees every attempt to open a connection when
// its first packet arrives:
//
//   - While too many handshakes are in progress, attempts from addresses that are
//     not validated are answered with a Retry, which costs no handshake and keeps no
//     state (RFC 9000, 8.1.2). The limits are the gateway's (equic.Options.HalfOpen)
//     and the client's quota.
//   - Handshakes from validated addresses count towards the quota before they are
//     complete, also in the kernel. What is over quota is refused with
//     CONNECTION_REFUSED, without a handshake.
//
// It sets the transport's VerifySourceAddress and ConnContext, and the TLS
// configuration's GetConfigForClient; what was set there is called too. If the
// configuration allows 0-RTT, the listener is a *quic.EarlyListener inside.
//
// The transport's connection IDs must be shorter than 8 bytes (quic-go's are 4
// unless you set another length). By that the kernel tells the packets of a
// handshake in progress from those that open one.
func Listen(tr *quic.Transport, tlsConfig *tls.Config, config *quic.Config, counter Admission, options Options) (
	*Listener, error,
) {
	if tr.ConnectionIDLength >= minClientChosen {
		return nil, fmt.Errorf("listen: the transport's connection IDs have %d bytes: give it %d at most, such as 4",
			tr.ConnectionIDLength, minClientChosen-1)
	}
	if g, ok := counter.(*equic.Gateway); counter == nil || ok && g == nil {
		options = options.complete()
		counter = equic.NewUserSpace(options.Quota)
	}
	if options.Port == 0 {
		options.Port = portOf(tr.Conn.LocalAddr())
	}
	a := &admission{counter: counter, options: options.complete()}
	a.guard(tr)
	tlsConfig = a.announce(tlsConfig)
	listen := func() (http3.QUICListener, error) { return tr.Listen(tlsConfig, config) }
	if config != nil && config.Allow0RTT {
		listen = func() (http3.QUICListener, error) { return tr.ListenEarly(tlsConfig, config) }
	}
	inner, err := listen()
	if err != nil {
		return nil, err
	}
	l := WrapWith(inner, counter, options)
	l.admission = a
	return l, nil
}

// minClientChosen is the length of the shortest connection ID that a client may
// choose (RFC 9000, 7.2).
const minClientChosen = 8
