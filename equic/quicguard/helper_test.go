package quicguard

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// localhost is the default address of clients.
var localhost = netip.MustParseAddr("127.0.0.1")

// certificate makes a self-signed certificate.
var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	cert, err := certificate()
	testkit.Must(t, err)
	return http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}})
}

// transport returns a transport with its own socket.
func transport(t *testing.T, addr netip.Addr) *quic.Transport {
	t.Helper()
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	testkit.Must(t, err)
	return transportOn(t, socket)
}

func transportOn(t *testing.T, socket net.PacketConn) *quic.Transport {
	t.Helper()
	tr := &quic.Transport{Conn: socket}
	t.Cleanup(func() { _ = tr.Close(); _ = socket.Close() })
	return tr
}

// watched is a listener that shows how far it is.
type watched struct {
	http3.QUICListener
	accepted atomic.Int32
	closed   chan struct{}
}

func (w *watched) Accept(ctx context.Context) (*quic.Conn, error) {
	conn, err := w.QUICListener.Accept(ctx)
	if err == nil {
		w.accepted.Add(1)
	}
	return conn, err
}

func (w *watched) Close() error {
	defer close(w.closed)
	return w.QUICListener.Close()
}

// listen listens on a loopback address for the duration of the test.
func listen(t *testing.T, early bool, config *quic.Config) *watched {
	t.Helper()
	return listenOn(t, transport(t, localhost), early, config)
}

func listenOn(t *testing.T, tr *quic.Transport, early bool, config *quic.Config) *watched {
	t.Helper()
	w := &watched{closed: make(chan struct{})}
	var err error
	if early {
		w.QUICListener, err = tr.ListenEarly(serverTLS(t), config)
	} else {
		w.QUICListener, err = tr.Listen(serverTLS(t), config)
	}
	testkit.Must(t, err)
	return w
}

// greet accepts connections and greets each of them on a stream, until the listener is
// closed. It returns a channel of the connections.
func greet(t *testing.T, l *Listener) <-chan *quic.Conn {
	t.Helper()
	conns := make(chan *quic.Conn, 256)
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			conn, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			conns <- conn
			loop.Go(func() {
				if s, err := conn.OpenUniStream(); err == nil {
					_, _ = s.Write([]byte("welcome"))
					_ = s.Close()
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.inner.(*watched).QUICListener.Close()
		loop.Wait()
	})
	return conns
}

// dial makes a connection and waits for its result. No error means that it was greeted.
func dial(t *testing.T, tr *quic.Transport, to net.Addr) (*quic.Conn, error) {
	t.Helper()
	conn, err := tr.Dial(t.Context(), to, clientTLS(), nil)
	if err == nil {
		_, err = conn.AcceptUniStream(t.Context())
	}
	return conn, err
}

func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}
}

// mustDial makes n admitted connections from one address.
func mustDial(t *testing.T, n int, from netip.Addr, to net.Addr) []*quic.Conn {
	t.Helper()
	conns := make([]*quic.Conn, n)
	for i := range conns {
		conn, err := dial(t, transport(t, from), to)
		if err != nil {
			t.Fatalf("connection %d under quota: %v", i, err)
		}
		conns[i] = conn
	}
	return conns
}

// isRefusal reports whether an error is the guard's refusal.
func isRefusal(err error) bool {
	var application *quic.ApplicationError
	return errors.As(err, &application) && application.Remote &&
		application.ErrorCode == quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad)
}

func hangUp(conn *quic.Conn) {
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}
