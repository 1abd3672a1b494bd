package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/client"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server/certificate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a server under test.
type running struct {
	t       *testing.T
	address string
	cancel  context.CancelFunc
	ended   chan error
	out     *bytes.Buffer
}

// start runs a server on loopback and waits until it is ready.
func start(t *testing.T, variant record.Variant, quota int) *running {
	t.Helper()
	return startWith(t, Options{Listen: testkit.FreeAddress(t), Variant: variant, Quota: quota}, func() {})
}

// startWith runs a server in a goroutine that first calls enter.
func startWith(t *testing.T, o Options, enter func()) *running {
	t.Helper()
	clock, err := record.NewClock(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, address: o.Listen, cancel: cancel, ended: make(chan error, 1), out: new(bytes.Buffer)}
	ready := make(chan struct{})
	o.BodyBytes, o.IdleTimeout = 256<<10, 5*time.Second
	o.Clock, o.Log = clock, slog.New(slog.NewTextHandler(io.Discard, nil))
	go func() {
		enter()
		r.ended <- Run(ctx, o, &signalWriter{w: r.out, first: ready})
	}()
	select {
	case <-ready:
	case err := <-r.ended:
		t.Fatalf("server ended: %v", err)
	}
	t.Cleanup(cancel)
	return r
}

// signalWriter closes first at its first write.
type signalWriter struct {
	w     io.Writer
	first chan struct{}
}

func (s *signalWriter) Write(p []byte) (int, error) {
	if s.first != nil {
		close(s.first)
		s.first = nil
	}
	return s.w.Write(p)
}

// records are the records that a stopped server printed.
type records struct {
	connections []*record.Connection
	refusals    []*record.Refusal
	gateway     *record.Gateway
	server      *record.Server
}

