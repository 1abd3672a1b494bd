package socket

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/equic-bench/equic-bench/equic"
)

// handshake is an attempt that a client has begun at its gateway.
type handshake struct {
	client    *Client
	of        connection
	id        uint64
	session   int // of the client, when it was begun
	validated bool
	stage     stage
}

type stage uint8

const (
	inProgress stage = iota
	open             // and counted, now or when the gateway is back
	over
)

// MustValidate reports whether to answer an attempt with a Retry, as that of
// equic.Gateway does. It returns false if the gateway is gone.
func (c *Client) MustValidate(port uint16, addr netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply, err := c.request("validate", newConnection(port, addr))
	return err == nil && reply == "retry"
}

// Begin counts a handshake, as that of equic.Gateway does. Call MustValidate first, if the
// address is not validated. The error is equic.ErrOverQuota, equic.ErrFull, ErrGone, or the
// gateway's reply; then nothing is counted.
//
// If the gateway has restarted when the handshake is complete, the connection is counted as by
// TryInc. If it is gone, Complete returns ErrGone, and the connection is counted when the
// gateway is back, unless the handshake is closed before.
func (c *Client) Begin(port uint16, from netip.AddrPort, validated bool) (equic.Handshake, error) {
	of := newConnection(port, from.Addr())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	line := fmt.Sprintf("begin %d %s", c.lastID, netip.AddrPortFrom(of.addr, from.Port()))
	if validated {
		line += " validated"
	} else {
		line += " asked"
	}
	reply, err := c.ask(fmt.Sprintf("%s %d", line, port))
	switch {
	case err != nil:
	case reply == "over":
		err = equic.ErrOverQuota
	case reply != "ok":
		err = c.failure(reply)
	}
	if err != nil {
		return nil, fmt.Errorf("begin a handshake of %s: %w", from.Addr(), err)
	}
	h := &handshake{client: c, of: of, id: c.lastID, session: c.session, validated: validated}
	h.count(1)
	return h, nil
}

// HalfOpen returns the number of handshakes that this client has in progress.
func (c *Client) HalfOpen() equic.HalfOpen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.halfOpen
}

func (h *handshake) count(by int) {
	if h.validated {
		h.client.halfOpen.Validated += by
	} else {
		h.client.halfOpen.Unvalidated += by
	}
}

// report sends the gateway the next state of the handshake. The reply is empty if the
// gateway is gone, or has restarted since the handshake began.
func (h *handshake) report(what string) (reply string) {
	if c := h.client; c.wire != nil && c.session == h.session {
		reply, _ = c.exchange(fmt.Sprintf("%s %d", what, h.id)) // an error means that the gateway is gone
	}
	return reply
}

func (h *handshake) Hello() {
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	if h.stage == inProgress {
		h.report("hello")
	}
}

func (h *handshake) Complete() (admitted bool, err error) {
	c := h.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.stage != inProgress {
		return h.stage == open, nil
	}
	h.count(-1)
	reply := h.report("complete")
	if reply == "" {
		reply, err = c.request("tryinc", h.of)
	}
	switch {
	case err != nil:
	case reply == "ok":
		h.stage = open
		c.count(h.of)
		return true, nil
	case reply == "over":
		h.stage = over
		return false, nil
	default:
		err = c.failure(reply)
	}
	h.stage = over
	if errors.Is(err, ErrGone) { // connect counts it
		h.stage = open
		c.open[h.of]++
		c.missed[h.of]++
	}
	return false, fmt.Errorf("count a connection of %s: %w", h.of.addr, err)
}

func (h *handshake) Close() { h.end("fail") }

func (h *handshake) Cancel() { h.end("cancel") }

// end ends the connection, or the handshake if it is still in progress.
func (h *handshake) end(what string) {
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	switch h.stage {
	case inProgress:
		h.count(-1)
		h.report(what)
	case open:
		_ = h.client.dec(h.of) // it is counted, unless Dec has released it already
	}
	h.stage = over
}
