// Package server is the measured server: HTTP/3 with a quota of simultaneous
// connections per client address. Its variant selects where in the stack clients over
// quota are refused.
//
// It runs in the server node of a trial (cmd/equic-server is its main) and
// prints the records of package record.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/quicguard"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server/certificate"
)

// stopGrace is how long a stopping server waits for requests in progress.
const stopGrace = time.Second

// Options describe one server.
type Options struct {
	Listen      string        // UDP address, host:port
	Family      record.Family // of the socket
	Variant     record.Variant
	Quota       int                 // simultaneous connections admitted per client address
	BodyBytes   int64               // of the response to "/"
	IdleTimeout time.Duration       // QUIC idle timeout
	Certificate *tls.Certificate    // if nil, the server makes its own, with a Key
	Key         certificate.KeyType // empty is ECDSA
	Retry       Retry               // for variants that answer attempts with a Retry
	Interface   string              // for variants that block in the kernel
	XDPMode     equic.Mode          // for the same variants
	Node        string
	Clock       *record.Clock
	Log         *slog.Logger
}

func (o *Options) validate() error {
	if _, err := record.ParseVariant(string(o.Variant)); err != nil {
		return err
	}
	if _, err := record.ParseFamily(string(o.Family)); err != nil {
		return err
	}
	switch {
	case o.Variant.InFront():
		return fmt.Errorf("variant %s blocks in front of a server that knows nothing of it: want another", o.Variant)
	case o.Quota < 1:
		return fmt.Errorf("quota %d: want at least 1", o.Quota)
	case o.BodyBytes < 0 || o.BodyBytes > MaxBodyBytes:
		return fmt.Errorf("body of %d bytes: want 0 to %d", o.BodyBytes, MaxBodyBytes)
	case o.IdleTimeout <= 0:
		return fmt.Errorf("idle timeout %v: want more than zero", o.IdleTimeout)
	}
	return o.Retry.validate(o.Variant)
}

// server is one running server.
type server struct {
	o       Options
	port    uint16
	book    *book
	gateway dropper // nil if no packets are dropped
	counter counter // the gateway, or a counter in user space
	guard   *quicguard.Listener
	early   *earlyRefusals
	begun   atomic.Int64 // attempts that were timed or not
	timed   atomic.Int64 // refusals whose CPU time was measured
	h3      *http3.Server
	serving sync.WaitGroup // connections that HTTP/3 is serving
}

// Run serves until ctx ends. Then it shuts down cleanly and prints its records to out. It
// prints ready when it listens (and, if the kernel blocks, has attached). At the end it
// prints every connection, every refusal, the gateway's counters, and the totals.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	s := &server{o: o, book: newBook(o.Clock), early: newEarlyRefusals()}
	if s.counter, err = newCounter(o); err != nil {
		return err
	}
	socket, err := listenUDP(ctx, o.Listen, o.Family)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreClosed(socket.Close())) }()
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return err
	}
	s.port = uint16(socket.LocalAddr().(*net.UDPAddr).Port)
	if err := s.attach(socket); err != nil {
		return err
	}
	if s.gateway != nil {
		defer func() { err = errors.Join(err, s.gateway.Close()) }()
	}

	// With connection IDs of up to 7 bytes, the kernel can distinguish the packets of a
	// handshake in progress from those that open a connection.
	tr := &quic.Transport{Conn: s.transportConn(socket), ConnectionIDLength: 7, ConnContext: s.connContext}
	//nolint:contextcheck // a connection has a context of its own
	if err := s.listen(tr, http3.ConfigureTLSConfig(tlsConfig)); err != nil {
		return fmt.Errorf("listen for QUIC on %s: %w", o.Listen, err)
	}
	s.h3 = &http3.Server{Handler: handler(o.BodyBytes)}

	printer := record.NewPrinter(out)
	if err := printer.Print(record.Line{Ready: s.ready(socket)}); err != nil {
		return errors.Join(err, tr.Close())
	}
	quiet := printer.PrintProgress(s.progress)
	acceptErr := s.acceptAll(ctx)
	quiet()
	s.drain(context.WithoutCancel(ctx))
	if err := errors.Join(ignoreClosed(s.guard.Close()), tr.Close()); err != nil {
		return fmt.Errorf("close listener: %w", err)
	}
	s.serving.Wait()
	s.guard.Wait()
	s.book.live.Wait()
	lines, err := s.lines(context.WithoutCancel(ctx))
	return errors.Join(acceptErr, printer.Print(lines...), err)
}

