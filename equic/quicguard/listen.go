package quicguard

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
)

// Admission is a Counter that also counts handshakes, from their first packet on.
// *equic.Gateway, *UserSpace and *socket.Client implement it.
type Admission interface {
	Counter
	// MustValidate reports whether to answer an attempt with a Retry.
	MustValidate(port uint16, client netip.Addr) bool
	// Begin counts a handshake in progress. If the error is equic.ErrOverQuota or
	// equic.ErrFull, the attempt is refused.
	Begin(port uint16, from netip.AddrPort, validated bool) (equic.Handshake, error)
	// HalfOpen returns the number of handshakes in progress.
	HalfOpen() equic.HalfOpen
}

var (
	_ Admission = (*equic.Gateway)(nil)
	_ Admission = (*UserSpace)(nil)
)

// ListenAddr is Listen on a UDP address, with a new transport and the default options.
// Close and then Wait close the transport and its socket.
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

// Listen listens on a transport, and checks every attempt to open a connection when its
// first packet arrives:
//
//   - While too many handshakes are in progress, it answers attempts from addresses that
//     are not validated with a Retry. That costs no handshake and keeps no state (RFC
//     9000, 8.1.2). The limits are the gateway's (equic.Options.HalfOpen) and the
//     client's quota.
//   - Handshakes from validated addresses count towards the quota before they are
//     complete, also in the kernel. Attempts over quota are refused with
//     CONNECTION_REFUSED, without a handshake.
//
// For the listener, it replaces the transport's VerifySourceAddress and ConnContext, and the
// TLS configuration's GetConfigForClient. Functions that were set there before are called
// too. If the configuration allows 0-RTT, it uses a *quic.EarlyListener.
//
// It sets the transport's MaxTokenAge to 10 seconds if it is zero. A token validates an
// address. With quic-go's default of a day, the address may belong to somebody else by then.
//
// The transport's connection IDs must be shorter than 8 bytes (quic-go's are 4 unless
// you set another length). The kernel uses this to distinguish the packets of a
// handshake in progress from those that open a connection.
func Listen(tr *quic.Transport, tlsConfig *tls.Config, config *quic.Config, counter Admission, options Options) (
	*Listener, error,
) {
	if tr.ConnectionIDLength >= minClientChosen {
		return nil, fmt.Errorf("listen: the transport's connection IDs have %d bytes: give it %d at most, such as 4",
			tr.ConnectionIDLength, minClientChosen-1)
	}
	if of := tr.ConnectionIDGenerator; of != nil && of.ConnectionIDLen() >= minClientChosen {
		return nil, fmt.Errorf("listen: the transport's generator makes connection IDs of %d bytes: give it %d at most",
			of.ConnectionIDLen(), minClientChosen-1)
	}
	if g, ok := counter.(*equic.Gateway); counter == nil || ok && g == nil {
		options = options.complete()
		counter = equic.NewUserSpace(options.Quota)
	}
	if options.Port == 0 {
		options.Port = portOf(tr.Conn.LocalAddr())
	}
	if tr.MaxTokenAge == 0 {
		tr.MaxTokenAge = maxTokenAge
	}
	a := &admission{counter: counter, options: options.complete()}
	defer a.guard(tr)() // quic-go has copied the functions by then
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

// maxTokenAge is the age up to which the token of an earlier connection validates an address.
// With an older one, a former neighbour behind the same address could fill a client's quota.
const maxTokenAge = 10 * time.Second

// minClientChosen is the length of the shortest connection ID that a client may
// choose (RFC 9000, 7.2).
const minClientChosen = 8
