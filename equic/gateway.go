//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Gateway is a program at work on one interface, or where else Options.Mode says. Its
// methods may be called from any goroutine.
type Gateway struct {
	options Options  // complete
	at      attached // nil in tests that need no interface
	clients *table
	events  *notifier // nil if nobody wants events
	allowed *List
	denied  *List

	mu           sync.Mutex // guards what follows; taken after the lists'
	closed       bool
	objs         *objects
	memory       []byte               // of the map of clients
	applications []gatewayApplication // in the order of options.Ports
}

// Inc counts one more connection of a client of a port, whatever its quota. From
// the quota on, the client is blocked as the port's policy says. The kernel knows
// when Inc returns: it reads the count in the same memory, so there is no system
// call.
//
// Each Inc needs its Dec, but after an error (ErrFull, ErrPort, ErrClosed) nothing
// is counted.
func (g *Gateway) Inc(port uint16, addr netip.Addr) error { return g.clients.inc(port, addr) }

// TryInc counts one more connection as Inc does, but only if the client is
// below the port's quota, or on the list Allowed. It is for a server that
// refuses by itself what the kernel let pass: of any number of callers at once,
// no more than the quota are admitted.
//
// What is admitted is counted and needs its Dec. What is not, with or without an
// error, is not counted.
func (g *Gateway) TryInc(port uint16, addr netip.Addr) (admitted bool, err error) {
	admitted, err = g.clients.tryInc(port, addr)
	if admitted || err != nil || !g.isAllowed(addr) {
		return admitted, err
	}
	err = g.clients.inc(port, addr)
	return err == nil, err
}

// MustValidate says whether an attempt to open a connection, from an address that
// the server has not validated, is to be answered with a Retry (RFC 9000, 8.1.2):
// there are too many handshakes in progress, of this client or of all
// (Options.HalfOpen). It is for a server's function that decides on a Retry.
func (g *Gateway) MustValidate(port uint16, addr netip.Addr) bool {
	return g.clients.mustValidate(port, addr)
}

