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

// attach attaches to a container's output. The SDK respects the context only while it
// dials: an engine that accepts and does not answer would block it for ever. So the
// connection is closed if the context ends before there is an answer.
func attach(ctx context.Context, engine *client.Client, id string) (types.HijackedResponse, error) {
	var c connection
	answered := context.AfterFunc(ctx, c.close)
	output, err := engine.ContainerAttach(context.WithValue(ctx, dialedKey{}, &c), id,
		container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if answered() {
		return output, err
	}
	if err == nil { // at the same moment
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
		_ = dialed.Close() // it is not in use yet
	}
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.dialed != nil {
		_ = c.dialed.Close() // a call that waits for an answer sees it
	}
}

// dialedKey is the context's key for the connection of an attach.
type dialedKey struct{}

// tellDialed makes a client's dialer pass a connection to the attach that asked for it.
// With TLS, the SDK dials in a different way, and the connection is not passed.
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
