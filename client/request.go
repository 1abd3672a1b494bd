package client

import (
	"cmp"
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

// handshakeTimeout is how long a client waits for an answer to its first packets. It is
// the transport's default, so a client whose packets are silently dropped waits as long
// as one that uses the transport with its defaults.
const handshakeTimeout = 5 * time.Second

// dialer sends single requests. They share what does not change their cost for the
// server (settings, buffers). Each request has its own connection with a full
// handshake, and a socket that no other request uses at the time, like a new process.
type dialer struct {
	o     Options
	addr  *net.UDPAddr
	url   string
	tls   *tls.Config
	quic  *quic.Config
	http3 *http3.Transport
	bufs  sync.Pool
	// sockets are reused from request to request.
	sockets *sockets
}

func newDialer(o Options) (*dialer, error) {
	addr, err := net.ResolveUDPAddr("udp", o.Server)
	if err != nil {
		return nil, fmt.Errorf("resolve server address %q: %w", o.Server, err)
	}
	if err := o.checkTarget(addr); err != nil {
		return nil, err
	}
	sockets, err := newSockets(addr, o.Sources)
	if err != nil {
		return nil, err
	}
	return &dialer{
		o:    o,
		addr: addr,
		url:  "https://" + o.Server + cmp.Or(o.Path, "/"),
		// The server's certificate is self-signed and does not contain the server's address,
		// so it cannot be verified. Verifying costs the client, not the server.
		tls: &tls.Config{
			InsecureSkipVerify: true,
			NextProtos:         []string{string(cmp.Or(o.Protocol, H3))},
			CurvePreferences:   o.KeyExchange.curves(),
		},
		// The transport sends a keep-alive after half of the idle timeout at the
		// latest.
		quic: &quic.Config{
			HandshakeIdleTimeout: min(handshakeTimeout, o.Timeout), MaxIdleTimeout: o.Timeout, KeepAlivePeriod: o.Hold,
		},
		http3: &http3.Transport{DisableCompression: true},
		bufs:  sync.Pool{New: func() any { return new([32 << 10]byte) }},

		sockets: sockets,
	}, nil
}

// request sends one request and waits for its end. If the connection is held, it also
// waits for the end of that.
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

// timer records the phases of one request. After the end is recorded, it closes what
// the request opened.
type timer struct {
	start   time.Time
	r       record.Request
	conn    *quic.Conn // nil before the handshake is complete
	closers []func()
}

// hold keeps the connection open for some time, or until it ends.
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

// exchange opens the connection, sends the request and reads the response.
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

	send := d.getH3
	if d.o.Protocol == HQ {
		send = d.getHQ
	}
	if err := send(ctx, t); err != nil {
		return err
	}
	if t.r.BodyBytes != d.o.BodyBytes {
		return fmt.Errorf("response body: %d bytes, want %d", t.r.BodyBytes, d.o.BodyBytes)
	}
	closeCode = http3.ErrCodeNoError
	if d.o.Protocol == HQ {
		closeCode = 0
	}
	return nil
}

// getH3 sends a request of HTTP/3 and reads the response.
func (d *dialer) getH3(ctx context.Context, t *timer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	resp, err := d.http3.NewClientConn(t.conn).RoundTrip(req)
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
	return nil
}

// getHQ sends a request of HTTP/0.9 on a stream and reads the response.
func (d *dialer) getHQ(ctx context.Context, t *timer) error {
	stream, err := t.conn.OpenStreamSync(ctx)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		stream.CancelRead(0)
		stream.CancelWrite(0)
	})
	defer stop()
	if _, err := io.WriteString(stream, "GET "+cmp.Or(d.o.Path, "/")+"\r\n"); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if err := stream.Close(); err != nil { // of the sending side
		return fmt.Errorf("request: %w", err)
	}
	first := make([]byte, 1)
	n, err := io.ReadFull(stream, first)
	if err != nil && !errors.Is(err, io.EOF) { // an empty body
		return fmt.Errorf("response body: %w", err)
	}
	t.r.FirstByteNS = t.since()
	rest, err := d.drain(io.NopCloser(stream))
	if err != nil {
		return fmt.Errorf("response body: %w", err)
	}
	t.r.BodyBytes, t.r.BodyNS = int64(n)+rest, t.since()
	return nil
}

// drain reads the body to its end and returns its length.
func (d *dialer) drain(body io.ReadCloser) (int64, error) {
	buf := d.bufs.Get().(*[32 << 10]byte)
	defer d.bufs.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buf[:])
	return n, errors.Join(err, body.Close())
}

// localFailures are the kernel's errors from opening a socket, or from sending on it,
// if resources or a route are missing. Errors from ICMP are not among them: those come
// over the network.
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

// refusal reports whether the server refused the client: with CONNECTION_REFUSED (RFC
// 9000, section 20.1) before the handshake, or with H3_EXCESSIVE_LOAD (RFC 9114,
// section 8.1) after it.
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