func (s *server) quicConfig() *quic.Config {
	c := &quic.Config{MaxIdleTimeout: s.o.IdleTimeout}
	if s.o.Variant == record.UserspaceEarly {
		c.GetConfigForClient = func(info *quic.ClientInfo) (*quic.Config, error) {
			return c, s.refuseEarly(info)
		}
	}
	return c
}

// attach drops packets to the server's port at the place of the variant.
func (s *server) attach(socket *net.UDPConn) error {
	v := s.o.Variant
	switch {
	case v == record.NftablesBlock:
		firewall, err := newFirewall(s.port, s.o.Quota, s.o.Family)
		if err != nil {
			return err
		}
		s.gateway = firewall
	case v.InKernel():
		gateway, err := equic.Attach(equic.Options{
			Interfaces: []string{s.o.Interface},
			Ports:      []equic.Port{{Number: s.port}},
			Quota:      s.o.Quota,
			Policy:     policy(v),
			HalfOpen:   s.o.Retry.limits(),
			Mode:       equic.Mode(v.Mode(string(s.o.XDPMode))),
			Sockets:    []syscall.Conn{socket},
		})
		if err != nil {
			return err
		}
		s.gateway = gateway
	case v.Drops():
		app := equic.NewApplication(s.o.Quota, policy(v))
		if err := app.LimitHalfOpen(s.o.Retry.limits()); err != nil {
			return err
		}
		s.gateway = app
	default:
		return nil
	}
	s.counter = s.gateway
	return nil
}

// transportConn returns the socket as quic-go reads it.
func (s *server) transportConn(socket *net.UDPConn) net.PacketConn {
	app, ok := s.gateway.(*equic.Application)
	if !ok {
		return socket
	}
	return quicguard.Filter(socket, func(from netip.AddrPort, datagram []byte) bool {
		return app.Drop(s.port, from, datagram)
	})
}

func (s *server) ready(socket *net.UDPConn) *record.Ready {
	r := &record.Ready{Node: s.o.Node, AtNS: s.o.Clock.Now(), ReceiveBufferBytes: receiveBuffer(socket)}
	if s.gateway != nil {
		r.XDPMode = s.gateway.Mode().String()
	}
	return r
}

// progress returns the numbers of connections refused and packets dropped so far.
func (s *server) progress() *record.Progress {
	p := &record.Progress{AtNS: s.o.Clock.Now(), Refused: len(s.book.refusals()) + len(s.early.refusals())}
	if s.gateway != nil {
		if stats, err := s.gateway.Stats(); err == nil { // else gatewayRecord fails too
			p.Dropped = stats.Dropped
		}
	}
	return p
}

// acceptAll serves every connection that the guard admits. It never blocks on one of
// them: the transport's accept queue is short.
func (s *server) acceptAll(ctx context.Context) error {
	for {
		conn, err := s.guard.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the server was asked to stop
			}
			return fmt.Errorf("accept connections: %w", err)
		}
		s.serving.Go(func() {
			// The context's cause is the reason for the connection's end.
			_ = s.h3.ServeQUICConn(conn)
		})
	}
}

// drain gives requests in progress up to stopGrace to end, then closes every
// connection.
func (s *server) drain(ctx context.Context) {
	handled := make(chan error, 1)
	// Shutdown waits for all connections; closeAll below ends them.
	go func() { handled <- s.h3.Shutdown(ctx) }()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case err := <-handled:
		handled <- err
	case <-grace.C:
	}
	s.book.closeAll()
	if err := <-handled; err != nil {
		s.o.Log.Warn("shut down HTTP/3", "err", err)
	}
}

// lines returns the records of the whole run.
func (s *server) lines(ctx context.Context) ([]record.Line, error) {
	lines := s.book.lines()
	refusals := append(s.book.refusals(), s.early.refusals()...)
	for i := range refusals {
		lines = append(lines, record.Line{Refusal: &refusals[i]})
	}
	total := s.book.totals()
	total.Variant = string(s.o.Variant)
	total.Refusals = len(refusals)
	total.Retried = s.guard.Stats().Retried
	if s.o.Variant != record.NoBlock {
		total.EmptyWallNS, total.EmptyCPUNS = ownCost(2*len(s.book.refusals()) > len(refusals))
	}
	for c := range s.counter.Clients() {
		total.StillCounted += c.Connections
	}
	if s.gateway == nil {
		return append(lines, record.Line{Server: total}), nil
	}
	gateway, err := s.gatewayRecord(ctx)
	return append(lines, record.Line{Gateway: gateway}, record.Line{Server: total}), err
}

// ignoreClosed returns err, or nil if it only means that something is already closed.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
