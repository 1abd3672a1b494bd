// Package socket counts connections at an equic-gateway. Other processes may share the
// gateway: the workers of a server with SO_REUSEPORT, or several servers. A *Client is
// a quicguard.Admission.
//
//	gateway, err := socket.Dial("/run/equic-gateway.sock")
//	if err != nil {
//		return err
//	}
//	defer gateway.Close()
//	guarded, err := quicguard.ListenAddr(":443", tlsConfig, nil, gateway)
//
// Each call waits for a round trip to the gateway. A quicguard listener makes three of
// them before a handshake. The package needs no capability and works on every system
// with Unix sockets; the gateway needs Linux. docs/gateway.md describes the protocol.
package socket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// Timeout limits each request.
const Timeout = 5 * time.Second

// A client tries to reach a lost gateway again after these times: at first, then while
// requests wait for it, and later.
const (
	firstRetry = time.Millisecond
	soonRetry  = 20 * time.Millisecond
	lateRetry  = time.Second
)

// handOverTime is how long requests wait for a gateway that was lost: another process may
// be taking over.
const handOverTime = time.Second

// ErrGone means that the gateway cannot be reached. Until it is back, a server may
// admit clients, as quicguard does, or refuse them.
var ErrGone = errors.New("gateway is gone")

// Client counts connections at a gateway. Its counts are released when its process
// ends. If the gateway is replaced or restarts, the client connects again at once, and
// counts its open connections there, as far as the gateway has room for them (Uncounted).
// Requests wait for that. A second after the loss they fail with ErrGone, until the gateway
// is back. Its methods may be called from any goroutine.
type Client struct {
	path string
	stop chan struct{} // closed by Close
	back sync.WaitGroup

	mu     sync.Mutex
	wire   *wire // nil if the gateway is gone
	open   map[connection]int
	missed map[connection]int // those of open that the gateway has not counted
	lost   time.Time          // when it was lost
	found  chan struct{}      // closed when it is back; nil while it is there
	closed bool
	owner  bool // the gateway has counted something for this session

	session  int    // number of the current connection to the gateway
	lastID   uint64 // of a handshake
	halfOpen equic.HalfOpen
}

// wire is a connection to the gateway.
type wire struct {
	conn    net.Conn
	replies chan string   // without the line feed
	ended   chan struct{} // closed when there are no more
}

// connection is an address and a port to which it has open connections.
type connection struct {
	port uint16
	addr netip.Addr
}

func newConnection(port uint16, addr netip.Addr) connection {
	return connection{port, addr.Unmap().WithZone("")}
}

func (c connection) String() string { return fmt.Sprintf("%s %d", c.addr, c.port) }

// Dial connects to the gateway that listens on a Unix socket.
func Dial(path string) (*Client, error) {
	c := &Client{path: path, open: make(map[connection]int), missed: make(map[connection]int), stop: make(chan struct{})}
	if err := c.connect(); err != nil {
		return nil, err
	}
	return c, nil
}

// connect connects, and counts the open connections. Callers hold mu, or run before c
// is shared.
func (c *Client) connect() error {
	d := net.Dialer{Timeout: Timeout}
	conn, err := d.DialContext(context.Background(), "unix", c.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	w := &wire{conn, make(chan string), make(chan struct{})}
	c.wire = w
	c.session++
	c.back.Go(func() { c.read(w) })
	clear(c.missed)
	counted := false
	for of, n := range c.open {
		for range n {
			reply, err := c.exchange("inc " + of.String())
			if err != nil {
				c.drop()
				return err
			}
			if reply == "ok" || reply == "over" {
				counted = true
			} else { // it is full, or no longer protects the port
				c.missed[of]++
			}
		}
	}
	if c.owner { // so that the gateway need not wait for more
		if _, err := c.exchange("claimed"); err != nil {
			c.drop()
			return err
		}
	}
	c.owner = counted
	return nil
}

// Uncounted returns the number of open connections that the gateway has not counted: it is
// gone, or when it came back it had no room for them or did not protect their port. It counts
// them when it comes back the next time, if it can.
func (c *Client) Uncounted() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.missed
	if c.wire == nil {
		of = c.open
	}
	for _, some := range of {
		n += some
	}
	return n
}

// count notes a connection that the gateway has counted. Callers hold mu.
func (c *Client) count(of connection) {
	c.open[of]++
	c.owner = true
}

// read reads the replies of a gateway until it is gone.
func (c *Client) read(w *wire) {
	in := bufio.NewReader(w.conn)
	for {
		reply, err := in.ReadString('\n')
		if err != nil {
			break
		}
		select {
		case w.replies <- strings.TrimSuffix(reply, "\n"):
		case <-c.stop:
		case <-time.After(Timeout): // it answers no request
		}
	}
	close(w.ended)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire == w {
		c.lose()
	}
}

