package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/equic-bench/equic-bench/equic"
)

// bufferSize is the size of the buffers for requests and for replies, in bytes.
const bufferSize = 16 << 10

// client is a client that a connection counts.
type client struct {
	port uint16
	addr netip.Addr
}

// session is one connection of a server. Only its own goroutine uses it.
type session struct {
	server *Server
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	timed  *timedWriter      // beneath out
	counts map[client]uint32 // counted and not released

	handshakes map[string]handshake // in progress, by the ID that the peer gave
	owner      bool                 // it has counted something
	claimed    bool
	end        func() // called after the reply to the last request; nil before that
}

func newSession(s *Server, conn net.Conn) *session {
	timed := &timedWriter{conn: conn, patience: s.patience}
	out := bufio.NewWriterSize(timed, bufferSize)
	return &session{
		server: s,
		conn:   conn,
		in:     bufio.NewReaderSize(flusher{conn: conn, out: out}, bufferSize),
		out:    out,
		timed:  timed,
		counts: make(map[client]uint32),

		handshakes: make(map[string]handshake),
	}
}

// serve answers requests until the connection or the context ends, then releases the
// connection's counts.
func (s *session) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() }) // the next read then fails
	defer func() {
		stop()
		_ = s.out.Flush() // the peer may have gone
		_ = s.conn.Close()
		s.release()
	}()
	for {
		line, err := s.readLine()
		switch {
		case errors.Is(err, errLong):
			s.reply("", err)
		case err != nil:
			return
		default:
			s.answer(line)
		}
		switch {
		case s.end != nil:
			_ = s.out.Flush()
			s.end()
			return
		case s.server.left.Load(): // the peer asks the successor
			s.out.Reset(io.Discard)
			return
		}
		// The peer cannot receive replies any more, so its other requests are
		// pointless.
		if _, err := s.out.Write(nil); err != nil {
			return
		}
	}
}

var errLong = fmt.Errorf("the line is longer than %d bytes: send one request in each line", MaxLine)

// readLine reads a request without its line feed. If the line is too long, it is read
// to its end and the error is errLong. A last line without a line feed is not a
// request: it may be truncated.
func (s *session) readLine() (string, error) {
	line, err := s.in.ReadSlice('\n')
	long := len(line) > MaxLine+len("\n")
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = s.in.ReadSlice('\n')
	}
	switch {
	case err != nil:
		return "", err
	case long:
		return "", errLong
	}
	return string(line[:len(line)-1]), nil
}

// answer executes the request of one line, and replies with one line.
func (s *session) answer(line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		s.reply("", errors.New("the line is empty: send a request"))
		return
	}
	r, ok := requests[words[0]]
	arguments := words[1:]
	switch {
	case !ok:
		s.reply("", fmt.Errorf("unknown request %.32q: send one of %s", words[0], names))
	case len(arguments) < r.least || len(arguments) > r.most:
		s.reply("", fmt.Errorf("%d arguments given: send %s", len(arguments), r.form))
	default:
		s.reply(r.do(s, arguments))
	}
}

// errSent means that a request has already written its reply.
var errSent = errors.New("sent")

// reply writes one line: the text, "ok" if that is empty, or the reply for the error.
// If writing fails, the writer keeps that error for serve.
func (s *session) reply(text string, err error) {
	switch {
	case errors.Is(err, errSent):
		return
	case errors.Is(err, equic.ErrOverQuota):
		text = "over"
	case errors.Is(err, errRetry):
		text = "retry"
	case errors.Is(err, equic.ErrFull):
		text = "full"
	case err != nil:
		text = "error: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	case text == "":
		text = "ok"
	}
	_, _ = s.out.WriteString(text)
	_ = s.out.WriteByte('\n')
}

// tryInc counts a connection if its client is below the quota, else it returns
// equic.ErrOverQuota.
func (s *session) tryInc(c client) error {
	admitted, err := s.server.Gateway.TryInc(c.port, c.addr)
	switch {
	case err != nil:
		return err
	case !admitted:
		return equic.ErrOverQuota
	}
	s.count(c)
	return nil
}

// inc counts a connection, even if its client is at its quota; then the error is
// equic.ErrOverQuota. After any other error it is not counted. If the gateway's predecessor
// counted it, it is claimed.
func (s *session) inc(c client) error {
	if s.server.Gateway.Claim(c.port, c.addr) {
		s.count(c)
		return nil
	}
	over := s.tryInc(c)
	if !errors.Is(over, equic.ErrOverQuota) {
		return over
	}
	if err := s.server.Gateway.Inc(c.port, c.addr); err != nil {
		return err
	}
	s.count(c)
	return equic.ErrOverQuota
}

// count notes that the gateway has counted a connection for this session.
func (s *session) count(c client) {
	s.counts[c]++
	if !s.owner {
		s.owner = true
		s.server.own(1)
	}
}

// dec releases a connection that this session counted.
func (s *session) dec(c client) error {
	n := s.counts[c]
	if n == 0 {
		return fmt.Errorf("no connection of %s to port %d was counted here: count it by inc first", c.addr, c.port)
	}
	s.counts[c] = n - 1
	if n == 1 {
		delete(s.counts, c)
	}
	s.decrement(c)
	return nil
}

// decrement releases a connection at the gateway. An error is logged for the operator,
// not reported to the peer: the peer's own count is already released.
func (s *session) decrement(c client) {
	if err := s.server.Gateway.Dec(c.port, c.addr); err != nil && !errors.Is(err, equic.ErrClosed) {
		s.server.Log.Error("release a connection", "client", c.addr, "port", c.port, "error", err)
	}
}

// release releases everything that the session counted. If a successor takes over, it
// stays: the peer claims it there.
func (s *session) release() {
	if s.server.left.Load() {
		return
	}
	if s.owner {
		s.server.own(-1)
	}
	total := 0
	for c, n := range s.counts {
		for range n {
			s.decrement(c)
		}
		total += int(n)
	}
	clear(s.counts)
	if handshakes := s.cancelAll(); total+handshakes > 0 {
		s.server.Log.Info("a server went away: what it counted is released", "connections", total, "handshakes", handshakes)
	}
}
