package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/record"
)

// handshakeTimeout is how long a client waits for any answer to its first
// packets: the transport's default, so that a client whose packets are dropped
// in silence waits as long as one that uses the transport as it is.
const handshakeTimeout = 5 * time.Second

// dialer sends single requests. What requests may share without changing what
// they cost the server (settings, buffers) they share. Each has a connection of
// its own, with a whole handshake, and a socket that no other uses at the time, as
// a new process would.
type dialer struct {
	o     Options
	addr  *net.UDPAddr
	url   string
	tls   *tls.Config
	quic  *quic.Config
	http3 *http3.Transport
	bufs  sync.Pool
	// sockets are kept from request to request.
	sockets *sockets
}

func newDialer(o Options) (*dialer, error) {
	addr, err := net.ResolveUDPAddr("udp", o.Server)
	if err != nil {
		return nil, fmt.Errorf("resolve server address %q: %w", o.Server, err)
	}
	return &dialer{
		o:    o,
		addr: addr,
		url:  "https://" + o.Server + "/",
		// The server's certificate is self-signed: there is no name to verify, and
		// verifying costs the client, not the server.
		tls: &tls.Config{
			InsecureSkipVerify: true,
			NextProtos:         []string{http3.NextProtoH3},
			CurvePreferences:   o.KeyExchange.curves(),
		},
		// A keep-alive is due after half of the idle timeout at the latest.
		quic: &quic.Config{
			HandshakeIdleTimeout: min(handshakeTimeout, o.Timeout), MaxIdleTimeout: o.Timeout, KeepAlivePeriod: o.Hold,
		},
		http3: &http3.Transport{DisableCompression: true},
		bufs:  sync.Pool{New: func() any { return new([32 << 10]byte) }},

		sockets: newSockets(addr),
	}, nil
}

// request sends one request and waits for its end, and for that of its connection
// if it is held.
func (d *dialer) request(ctx context.Context) record.Request {
	t := timer{start: time.Now()}
	d.finish(ctx, &t)
	if t.r.Outcome == record.OK && d.o.Hold > 0 {
		t.hold(ctx, d.o.Hold)
	}
	t.close()
	return t.r
}

// finish sends one request and records how it ended.
func (d *dialer) finish(ctx context.Context, t *timer) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	err := d.exchange(ctx, t)
	t.r.EndNS = t.since()
	t.r.Outcome, t.r.Code = outcome(ctx, err)
	if err != nil {
		t.r.Error = err.Error()
	}
}

// timer fills the phases of one request and closes what the request opened,
// after its end was timed.
type timer struct {
	start   time.Time
	r       record.Request
	conn    *quic.Conn // nil before the handshake is complete
	closers []func()
}

// hold keeps the connection open for some time, or until it has ended.
func (t *timer) hold(ctx context.Context, d time.Duration) {
	enough := time.NewTimer(d)
	defer enough.Stop()
	select {
	case <-enough.C:
	case <-t.conn.Context().Done():
	case <-ctx.Done():
	}
	t.r.HeldNS = t.since() - t.r.EndNS
}

func (t *timer) since() int64 { return int64(time.Since(t.start)) }

func (t *timer) close() {
	for _, c := range slices.Backward(t.closers) {
		c()
	}
}

// exchange makes the connection, sends the request and reads the response.
func (d *dialer) exchange(ctx context.Context, t *timer) error {
	x, err := d.sockets.take()
	if err != nil {
		return err
	}
	t.closers = append(t.closers, func() { d.sockets.put(x, t.r.Outcome) })

	conn, err := x.Dial(ctx, d.addr, d.tls, d.quic)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	t.r.HandshakeNS, t.conn = t.since(), conn
	closeCode := http3.ErrCodeRequestCanceled
	t.closers = append(t.closers, func() { _ = conn.CloseWithError(quic.ApplicationErrorCode(closeCode), "") })

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	resp, err := d.http3.NewClientConn(conn).RoundTrip(req)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	t.r.FirstByteNS = t.since()
	if t.r.BodyBytes, err = d.drain(resp.Body); err != nil {
		return fmt.Errorf("response body: %w", err)
	}
	t.r.BodyNS = t.since()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("response: status %d", resp.StatusCode)
	}
	if t.r.BodyBytes != d.o.BodyBytes {
		return fmt.Errorf("response body: %d bytes, want %d", t.r.BodyBytes, d.o.BodyBytes)
	}
	closeCode = http3.ErrCodeNoError
	return nil
}

// drain reads the body to its end and returns its length.
func (d *dialer) drain(body io.ReadCloser) (int64, error) {
	buf := d.bufs.Get().(*[32 << 10]byte)
	defer d.bufs.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buf[:])
	return n, errors.Join(err, body.Close())
}

// localFailures are what the kernel answers to making a socket, or to sending on
// one, for want of means or of a way to send. What ICMP reports is not among them:
// that has come over the network.
var localFailures = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRINUSE, syscall.EADDRNOTAVAIL,
	syscall.EAGAIN, syscall.EPERM, syscall.ENETDOWN, syscall.ENETUNREACH,
}

// outcome classifies the end of a request (docs/method.md, Load).
func outcome(ctx context.Context, err error) (record.Outcome, *uint64) {
	if err == nil {
		return record.OK, nil
	}
	if code, refused := refusal(err); refused {
		return record.Refused, &code
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok && slices.Contains(localFailures, errno) {
		return record.Local, nil
	}
	var timeout net.Error
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return record.Timeout, nil
	}
	return record.Failed, nil
}

// refusal tells whether the server turned the client away: with
// CONNECTION_REFUSED (RFC 9000, section 20.1) before the handshake, or with
// H3_EXCESSIVE_LOAD (RFC 9114, section 8.1) after it.
func refusal(err error) (code uint64, refused bool) {
	if transport, ok := errors.AsType[*quic.TransportError](err); ok {
		return uint64(transport.ErrorCode), transport.Remote && transport.ErrorCode == quic.ConnectionRefused
	}
	if h3, ok := errors.AsType[*http3.Error](err); ok {
		return uint64(h3.ErrorCode), h3.Remote && h3.ErrorCode == http3.ErrCodeExcessiveLoad
	}
	if application, ok := errors.AsType[*quic.ApplicationError](err); ok {
		refused := application.Remote && http3.ErrCode(application.ErrorCode) == http3.ErrCodeExcessiveLoad
		return uint64(application.ErrorCode), refused
	}
	return 0, false
}
