package client

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// idle is the server's idle timeout.
const idle = time.Second

// serve answers requests on loopback with one byte until the test ends. If closes is
// true, it closes all connections some time after a request.
func serve(t *testing.T, closes bool) (address string) {
	t.Helper()
	cert, err := certificate.SelfSigned(certificate.ECDSA)
	testkit.Must(t, err)
	h := &http3.Server{
		TLSConfig:  http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{*cert}}),
		QUICConfig: &quic.Config{MaxIdleTimeout: idle},
	}
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("x"))
		if closes {
			time.AfterFunc(idle, func() { _ = h.Close() })
		}
	})
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Serve(socket) // until the socket is closed
	}()
	t.Cleanup(func() {
		_ = h.Close()
		<-done
		_ = socket.Close()
	})
	return socket.LocalAddr().String()
}

func TestAConnectionIsHeldUntilItsTimeIsUpOrTheServerClosesIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		hold   time.Duration
		closed bool
	}{
		{"for longer than the server's idle timeout", 3 * idle / 2, false},
		{"until the server closes it", time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := newDialer(Options{Server: serve(t, c.closed), Timeout: 10 * time.Second, Hold: c.hold, BodyBytes: 1})
			testkit.Must(t, err)
			t.Cleanup(func() { testkit.Must(t, d.sockets.close()) })
			r := d.request(t.Context())
			if r.Outcome != record.OK {
				t.Fatalf("the request ended as %+v", r)
			}
			if cut := r.HeldNS < c.hold.Nanoseconds(); cut != c.closed {
				t.Errorf("held for %v of %v", time.Duration(r.HeldNS), c.hold)
			}
		})
	}
}