// stop ends the server and reads its records.
func (r *running) stop() (got records) {
	r.t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Fatalf("server: %v", err)
	}
	err := record.ReadLines(r.out, "server", func(l *record.Line) error {
		switch {
		case l.Connection != nil:
			got.connections = append(got.connections, l.Connection)
		case l.Refusal != nil:
			got.refusals = append(got.refusals, l.Refusal)
		case l.Gateway != nil:
			got.gateway = l.Gateway
		case l.Server != nil:
			got.server = l.Server
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if got.server == nil {
		r.t.Fatal("the server printed no totals")
	}
	return got
}

// dial makes one connection with its own socket.
func (r *running) dial() (*quic.Conn, error) {
	r.t.Helper()
	return r.dialWith(r.t.Context())
}

func (r *running) dialWith(ctx context.Context) (*quic.Conn, error) {
	r.t.Helper()
	socket, err := net.ListenUDP("udp4", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.dialFrom(ctx, socket)
}

// dialFrom makes a connection with a socket, which it closes at the end of the test.
func (r *running) dialFrom(ctx context.Context, socket net.PacketConn) (*quic.Conn, error) {
	r.t.Helper()
	tr := &quic.Transport{Conn: socket}
	r.t.Cleanup(func() { _ = tr.Close(); _ = socket.Close() })
	to, err := net.ResolveUDPAddr("udp4", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	tlsConfig := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}
	return tr.Dial(ctx, to, tlsConfig, nil)
}

// get sends the only request on a connection and returns status and body length.
func (r *running) get(conn *quic.Conn, path string) (status int, n int64, err error) {
	r.t.Helper()
	return r.getAgain(newHTTP(conn), path)
}

func newHTTP(conn *quic.Conn) *http3.ClientConn {
	return (&http3.Transport{DisableCompression: true}).NewClientConn(conn)
}

// getAgain is get on a connection that has more than one request.
func (r *running) getAgain(conn *http3.ClientConn, path string) (status int, n int64, err error) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://"+r.address+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := conn.RoundTrip(req)
	if err != nil {
		return 0, 0, err
	}
	n, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, n, errors.Join(err, resp.Body.Close())
}

func TestResponses(t *testing.T) {
	r := start(t, record.NoBlock, 1)
	for _, c := range []struct {
		name, path string
		status     int
		bytes      int64
	}{
		{"the root is the scenario's body", "/", 200, 256 << 10},
		{"a size with a binary unit", "/64KiB", 200, 64 << 10},
		{"a plain number is bytes", "/1000", 200, 1000},
		{"an empty body", "/0", 200, 0},
		{"the largest body", "/64MiB", 200, 64 << 20},
		{"more than the largest body is refused", "/65MiB", 400, -1},
		{"what is no size is refused", "/cat", 400, -1},
		{"a negative size is refused", "/-1", 400, -1},
		{"any other path is not found", "/a/b", 404, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := r.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseWithError(0x100, "") //nolint:errcheck // the test is over
			status, n, err := r.get(conn, c.path)
			if err != nil || status != c.status || c.bytes >= 0 && n != c.bytes {
				t.Errorf("got status %d, %d bytes, %v; want %d, %d bytes", status, n, err, c.status, c.bytes)
			}
		})
	}
	r.stop()
}

// hold opens n admitted connections, and checks each with a request.
func (r *running) hold(n int) []*quic.Conn {
	r.t.Helper()
	conns := make([]*quic.Conn, n)
	for i := range conns {
		conn, err := r.dial()
		if err != nil {
			r.t.Fatalf("connection %d under quota: %v", i, err)
		}
		if _, _, err := r.get(conn, "/1000"); err != nil {
			r.t.Fatalf("request on connection %d under quota: %v", i, err)
		}
		conns[i] = conn
	}
	return conns
}

func TestAClientOverQuotaIsTurnedAwayUntilItReleases(t *testing.T) {
	const quota = 3
	for _, c := range []struct {
		variant record.Variant
		refused func(error) bool
		stage   string
	}{
		{record.UserspaceBlock, isExcessiveLoad, "accepted"},
		{record.UserspaceEarly, isConnectionRefused, "early"},
	} {
		t.Run(string(c.variant), func(t *testing.T) {
			r := start(t, c.variant, quota)
			conns := r.hold(quota)

			conn, err := r.dial()
			if err == nil {
				_, _, err = r.get(conn, "/1000")
			}
			if !c.refused(err) {
				t.Errorf("one over quota: got %v", err)
			}

			_ = conns[0].CloseWithError(0x100, "")
			r.untilAdmitted()
			got := r.stop()
			if got.server.PeakPerClient != quota || got.server.StillCounted != 0 {
				t.Errorf("peak %d, still counted %d; want %d and 0", got.server.PeakPerClient, got.server.StillCounted, quota)
			}
			if len(got.refusals) == 0 || got.refusals[0].Stage != c.stage || got.refusals[0].WallNS <= 0 {
				t.Errorf("refusals %+v; want stage %s with its cost", got.refusals, c.stage)
			}
		})
	}
}

// untilAdmitted dials until the server admits a connection again: it notices a close
// only a moment later.
func (r *running) untilAdmitted() {
	r.t.Helper()
	for range 100 {
		if conn, err := r.dial(); err == nil {
			if _, _, err := r.get(conn, "/1000"); err == nil {
				return
			}
		}
	}
	r.t.Error("not admitted again after a release")
}

func isExcessiveLoad(err error) bool {
	var h3 *http3.Error
	return errors.As(err, &h3) && h3.ErrorCode == http3.ErrCodeExcessiveLoad
}

func isConnectionRefused(err error) bool {
	var transport *quic.TransportError
	return errors.As(err, &transport) && transport.ErrorCode == quic.ConnectionRefused
}

func TestNoBlockAdmitsEverybody(t *testing.T) {
	r := start(t, record.NoBlock, 1)
	r.hold(5)
	if got := r.stop(); got.server.PeakPerClient != 5 || len(got.refusals) != 0 {
		t.Errorf("peak %d, %d refusals; want 5 and none", got.server.PeakPerClient, len(got.refusals))
	}
}

// A refused connection was never counted, so closing it must release nothing (in the
// published server, the quota leaked there). No burst may get past the quota.
func TestNoBurstGetsPastTheQuota(t *testing.T) {
	for _, variant := range []record.Variant{record.UserspaceBlock, record.UserspaceEarly} {
		t.Run(string(variant), func(t *testing.T) {
			const quota, requests = 5, 300
			r := start(t, variant, quota)
			sent := r.load(requests, 600)
			got := r.stop()
			if got.server.PeakPerClient > quota || got.server.StillCounted != 0 {
				t.Errorf("peak %d, still counted %d; want at most %d, and 0", got.server.PeakPerClient, got.server.StillCounted,
					quota)
			}
			if got.server.Served < sent[record.OK] {
				t.Errorf("served %d, but %d requests were ok", got.server.Served, sent[record.OK])
			}
			if n := sent[record.OK] + sent[record.Refused] + sent[record.Timeout] + sent[record.Failed]; n != requests {
				t.Errorf("%d outcomes of %d requests: %v", n, requests, sent)
			}
		})
	}
}

// load sends requests in parallel and counts their outcomes.
func (r *running) load(requests int, rate float64) map[record.Outcome]int {
	r.t.Helper()
	clock, err := record.NewClock(func(string) string { return "" })
	if err != nil {
		r.t.Fatal(err)
	}
	var out bytes.Buffer
	o := client.Options{
		Server: r.address, Mode: client.Parallel, Requests: requests, Rate: rate,
		Timeout: 10 * time.Second, BodyBytes: 256 << 10, Clock: clock,
	}
	if err := client.Run(r.t.Context(), o, &out); err != nil {
		r.t.Fatal(err)
	}
	counts := make(map[record.Outcome]int)
	err = record.ReadLines(&out, "client", func(l *record.Line) error {
		if l.Request != nil {
			counts[l.Request.Outcome]++
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return counts
}

func TestAStoppingServerEndsItsConnectionsAndSaysSo(t *testing.T) {
	r := start(t, record.NoBlock, 1)
	// A client that does not speak HTTP/3 ignores the server's GOAWAY.
	deaf, err := r.dial()
	if err != nil {
		t.Fatal(err)
	}
	r.hold(1) // accepted after the deaf one
	got := r.stop()
	<-deaf.Context().Done()
	stopped := 0
	for _, c := range got.connections {
		if c.End == record.ServerStopped {
			stopped++
		}
	}
	if stopped != 1 || len(got.connections) != 2 || got.server.StillCounted != 0 {
		t.Errorf("%d of %d connections stopped, %d still counted; want 1 of 2, and 0", stopped, len(got.connections),
			got.server.StillCounted)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := Options{Listen: "127.0.0.1:0", Variant: record.NoBlock, Quota: 1, IdleTimeout: time.Second}
	for _, c := range []struct {
		name string
		bend func(*Options)
	}{
		{"an unknown variant", func(o *Options) { o.Variant = "xpd" }},
		{"no quota", func(o *Options) { o.Quota = 0 }},
		{"a body over 64 MiB", func(o *Options) { o.BodyBytes = MaxBodyBytes + 1 }},
		{"an unknown key", func(o *Options) { o.Key = "dsa" }},
		{"a Retry of a variant that has none", func(o *Options) { o.Retry.Always = true }},
		{"a Retry above less than nothing", func(o *Options) { o.Variant, o.Retry.Above = record.UserspaceRetry, -1 }},
		{"no idle timeout", func(o *Options) { o.IdleTimeout = 0 }},
		{"an address that is none", func(o *Options) { o.Listen = "127.0.0.1:x" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.bend(&o)
			if err := Run(t.Context(), o, io.Discard); err == nil {
				t.Error("the server ran")
			}
		})
	}
}

func TestAServerPresentsTheCertificateThatItIsGiven(t *testing.T) {
	given, err := certificate.SelfSigned(certificate.ECDSA)
	if err != nil {
		t.Fatal(err)
	}
	r := startWith(t, Options{Listen: testkit.FreeAddress(t), Variant: record.NoBlock, Quota: 5, Certificate: given},
		func() {})
	conn, err := quic.DialAddr(t.Context(), r.address, &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().TLS.PeerCertificates[0].Raw; !bytes.Equal(got, given.Certificate[0]) {
		t.Error("the server presents another certificate")
	}
	if err := conn.CloseWithError(0, ""); err != nil {
		t.Error(err)
	}
	r.stop()
}
