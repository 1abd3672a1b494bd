package quicguard

import (
	"context"
	"net/netip"
	"sync"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// early holds the connections that were accepted before their handshakes were complete,
// and may be returned by Accept now.
type early struct {
	mu    sync.Mutex
	ready []*quic.Conn
	more  context.Context // ends when ready gets another one
	wake  context.CancelFunc
	ended chan struct{} // closed when no more connections are taken
}

func (e *early) init() {
	e.ended = make(chan struct{})
	e.more, e.wake = context.WithCancel(context.Background())
}

// take returns a connection. If there is none, it returns nil and a context that ends
// when there is one.
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

// put gives a connection to the next take. It returns false after end.
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

// end makes later puts fail. It returns the connections that were put and not taken.
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

// end closes the early connections that Accept has not returned.
func (l *Listener) end() {
	for _, conn := range l.early.end() {
		l.closing.start()
		go func() {
			defer l.closing.done()
			abandon(conn)
		}()
	}
}

// abandon closes a connection that will not be served.
func abandon(conn *quic.Conn) {
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "server stops") // always nil
}
