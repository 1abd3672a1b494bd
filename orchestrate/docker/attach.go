package docker

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// attach takes a container's output. The SDK heeds the context only while it
// dials: an engine that accepts and says nothing would hold it for ever, so the
// connection is closed when the context ends before there is an answer.
func attach(ctx context.Context, engine *client.Client, id string) (types.HijackedResponse, error) {
	var c connection
	answered := context.AfterFunc(ctx, c.close)
	output, err := engine.ContainerAttach(context.WithValue(ctx, dialedKey{}, &c), id,
		container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if answered() {
		return output, err
	}
	if err == nil { // in the same moment
		output.Close()
	}
	return types.HijackedResponse{}, ctx.Err()
}

// connection is the one that is dialed for an attach.
type connection struct {
	mu     sync.Mutex
	dialed net.Conn
	closed bool
}

func (c *connection) take(dialed net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialed = dialed
	if c.closed {
		_ = dialed.Close() // nobody uses it yet
	}
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.dialed != nil {
		_ = c.dialed.Close() // who waits for an answer sees it
	}
}

// dialedKey is the context's key for the connection of an attach.
type dialedKey struct{}

// tellDialed has a client's dialer give a connection to the attach that asked
// for it. The SDK dials in a way of its own where it speaks TLS, and does not.
func tellDialed(c *client.Client) error {
	transport, ok := c.HTTPClient().Transport.(*http.Transport)
	if !ok || transport.DialContext == nil {
		return nil
	}
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed, err := dial(ctx, network, address)
		if c, asked := ctx.Value(dialedKey{}).(*connection); asked && err == nil {
			c.take(dialed)
		}
		return dialed, err
	}
	return nil
}
