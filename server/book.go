package server

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/record"
)

// book records every connection. The counting is quicguard's.
type book struct {
	clock *record.Clock
	live  sync.WaitGroup // connections whose record is open

	mu          sync.Mutex
	open        map[*connection]*quic.Conn // admitted, not yet ended
	peak        int
	stopping    bool
	done        []*record.Connection
	refusalList []record.Refusal
	accepted    int
	queueFull   int
}

// connection is one connection from its first packet on.
type connection struct {
	client netip.Addr // at the first packet
	start  time.Time

	handshakeNS int64 // guarded by the book
	refused     bool
	ended       bool

	mu        sync.Mutex // guards the fields below
	bodyBytes int64
	served    int
}

func newBook(clock *record.Clock) *book {
	return &book{clock: clock, open: make(map[*connection]*quic.Conn)}
}

type connectionKey struct{}

// connectionOf returns the connection that a context of the transport belongs to.
func connectionOf(ctx context.Context) *connection {
	return ctx.Value(connectionKey{}).(*connection)
}

// connContext opens the record of a connection at its first packet. The record is
// closed when the transport releases the connection, even if the handshake is not
// complete.
func (s *server) connContext(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	c := &connection{client: addrPort(info.RemoteAddr).Addr(), start: time.Now()}
	s.book.live.Add(1)
	context.AfterFunc(ctx, func() {
		defer s.book.live.Done()
		s.book.end(c, context.Cause(ctx))
	})
	return context.WithValue(ctx, connectionKey{}, c), nil
}

// admit records a connection whose handshake is complete. connections is the number
// that its client has, including this one.
func (b *book) admit(c *connection, conn *quic.Conn, connections int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recordHandshake(c)
	b.peak = max(b.peak, connections)
	if !c.ended {
		b.open[c] = conn
	}
}

// refuse records a connection that is over quota, before it is closed.
func (b *book) refuse(c *connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recordHandshake(c)
	c.refused = true
}

// recordHandshake records a complete handshake. Callers hold mu.
func (b *book) recordHandshake(c *connection) {
	b.accepted++
	c.handshakeNS = int64(time.Since(c.start))
}

// end closes a connection's record.
func (b *book) end(c *connection, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	r := &record.Connection{
		Client:      c.client.String(),
		StartNS:     b.clock.At(c.start),
		HandshakeNS: c.handshakeNS,
		EndNS:       int64(time.Since(c.start)),
		BodyBytes:   c.bodyBytes,
		Served:      c.served,
		End:         ending(cause, c.refused, b.stopping),
	}
	if r.End == record.ConnectionLost && cause != nil {
		r.Error = cause.Error()
	}
	if r.End == record.RefusedByQueue {
		b.queueFull++
		r.HandshakeNS = r.EndNS // it is closed as soon as its handshake is complete
	}
	b.done = append(b.done, r)
	delete(b.open, c)
}

func ending(cause error, refused, stopping bool) record.ConnectionEnd {
	var application *quic.ApplicationError
	var idle *quic.IdleTimeoutError
	var transport *quic.TransportError
	switch {
	case refused:
		return record.RefusedByQuota
	case errors.As(cause, &idle):
		return record.IdleTimeout
	case errors.As(cause, &application) && application.Remote:
		return record.ClosedByClient
	case stopping:
		return record.ServerStopped
	case errors.As(cause, &transport) && !transport.Remote && transport.ErrorCode == quic.ConnectionRefused:
		return record.RefusedByQueue
	}
	return record.ConnectionLost
}

// closeAll closes the admitted connections that are still open.
func (b *book) closeAll() {
	b.mu.Lock()
	b.stopping = true
	open := make([]*quic.Conn, 0, len(b.open))
	for _, conn := range b.open {
		open = append(open, conn)
	}
	b.mu.Unlock()
	for _, conn := range open {
		// An error would only mean that the connection has ended by itself.
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "server stops")
	}
}

func (b *book) addRefusal(r record.Refusal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusalList = append(b.refusalList, r)
}

func (b *book) lines() []record.Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := make([]record.Line, len(b.done))
	for i, c := range b.done {
		lines[i].Connection = c
	}
	return lines
}

func (b *book) refusals() []record.Refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusalList
}

func (b *book) totals() *record.Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &record.Server{Connections: b.accepted, QueueFull: b.queueFull, PeakPerClient: b.peak}
	for _, c := range b.done {
		t.Served += c.Served
	}
	return t
}

// wrote records n more bytes of a response.
func (c *connection) wrote(n int64, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodyBytes += n
	if whole {
		c.served++
	}
}
