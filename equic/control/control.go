// Package control lets a server in another process count its clients at a
// gateway: it speaks a protocol of lines over a Unix socket.
//
// It is what the program equic-gateway puts around the package equic, for
// servers that are not written in Go. docs/gateway.md describes the protocol.
// It imports equic and nothing else of this module.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// Limits of the protocol.
const (
	// MaxLine is how long a request may be, in bytes without its line feed.
	MaxLine = 256
	// MaxConnections is how many connections may be open at once.
	MaxConnections = 64
	// WriteTimeout is how long a connection may leave its replies unread before
	// it is closed.
	WriteTimeout = 10 * time.Second
)

// maxSnapshots is how many connections may read `clients` at once: each holds a
// copy of all clients until it has sent it.
const maxSnapshots = 4

// Counter counts connections and handshakes, as equic.Gateway does.
type Counter interface {
	Inc(port uint16, addr netip.Addr) error
	TryInc(port uint16, addr netip.Addr) (admitted bool, err error)
	Dec(port uint16, addr netip.Addr) error
	MustValidate(port uint16, addr netip.Addr) bool
	Begin(port uint16, from netip.AddrPort, validated bool) (equic.Handshake, error)
}

// Limits are what can be changed of a port, as of equic.Gateway.
type Limits interface {
	Quota(port uint16) int
	SetQuota(port uint16, quota int) error
	SetRate(port uint16, initialsPerSecond float64, burst int) error
}

// Reader tells what a gateway does, as equic.Gateway does.
type Reader interface {
	Attachment() equic.Attachment
	Stats() (equic.Stats, error)
	Clients() iter.Seq[equic.Client]
}

// Gateway is what is controlled: an equic.Gateway, or a fake of it.
type Gateway interface {
	Counter
	Limits
	Reader
}

// List is a set of prefixes: an equic.List, or a fake of it.
type List interface {
	Add(p netip.Prefix) error
	Remove(p netip.Prefix) error
	Prefixes() []netip.Prefix
}

// Options say what a Server controls. All are required.
type Options struct {
	Gateway         Gateway
	Allowed, Denied List
	// Ports are those of the gateway, with the limits that it began with.
	Ports []equic.Port
	Log   *slog.Logger
}

// Server answers the connections of a socket.
type Server struct {
	Options
	rates     *rates
	snapshots chan struct{} // a place for each connection that reads `clients`
	counting  sync.Mutex    // held while `status` counts the clients
	patience  time.Duration // WriteTimeout
}

// NewServer makes a server; Serve starts it.
func NewServer(o Options) *Server {
	return &Server{
		Options:   o,
		rates:     newRates(o.Ports),
		snapshots: make(chan struct{}, maxSnapshots),
		patience:  WriteTimeout,
	}
}

// Serve answers the connections of a listener, each by a goroutine of its own,
// until the context ends. It closes the listener, and returns when all
// connections are closed and what they counted is released.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // Accept tells
	defer func() {
		stop()
		_ = listener.Close() // or wait for the one under way
	}()
	places := make(chan struct{}, MaxConnections)
	for {
		conn, err := accept(ctx, listener)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept connections of %s: %w", listener.Addr(), err)
		}
		select {
		case places <- struct{}{}:
			sessions.Go(func() {
				defer func() { <-places }()
				newSession(s, conn).serve(ctx)
			})
		default:
			turnAway(conn)
		}
	}
}

// acceptPause is how long accept waits for resources that are short.
const acceptPause = 100 * time.Millisecond

// accept waits for a connection. It goes on where the machine is short of
// resources, and where a peer went away too soon. Once the context has ended it
// returns no connection.
func accept(ctx context.Context, listener net.Listener) (net.Conn, error) {
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil && conn != nil {
			return nil, conn.Close()
		}
		if !passing(err) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(acceptPause):
		}
	}
}

// passing says whether the next connection may do better.
func passing(err error) bool {
	for _, number := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
	} {
		if errors.Is(err, number) {
			return true
		}
	}
	return false
}

// turnAway refuses a connection that is one too many. The socket's buffer is
// empty, so that the write does not wait for the peer.
func turnAway(conn net.Conn) {
	_, _ = fmt.Fprintf(conn, "error: %d connections are open already: close one, or use one for several threads\n",
		MaxConnections)
	_ = conn.Close()
}

// timedWriter bounds how long each write to a connection takes, or, within a
// long reply, all of them.
type timedWriter struct {
	conn     net.Conn
	patience time.Duration
	until    time.Time // the end of a long reply; zero outside of one
}

// begin starts a long reply.
func (w *timedWriter) begin() { w.until = time.Now().Add(w.patience) }

// end ends it.
func (w *timedWriter) end() { w.until = time.Time{} }

func (w *timedWriter) Write(b []byte) (int, error) {
	until := w.until
	if until.IsZero() {
		until = time.Now().Add(w.patience)
	}
	if err := w.conn.SetWriteDeadline(until); err != nil {
		return 0, err
	}
	return w.conn.Write(b)
}

// flusher reads from a connection, and sends what was written before it waits.
type flusher struct {
	conn io.Reader
	out  interface{ Flush() error }
}

func (f flusher) Read(b []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.conn.Read(b)
}
