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
	"strings"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/equic"
)

// Timeout limits each request.
const Timeout = 5 * time.Second

// retryAfter is how long a client waits before it tries to reach a lost gateway again.
// Until then every request fails at once.
const retryAfter = time.Second

// ErrGone means that the gateway cannot be reached. Until it is back, a server may
// admit clients, as quicguard does, or refuse them.
var ErrGone = errors.New("gateway is gone")

// Client counts connections at a gateway. Its counts are released when its process
// ends. If the gateway restarts, the client connects again with its next request, and
// counts its open connections there. Its methods may be called from any goroutine.
type Client struct {
	path string

	mu     sync.Mutex
	conn   net.Conn // nil if the gateway is gone
	in     *bufio.Reader
	open   map[connection]int
	retry  time.Time // do not try before
	closed bool

	session  int    // number of the current connection to the gateway
	lastID   uint64 // of a handshake
	halfOpen equic.HalfOpen
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
	c := &Client{path: path, open: make(map[connection]int)}
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
	c.conn, c.in = conn, bufio.NewReader(conn)
	c.session++
	for of, n := range c.open {
		for range n {
			if reply, err := c.exchange("inc " + of.String()); err != nil {
				return err
			} else if reply != "ok" && reply != "over" {
				return fmt.Errorf("count again what is open: %w", c.failure(reply))
			}
		}
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
	c.open[of]++
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
	if c.conn == nil { // connect will count what is open then
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
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// request sends a request about a connection. Callers hold mu.
func (c *Client) request(what string, of connection) (string, error) {
	return c.ask(what + " " + of.String())
}

// ask sends a request, and connects first if the gateway was gone. Callers hold mu.
func (c *Client) ask(line string) (string, error) {
	switch {
	case c.closed:
		return "", equic.ErrClosed
	case c.conn != nil:
		reply, err := c.exchange(line)
		if err == nil {
			return reply, nil
		}
	case time.Now().Before(c.retry):
		return "", ErrGone
	}
	if err := c.connect(); err != nil {
		c.lose()
		return "", err
	}
	return c.exchange(line)
}

// exchange sends a request and reads the reply. An error means that the gateway is
// gone. Callers hold mu.
func (c *Client) exchange(line string) (string, error) {
	err := c.conn.SetDeadline(time.Now().Add(Timeout))
	if err == nil {
		_, err = io.WriteString(c.conn, line+"\n")
	}
	var reply string
	if err == nil {
		reply, err = c.in.ReadString('\n')
	}
	if err != nil {
		c.lose()
		return "", fmt.Errorf("%w: %w", ErrGone, err)
	}
	return strings.TrimSuffix(reply, "\n"), nil
}

// lose closes the connection. After an error, it is unclear which replies are still to
// come.
func (c *Client) lose() {
	if c.conn != nil {
		_ = c.conn.Close() // it has already failed
		c.conn = nil
	}
	c.retry = time.Now().Add(retryAfter)
}

// failure returns the error for a reply.
func (c *Client) failure(reply string) error {
	if reply == "full" {
		return equic.ErrFull
	}
	return errors.New("the gateway replied " + reply)
}
