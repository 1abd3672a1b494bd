package quicguard

import (
	"context"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// early holds the connections that were accepted before their handshakes were
// complete, and may be handed out now.
type early struct {
	mu    sync.Mutex
	ready []*quic.Conn
	more  context.Context // ends when ready gets another one
	wake  context.CancelFunc
	ended chan struct{} // closed when nobody takes any more
}

func (e *early) init() {
	e.ended = make(chan struct{})
	e.more, e.wake = context.WithCancel(context.Background())
}

// take is a connection, or nil and what ends when there is one.
func (e *early) take() (*quic.Conn, context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ready) == 0 {
		return nil, e.more
	}
	conn := e.ready[0]
	e.ready = e.ready[1:]
	return conn, nil
}

// put hands a connection to the next take; false if there will be none.
func (e *early) put(conn *quic.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.ended:
		return false
	default:
	}
	e.ready = append(e.ready, conn)
	e.wake()
	e.more, e.wake = context.WithCancel(context.Background())
	return true
}

// end has later puts fail; it returns what was put and not taken.
func (e *early) end() []*quic.Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.ended:
	default:
		close(e.ended)
	}
	rest := e.ready
	e.ready = nil
	return rest
}

// await waits for an early connection's handshake, then decides.
func (l *Listener) await(conn *quic.Conn, client netip.Addr) {
	select {
	case <-conn.HandshakeComplete():
	case <-conn.Context().Done():
		return
	case <-l.early.ended:
		abandon(conn)
		return
	}
	if l.decide(conn, client) && !l.early.put(conn) {
		abandon(conn)
	}
}

// end ends the early connections that Accept has not returned.
func (l *Listener) end() {
	for _, conn := range l.early.end() {
		l.closing.start()
		go func() {
			defer l.closing.done()
			abandon(conn)
		}()
	}
}

// abandon closes a connection that nobody will serve.
func abandon(conn *quic.Conn) {
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "server stops") // always nil
}
