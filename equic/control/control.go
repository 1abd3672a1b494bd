// Package control lets a server in another process count its clients at a gateway, by a
// line protocol over a Unix socket.
//
// The program equic-gateway combines it with the package equic, for servers that are
// not written in Go. docs/gateway.md describes the protocol. It imports equic and no
// other package of this module.
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
	"sync/atomic"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// Limits of the protocol.
const (
	// MaxLine is the greatest length of a request, in bytes without its line feed.
	MaxLine = 256
	// MaxConnections is the number of connections that may be open at once.
	MaxConnections = 64
	// WriteTimeout is how long a connection may leave its replies unread before it is
	// closed.
	WriteTimeout = 10 * time.Second
)

// maxSnapshots is the number of connections that may read `clients` or `networks` at once. Each has a
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

// Heir takes over what a predecessor counted, as equic.Gateway does.
type Heir interface {
	Claim(port uint16, addr netip.Addr) bool
	Claimed()
	Inherited() int
	SetOwners(n int) error
}

// Limits reads and changes the limits of a port, and whether they are enforced, as
// equic.Gateway does.
type Limits interface {
	Ports() []equic.Port
	SetQuota(port uint16, quota int) error
	SetRate(port uint16, initialsPerSecond float64, burst int) error
	Monitor() bool
	SetMonitor(on bool) error
}

// Reader reads the state of a gateway, as equic.Gateway does.
type Reader interface {
	Attachments() []equic.Attachment
	Stats() (equic.Stats, error)
	Clients() iter.Seq[equic.Client]
	Networks() iter.Seq[equic.Client]
	TurnedAway() map[uint16]uint64
}

// Gateway is the gateway to control: an equic.Gateway, or a fake.
type Gateway interface {
	Counter
	Heir
	Limits
	Reader
}

// List is a set of prefixes: an equic.List, or a fake.
type List interface {
	Add(p netip.Prefix) error
	AddFor(p netip.Prefix, d time.Duration) error
	Remove(p netip.Prefix) error
	Added() []equic.Listing
	FeedSize() int
}

// Options specify what a Server controls. They are required.
type Options struct {
	Gateway         Gateway
	Allowed, Denied List
	Ports           []equic.Port // of the gateway
	Log             *slog.Logger
	// HandOver gives the gateway up for a successor, then ends the context of Serve:
	// Server.HandOver calls it once. Nil if there can be no successor: this one is not
	// required.
	HandOver func()
	// Folder is where the gateway is pinned.
	Folder string
}

// Server answers the connections of a socket.
type Server struct {
	Options
	snapshots chan struct{} // one place for each connection that reads `clients`
	counting  sync.Mutex    // locked while `status` counts the clients
	patience  time.Duration // WriteTimeout
	left      atomic.Bool   // the gateway is given up: what it counts stays

	handOver sync.Once
	owning   sync.Mutex
	owners   int // connections that have counted
}

// NewServer makes a server. Serve starts it.
func NewServer(o Options) *Server {
	return &Server{
		Options:   o,
		snapshots: make(chan struct{}, maxSnapshots),
		patience:  WriteTimeout,
	}
}

// HandOver gives the gateway up for a successor, when a peer requests that or the caller
// decides it. What the connections counted stays counted. Options.HandOver must be set.
func (s *Server) HandOver() {
	s.handOver.Do(func() {
		s.left.Store(true)
		s.Options.HandOver()
	})
}

// own notes that a connection has begun to count, or has ended.
func (s *Server) own(by int) {
	s.owning.Lock()
	defer s.owning.Unlock()
	s.owners += by
	if err := s.Gateway.SetOwners(s.owners); err != nil {
		s.Log.Error("record the number of owners", "error", err)
	}
}

// Serve answers the connections of a listener, each in its own goroutine, until the
// context ends. It closes the listener. It returns when all connections are closed and
// their counts are released.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // Accept then returns an error
	defer func() {
		stop()
		_ = listener.Close() // or wait for the Close in progress
	}()
	places := make(chan struct{}, MaxConnections)
	for {
		conn, err := accept(ctx, listener)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if s.Options.HandOver != nil { // first, or the counts would end with the connections
				s.HandOver()
			}
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

// acceptPause is how long accept waits if resources are short.
const acceptPause = 100 * time.Millisecond

// accept waits for a connection. It continues if the machine is short of resources, or
// a peer disconnected too soon. Once the context has ended it returns no connection.
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

// passing reports whether an error is temporary, so that the next Accept may succeed.
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

// turnAway refuses a connection above the limit. The socket's buffer is empty, so the
// write does not wait for the peer.
func turnAway(conn net.Conn) {
	_, _ = fmt.Fprintf(conn, "error: %d connections are open already: close one, or use one for several threads\n",
		MaxConnections)
	_ = conn.Close()
}

// timedWriter limits how long each write to a connection takes, or all the writes of a
// long reply together.
type timedWriter struct {
	conn     net.Conn
	patience time.Duration
	until    time.Time // the end of a long reply; otherwise zero
}

// begin starts a long reply.
func (w *timedWriter) begin() { w.until = time.Now().Add(w.patience) }

// end ends the long reply.
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

// flusher reads from a connection. It sends the buffered replies before each read.
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
