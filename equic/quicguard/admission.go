package quicguard

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/equic"
)

// admission decides on attempts to open a connection before they cost a handshake.
type admission struct {
	counter Admission
	options Options // complete

	retried, refused, failed atomic.Uint64
}

func (a *admission) note(client netip.Addr, err error) {
	a.failed.Add(1)
	a.options.OnError(client, err)
}

// attempt is a handshake in the context of its connection.
type attempt struct {
	equic.Handshake
	forget func() bool // after it, the end of the connection does not close the handshake
}

type attemptKey struct{}

// attemptOf returns nil if the connection's handshake is not counted.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// guard sets the functions of a transport that decide on attempts. The function that it
// returns restores the earlier ones.
func (a *admission) guard(tr *quic.Transport) (restore func()) {
	verify, connContext := tr.VerifySourceAddress, tr.ConnContext
	tr.VerifySourceAddress = func(from net.Addr) bool {
		if a.counter.MustValidate(a.options.Port, addressOf(from)) {
			a.retried.Add(1)
			return true
		}
		return verify != nil && verify(from)
	}
	tr.ConnContext = func(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
		begun, err := a.begin(ctx, info)
		if err != nil || connContext == nil {
			return begun, err
		}
		own, err := connContext(begun, info)
		at := attemptOf(begun)
		if err == nil && at != nil { // own may not be derived from begun
			own = context.WithValue(own, attemptKey{}, at)
		}
		if err != nil && at != nil && at.forget() {
			at.Cancel() // before it cost anything
		}
		return own, err
	}
	return func() { tr.VerifySourceAddress, tr.ConnContext = verify, connContext }
}

// begin counts an attempt until the connection's context ends. If it returns an error,
// the attempt is refused.
func (a *admission) begin(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	client := addressOf(info.RemoteAddr)
	h, err := a.counter.Begin(a.options.Port, netip.AddrPortFrom(client, portOf(info.RemoteAddr)), info.AddrVerified)
	switch {
	case errors.Is(err, equic.ErrOverQuota), errors.Is(err, equic.ErrFull):
		a.refused.Add(1)
		if errors.Is(err, equic.ErrFull) {
			a.note(client, err)
		}
		return nil, err
	case err != nil: // once the handshake is complete, TryInc decides
		a.note(client, err)
		return ctx, nil
	}
	at := &attempt{Handshake: h}
	at.forget = context.AfterFunc(ctx, h.Close)
	return context.WithValue(ctx, attemptKey{}, at), nil
}

// announce returns a TLS configuration that reports each complete ClientHello to its
// attempt.
func (a *admission) announce(config *tls.Config) *tls.Config {
	if config == nil {
		return nil // quic-go refuses it
	}
	config = config.Clone()
	inner := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if at := attemptOf(hello.Context()); at != nil {
			at.Hello()
		}
		if inner == nil {
			return nil, nil // continue with this configuration
		}
		return inner(hello)
	}
	return config
}
