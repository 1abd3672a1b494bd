package quicguard

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
	"github.com/equic-bench/equic-bench/equic/socket"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// share serves a gateway on a socket for the duration of the test.
func share(t *testing.T, gateway *equic.Gateway) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "socket")
	listener, err := control.Listen(t.Context(), path)
	testkit.Must(t, err)
	server := control.NewServer(control.Options{
		Gateway: gateway, Allowed: gateway.Allowed(), Denied: gateway.Denied(), Ports: []equic.Port{{Number: serverPort}},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		testkit.Must(t, <-done)
	})
	return path
}

// Each worker here has its own port. All of them count under the gateway's port.
func TestWorkersShareTheAdmissionOfOneGateway(t *testing.T) {
	n := newNetwork(t)
	gateway, err := equic.Attach(equic.Options{
		Interfaces: []string{netkit.ServerInterface}, Ports: []equic.Port{{Number: serverPort}}, Quota: 2,
	})
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, gateway.Close()) })
	path := share(t, gateway)
	var workers []*Listener
	for range 2 {
		counter, err := socket.Dial(path)
		testkit.Must(t, err)
		t.Cleanup(func() { testkit.Must(t, counter.Close()) })
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(serverAddress, 0)))
		testkit.Must(t, err)
		l, err := Listen(transportOn(t, udp), serverTLS(t), nil, counter, Options{Port: serverPort})
		testkit.Must(t, err)
		l.inner = &watched{QUICListener: l.inner, closed: make(chan struct{})}
		greet(t, l)
		workers = append(workers, l)
	}
	var conns []*quic.Conn
	for _, w := range workers {
		conn, err := n.dial(t, alice, w.Addr())
		testkit.Must(t, err)
		conns = append(conns, conn)
	}
	var refused *quic.TransportError
	for _, w := range workers {
		if _, err := n.dial(t, alice, w.Addr()); !errors.As(err, &refused) || refused.ErrorCode != quic.ConnectionRefused {
			t.Errorf("one over quota: %v, want CONNECTION_REFUSED", err)
		}
		if got := w.Stats(); got.Admitted != 1 || got.Retried == 0 || got.RefusedEarly == 0 || got.Failed != 0 {
			t.Errorf("%+v; want one admitted, a Retry and a refusal", got)
		}
	}
	hangUp(conns[0])
	testkit.Await(t, "the close is released", func() bool { return gateway.Count(serverPort, alice) == 1 })
	if got := gateway.HalfOpen(); got != (equic.HalfOpen{}) {
		t.Errorf("half open %+v, want none", got)
	}
}