// lose notes that the gateway is gone, and begins to look for it. Callers hold mu.
func (c *Client) lose() {
	c.drop()
	if c.closed || c.found != nil {
		return
	}
	c.lost, c.found = time.Now(), make(chan struct{})
	c.back.Go(c.find)
}

// drop closes the connection. After an error, it is unclear which replies are still to
// come.
func (c *Client) drop() {
	if c.wire != nil {
		_ = c.wire.conn.Close() // it has already failed
		c.wire = nil
	}
}

// find connects to the gateway when it is back.
func (c *Client) find() {
	wait, lost := firstRetry, time.Now()
	for {
		select {
		case <-c.stop:
			return
		case <-time.After(wait):
		}
		if c.reconnect() {
			return
		}
		if wait = soonRetry; time.Since(lost) > handOverTime {
			wait = lateRetry
		}
	}
}

func (c *Client) reconnect() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && c.connect() != nil {
		return false
	}
	close(c.found)
	c.found = nil
	return true
}

// await waits for a lost gateway. Callers hold mu, which is free meanwhile.
func (c *Client) await() error {
	for c.wire == nil {
		left := time.Until(c.lost.Add(handOverTime))
		switch {
		case c.closed:
			return equic.ErrClosed
		case left <= 0:
			return ErrGone
		}
		found := c.found
		c.mu.Unlock()
		select {
		case <-found:
		case <-c.stop:
		case <-time.After(left):
		}
		c.mu.Lock()
	}
	return nil
}

// TryInc counts a connection if its client is below the quota. The error is
// equic.ErrFull, ErrGone, or the gateway's reply; then nothing is counted.
func (c *Client) TryInc(port uint16, addr netip.Addr) (admitted bool, err error) {
	of := newConnection(port, addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	reply, err := c.request("tryinc", of)
	switch {
	case err != nil:
		return false, fmt.Errorf("count a connection of %s: %w", addr, err)
	case reply == "over":
		return false, nil
	case reply != "ok":
		return false, fmt.Errorf("count a connection of %s: %w", addr, c.failure(reply))
	}
	c.count(of)
	return true, nil
}

// Dec removes one connection. It is an error if this client has counted none.
func (c *Client) Dec(port uint16, addr netip.Addr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dec(newConnection(port, addr))
}

func (c *Client) dec(of connection) error {
	switch c.open[of] {
	case 0:
		return fmt.Errorf("release a connection of %s: it has none", of.addr)
	case 1:
		delete(c.open, of)
	default:
		c.open[of]--
	}
	if c.missed[of] > 0 {
		if c.missed[of]--; c.missed[of] == 0 {
			delete(c.missed, of)
		}
		return nil
	}
	if c.wire == nil { // connect will count what is open then
		return nil
	}
	reply, err := c.exchange("dec " + of.String())
	if err == nil && reply != "ok" {
		err = c.failure(reply)
	}
	if err != nil && !errors.Is(err, ErrGone) {
		return fmt.Errorf("release a connection of %s: %w", of.addr, err)
	}
	return nil
}

// Close disconnects. The gateway releases what this client counted.
func (c *Client) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.stop)
		c.drop()
	}
	c.mu.Unlock()
	c.back.Wait()
	return nil
}

// request sends a request about a connection. Callers hold mu.
func (c *Client) request(what string, of connection) (string, error) {
	return c.ask(what + " " + of.String())
}

// ask sends a request. If the gateway goes away meanwhile, it asks the one that comes back.
// Callers hold mu.
func (c *Client) ask(line string) (reply string, err error) {
	if c.closed {
		return "", equic.ErrClosed
	}
	const tries = 3 // of gateways that replace each other
	for range tries {
		if err = c.await(); err != nil {
			return "", err
		}
		if reply, err = c.exchange(line); err == nil {
			return reply, nil
		}
	}
	return "", err
}

// exchange sends a request and reads the reply. An error means that the gateway is
// gone. Callers hold mu.
func (c *Client) exchange(line string) (string, error) {
	w := c.wire
	err := w.conn.SetWriteDeadline(time.Now().Add(Timeout))
	if err == nil {
		_, err = io.WriteString(w.conn, line+"\n")
	}
	if err == nil {
		select {
		case reply := <-w.replies:
			return reply, nil
		case <-w.ended:
			err = io.ErrUnexpectedEOF
		case <-time.After(Timeout):
			err = os.ErrDeadlineExceeded
		}
	}
	c.lose()
	return "", fmt.Errorf("%w: %w", ErrGone, err)
}

// failure returns the error for a reply.
func (c *Client) failure(reply string) error {
	if reply == "full" {
		return equic.ErrFull
	}
	return errors.New("the gateway replied " + reply)
}
