package quicguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestCloseWaitsForRefusals(t *testing.T) {
	listener := listen(t, false, nil)
	var done atomic.Bool
	guarded := WrapWith(listener, NewUserSpace(0), Options{Refuse: func(conn *quic.Conn, client netip.Addr) {
		<-listener.closed // Close is in progress
		Refuse(conn, client)
		done.Store(true)
	}})
	greet(t, guarded)
	conn, err := transport(t, localhost).Dial(t.Context(), guarded.Addr(), clientTLS(), nil)
	testkit.Must(t, err)
	testkit.Await(t, "the connection is over quota", func() bool { return guarded.Stats().Refused == 1 })
	testkit.Must(t, guarded.Close())
	if !done.Load() {
		t.Error("Close returned before the refusal ended")
	}
	<-conn.Context().Done()
	if err := causeOf(conn); !isRefusal(err) {
		t.Errorf("the client got %v, want a refusal", err)
	}
}

func causeOf(conn *quic.Conn) error { return context.Cause(conn.Context()) }

func TestCloseLeavesAdmittedConnectionsAndWaitWaitsForThem(t *testing.T) {
	counter := NewUserSpace(1)
	guarded := Wrap(listen(t, false, nil), counter)
	greet(t, guarded)
	conn := mustDial(t, 1, localhost, guarded.Addr())[0]
	testkit.Must(t, guarded.Close())
	if conn.Context().Err() != nil || guarded.Stats().Open != 1 {
		t.Fatalf("the connection ended with the listener: %v, %+v", causeOf(conn), guarded.Stats())
	}
	if _, err := guarded.Accept(t.Context()); !errors.Is(err, quic.ErrServerClosed) {
		t.Errorf("Accept after Close: %v, want ErrServerClosed", err)
	}
	hangUp(conn)
	guarded.Wait()
	if n := counter.Count(portOf(guarded.Addr()), localhost); n != 0 {
		t.Errorf("%d counted after Wait, want none", n)
	}
}

func TestAcceptEndsWithItsContext(t *testing.T) {
	guarded := Wrap(listen(t, false, nil), NewUserSpace(1))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := guarded.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	testkit.Must(t, guarded.Close())
}

// halting is a socket that sends its first datagrams, and the others only once it may.
type halting struct {
	net.PacketConn
	left atomic.Int32
	open chan struct{}
}

func (h *halting) WriteTo(p []byte, to net.Addr) (int, error) {
	if h.left.Add(-1) < 0 {
		<-h.open
	}
	return h.PacketConn.WriteTo(p, to)
}

// half is a client's connection whose handshake does not end at the server until
// resume.
type half struct {
	socket  *halting
	local   string
	resumed sync.Once
	ended   chan error // the result of the connection
}

func dialHalf(t *testing.T, to net.Addr) *half {
	t.Helper()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: localhost.AsSlice()})
	testkit.Must(t, err)
	h := &half{
		socket: &halting{PacketConn: socket, open: make(chan struct{})},
		local:  socket.LocalAddr().String(),
		ended:  make(chan error, 1),
	}
	h.socket.left.Store(2) // a ClientHello with a post-quantum key share
	tr := transportOn(t, h.socket)
	t.Cleanup(h.resume) // before the transport is closed
	go func() {
		conn, err := tr.Dial(t.Context(), to, clientTLS(), nil)
		if err == nil { // the client has sent its Finished, or believes so
			<-conn.Context().Done()
			err = causeOf(conn)
		}
		h.ended <- err
	}()
	return h
}

func (h *half) resume() { h.resumed.Do(func() { close(h.socket.open) }) }

func TestAHandshakeThatStallsCountsNotAndHoldsUpNobody(t *testing.T) {
	listener := listen(t, true, nil)
	guarded := Wrap(listener, NewUserSpace(1))
	greet(t, guarded)
	stalled := dialHalf(t, guarded.Addr())
	testkit.Await(t, "the early connection is accepted", func() bool { return listener.accepted.Load() == 1 })
	mustDial(t, 1, localhost, guarded.Addr())
	if got, want := guarded.Stats(), (Stats{Admitted: 1, Open: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	select {
	case err := <-stalled.ended:
		t.Errorf("the stalled handshake ended: %v", err)
	default:
	}
	testkit.Must(t, guarded.Close())
	stalled.resume()
	if err := <-stalled.ended; !closedByServer(err) {
		t.Errorf("the stalled client got %v, want a close by the server", err)
	}
}

func closedByServer(err error) bool {
	var application *quic.ApplicationError
	var transport *quic.TransportError
	return errors.As(err, &application) && application.Remote || errors.As(err, &transport) && transport.Remote
}

// untaken makes an early connection that is admitted while Accept is not called.
func untaken(t *testing.T) (*Listener, *half) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	guarded := WrapWith(listen(t, true, nil), NewUserSpace(1), Options{OnAdmit: func(*quic.Conn, netip.Addr) {
		cancel()
		if err := <-returned; !errors.Is(err, context.Canceled) {
			t.Errorf("Accept returned %v, want context.Canceled", err)
		}
	}})
	go func() {
		_, err := guarded.Accept(ctx)
		returned <- err
	}()
	client := dialHalf(t, guarded.Addr())
	testkit.Await(t, "an Accept and a handshake are under way", func() bool { return guarded.closing.running() == 2 })
	client.resume()
	testkit.Await(t, "the connection is ready", func() bool {
		guarded.early.mu.Lock()
		defer guarded.early.mu.Unlock()
		return len(guarded.early.ready) == 1
	})
	return guarded, client
}

func TestTheNextAcceptTakesAnEarlyConnectionThatBecameReadyBefore(t *testing.T) {
	guarded, client := untaken(t)
	conn, err := guarded.Accept(t.Context())
	testkit.Must(t, err)
	if conn.RemoteAddr().String() != client.local {
		t.Errorf("a connection from %s, want %s", conn.RemoteAddr(), client.local)
	}
	testkit.Must(t, guarded.Close())
}

func TestCloseEndsEarlyConnectionsThatNobodyTook(t *testing.T) {
	guarded, client := untaken(t)
	testkit.Must(t, guarded.Close())
	if err := <-client.ended; !closedByServer(err) {
		t.Errorf("the client got %v, want a close by the server", err)
	}
	guarded.Wait()
	if got, want := guarded.Stats(), (Stats{Admitted: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTasksMayStartWhileOthersWait(t *testing.T) {
	var all tasks
	var done atomic.Int32
	var waiters sync.WaitGroup
	all.start() // so that no wait sees zero before all have begun
	for range 8 {
		waiters.Go(func() {
			for range 1000 {
				all.start()
				done.Add(1)
				all.done()
			}
		})
		waiters.Go(all.wait)
	}
	testkit.Await(t, "all have run", func() bool { return done.Load() == 8000 })
	all.done()
	waiters.Wait()
	all.wait()
	if n := all.running(); n != 0 {
		t.Errorf("%d run, want none", n)
	}
}