// Begin counts a handshake. A server calls it when it reads the first packet of an
// attempt, before the handshake costs anything. The error is ErrOverQuota if the client's quota allows
// no more handshakes than are in progress; ErrFull, ErrPort or ErrClosed otherwise.
// With an error nothing is counted.
func (g *Gateway) Begin(port uint16, from netip.AddrPort, validated bool) (Handshake, error) {
	h, err := g.clients.begin(port, from, validated, false)
	if errors.Is(err, ErrOverQuota) && g.isAllowed(from.Addr()) {
		h, err = g.clients.begin(port, from, validated, true)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// HalfOpen is how many handshakes are in progress of those that Begin counted.
func (g *Gateway) HalfOpen() HalfOpen { return g.clients.halfOpenNow() }

// isAllowed says whether an address is on the list Allowed, as the kernel has
// it.
func (g *Gateway) isAllowed(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.applications[0].Lists&listAllowed == 0 {
		return false
	}
	var listed uint8
	key := prefixKey{Length: 128, Address: plain(addr).As16()}
	return g.objs.Allowed.Lookup(key, &listed) == nil && listed != 0
}

// Dec counts one connection of a client less, and forgets the client at zero.
// It is an error, and changes nothing, if the client has no connection, or
// after Close.
func (g *Gateway) Dec(port uint16, addr netip.Addr) error { return g.clients.dec(port, addr) }

// Count is how many connections of a client of a port are counted.
func (g *Gateway) Count(port uint16, addr netip.Addr) int { return g.clients.count(port, addr) }

// Quota is the quota of a port that is in force; zero if the port is not
// protected.
func (g *Gateway) Quota(port uint16) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.application(port); i >= 0 {
		return int(g.applications[i].Quota)
	}
	return 0
}

// Clients iterates over a copy of who has connections at the time of the call,
// in no order.
func (g *Gateway) Clients() iter.Seq[Client] { return slices.Values(g.clients.counted()) }

// Mode is the mode in force, as the kernel said after attaching: never Auto.
func (g *Gateway) Mode() Mode { return g.Attachment().Mode }

// Attachment is whether the kernel runs the program; it is a second old at most. If
// the interface is deleted and created anew, or the program is taken off it, the
// gateway attaches it again, in the same mode; until it has, nothing is dropped, and
// only the server's own refusals protect it (Options.OnAttachment tells of both).
func (g *Gateway) Attachment() Attachment {
	if g.at == nil {
		return Attachment{}
	}
	return g.at.attachment()
}

// attachmentChanged tells whoever wants to know.
func (g *Gateway) attachmentChanged(now Attachment) {
	g.events.attachment(now)
	if g.options.OnAttachment != nil {
		g.options.OnAttachment(now)
	}
}

// Allowed are the prefixes that are never dropped.
func (g *Gateway) Allowed() *List { return g.allowed }

// Denied are the prefixes whose packets to a protected port are dropped, as far
// as they can be read, unless they are allowed too.
func (g *Gateway) Denied() *List { return g.denied }

// SetQuota changes the quota of a port. Clients that it blocks, or no longer
// blocks, are so when it returns.
func (g *Gateway) SetQuota(port uint16, quota int) error {
	if err := validQuota(quota); err != nil {
		return fmt.Errorf("set quota of port %d: %w", port, err)
	}
	n := uint32(quota) // validated
	err := g.clients.setQuota(port, n, func() error {
		return g.change(port, func(a *gatewayApplication) { a.Quota = n })
	})
	if err != nil {
		return fmt.Errorf("set quota of port %d: %w", port, err)
	}
	return nil
}

// SetRate changes how many packets that open a connection each client of a port
// may send per second, and at once: see Options.InitialsPerSecond and Burst,
// with their defaults.
func (g *Gateway) SetRate(port uint16, initialsPerSecond float64, burst int) error {
	r, err := newRate(initialsPerSecond, burst)
	if err == nil {
		err = g.change(port, func(a *gatewayApplication) { a.setRate(r) })
	}
	if err != nil {
		return fmt.Errorf("set rate of port %d: %w", port, err)
	}
	return nil
}

// change changes an application in the kernel.
func (g *Gateway) change(port uint16, how func(*gatewayApplication)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.application(port)
	if i < 0 {
		return fmt.Errorf("%w: %d", ErrPort, port)
	}
	a := g.applications[i]
	how(&a)
	return g.write(i, a)
}

// changeLists has the program look at a list, or no longer.
func (g *Gateway) changeLists(list uint16, empty bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, a := range g.applications {
		a.Lists |= list
		if empty {
			a.Lists &^= list
		}
		if err := g.write(i, a); err != nil {
			return err
		}
	}
	return nil
}

// write puts an application into the kernel. Callers hold mu.
func (g *Gateway) write(i int, a gatewayApplication) error {
	if g.closed {
		return ErrClosed
	}
	if err := g.objs.Applications.Put(uint32(i+1), a); err != nil { // at most MaxPorts
		return fmt.Errorf("write settings: %w", err)
	}
	g.applications[i] = a
	return nil
}

// application is the index of a port, negative if it is not protected.
func (g *Gateway) application(port uint16) int {
	return slices.IndexFunc(g.options.Ports, func(p Port) bool { return p.Number == port })
}

// Stats reads the packet counters since Attach. The counters of different
// CPUs are not read at one instant: on a busy interface the sum may be off by
// the packets of that moment. After Close the error is ErrClosed.
func (g *Gateway) Stats() (Stats, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Stats{}, ErrClosed
	}
	s, err := readStats(g.objs.Packets, g.objs.EventsLost, g.options.Ports)
	s.EventsLost += g.events.lostEvents()
	s.Full = g.clients.full.Load()
	s.HalfOpen = g.HalfOpen()
	return s, err
}

// Close detaches the program and frees its maps. Only the first call acts.
func (g *Gateway) Close() error {
	g.clients.close()
	g.allowed.close()
	g.denied.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return errors.Join(g.at.close(), g.events.close(), unix.Munmap(g.memory), g.objs.Close())
}
