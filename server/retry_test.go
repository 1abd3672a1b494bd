package server

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/quickit"
	"github.com/equic-bench/equic-bench/record"
)

// isRetry reports whether a datagram begins with a Retry (RFC 9000, 17.2.5).
func isRetry(datagram []byte) bool { return len(datagram) > 0 && datagram[0]&0xf0 == 0xf0 }

// firstAnswer is a client's socket that notes whether the first datagram from the
// server is a Retry.
type firstAnswer struct {
	net.PacketConn
	answered, retried atomic.Bool
}

func (s *firstAnswer) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(b)
	if err == nil && s.answered.CompareAndSwap(false, true) {
		s.retried.Store(isRetry(b[:n]))
	}
	return n, from, err
}

// attempt makes a connection, and reports whether the server's first answer was a
// Retry.
func (r *running) attempt(ctx context.Context) (conn *quic.Conn, retried bool, err error) {
	r.t.Helper()
	socket, err := net.ListenUDP("udp4", nil)
	testkit.Must(r.t, err)
	seen := &firstAnswer{PacketConn: socket}
	conn, err = r.dialFrom(ctx, seen)
	return conn, seen.retried.Load(), err
}

// served makes a connection that is served, and reports whether the server's first
// answer was a Retry. The server then counts the connection.
func (r *running) served() (retried bool) {
	r.t.Helper()
	conn, retried, err := r.attempt(r.t.Context())
	testkit.Must(r.t, err)
	_, _, err = r.get(conn, "/1")
	testkit.Must(r.t, err)
	return retried
}

func TestEveryAddressIsValidated(t *testing.T) {
	const quota = 3
	r := startWith(t, Options{
		Listen: testkit.FreeAddress(t), Variant: record.UserspaceRetry, Quota: quota, Retry: Retry{Always: true},
	}, func() {})
	for i := range quota {
		if !r.served() {
			t.Errorf("the first answer to client %d is no Retry", i)
		}
	}
	if _, retried, err := r.attempt(t.Context()); !retried || !isConnectionRefused(err) {
		t.Errorf("one over quota: %v, after a Retry: %v; want refused, after a Retry", err, retried)
	}
	got := r.stop()
	if got.server.PeakPerClient != quota || got.server.StillCounted != 0 || got.server.Retried <= quota {
		t.Errorf("%+v; want a peak of %d, none still counted, and a Retry for each attempt", got.server, quota)
	}
}

func TestNoBurstOfValidatedAddressesGetsPastTheQuota(t *testing.T) {
	const quota, requests = 5, 300
	r := startWith(t, Options{
		Listen: testkit.FreeAddress(t), Variant: record.UserspaceRetry, Quota: quota, Retry: Retry{Always: true},
	}, func() {})
	sent := r.load(requests, 600)
	got := r.stop()
	if got.server.PeakPerClient > quota || got.server.StillCounted != 0 || got.server.Served < sent[record.OK] {
		t.Errorf("%+v of %v; want a peak of at most %d, none still counted, and each ok request served", got.server, sent, quota)
	}
	if int(got.server.Retried) < got.server.Connections {
		t.Errorf("%d connections, but only %d Retries", got.server.Connections, got.server.Retried)
	}
}

// Attempts of a client at its quota are dropped before they get a Retry.
func TestPlacesThatDropValidateEveryAddress(t *testing.T) {
	for _, variant := range []record.Variant{record.XDPBlockNew, record.AppDropBlockNew} {
		t.Run(string(variant), func(t *testing.T) {
			const quota = 2
			r := startOnVeth(t, Options{Variant: variant, Quota: quota, Retry: Retry{Always: true}})
			for i := range quota {
				if !r.served() {
					t.Errorf("the first answer to client %d is no Retry", i)
				}
			}
			r.untilDropped()
			got := r.stop()
			if got.server.PeakPerClient != quota || got.gateway.Dropped == 0 || got.server.Retried < quota {
				t.Errorf("%+v, %+v; want a peak of %d, packets dropped, and a Retry for each client", got.server, got.gateway, quota)
			}
		})
	}
}

func TestARetryIsSentOnlyAboveTheNumberOfHandshakes(t *testing.T) {
	const above = 3
	for _, variant := range []record.Variant{record.UserspaceRetry, record.AppDropBlockNew} {
		t.Run(string(variant), func(t *testing.T) {
			r := startWith(t, Options{
				Listen: testkit.FreeAddress(t), Variant: variant, Quota: 100, Retry: Retry{Above: above},
			}, func() {})
			if r.served() {
				t.Error("a Retry, but no handshake is in progress")
			}
			for i, initial := range quickit.Initials(t, above+1, http3.NextProtoH3) {
				if retried := isRetry(r.answerTo(initial)); retried != (i == above) {
					t.Errorf("%d handshakes in progress, Retry: %v", i, retried)
				}
			}
			if !r.served() {
				t.Errorf("no Retry, but %d handshakes are in progress", above)
			}
			if got := r.stop(); got.server.Retried < 2 {
				t.Errorf("%d Retries recorded, want 2 or more", got.server.Retried)
			}
		})
	}
}

// answerTo sends a packet from a socket of its own, and returns the first datagram that
// comes back.
func (r *running) answerTo(packet []byte) []byte {
	r.t.Helper()
	socket, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(r.address)))
	testkit.Must(r.t, err)
	defer socket.Close()
	testkit.Must(r.t, socket.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = socket.Write(packet)
	testkit.Must(r.t, err)
	b := make([]byte, 2048)
	n, err := socket.Read(b)
	testkit.Must(r.t, err)
	return b[:n]
}

func TestARetryIsReadFromText(t *testing.T) {
	for text, want := range map[string]Retry{"": {}, "always": {Always: true}, "1": {Above: 1}, "128": {Above: 128}} {
		if got, err := ParseRetry(text); got != want || err != nil {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"never", "0", "-1", "1.5", " 1"} {
		if got, err := ParseRetry(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, got)
		}
	}
}
