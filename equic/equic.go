// Package equic blocks QUIC clients in the kernel: a server counts the
// connections of each client, and an XDP program drops the packets of a client
// that is at its quota, before the network stack sees them.
//
// It is the eQUIC library of the paper (sections III and IV), usable on its
// own, with the policies and limits that a server in production needs. In
// equic-bench the measured server uses it for the variants xdp-block and
// xdp-block-new. It imports
// nothing else of this module.
//
// # Use
//
// Attach loads the program and attaches it to an interface; Inc and Dec count a
// client's connections, from any goroutine; Stats reads the packet counters;
// Close detaches. For a server on quic-go, the package quicguard does the
// counting. The example shows a whole program.
//
// Count a connection once its handshake is complete, not before: only then is
// its address validated, so a spoofed packet cannot fill a victim's quota.
//
// A client is who shares an address prefix: an IPv4 address, or an IPv6 /64
// (Options.IPv4Prefix, IPv6Prefix). What is done to a client at its quota is
// its port's Policy: PolicyNew drops what opens connections, PolicyClient every
// packet.
//
// A silent drop costs an honest client its handshake timeout, where a refusal
// by the server would arrive in a round trip. The quota in the kernel is for
// clients that do not stop.
//
// # While it runs
//
// SetQuota, SetRate and the lists Allowed and Denied change what is in force
// without a reload. Clients tells who is counted and who is blocked,
// Options.Events who becomes so, MetricsHandler all of it to Prometheus.
//
// # Detaching
//
// The attachment is a BPF link, which the kernel removes with the last
// reference to it. The program leaves the interface on Close, and also when
// the process ends in any other way: by SIGINT or SIGTERM with no handler, by
// a panic, by SIGKILL. Nothing is pinned (but maps, where Options.PinDir asks
// for it), so nothing can be left behind. The package installs no signal
// handler: that is for the program to decide.
//
// # Needs
//
// Linux 5.18 or newer, with CAP_BPF and CAP_NET_ADMIN in the network
// namespace of the interface (CAP_SYS_ADMIN serves for CAP_BPF).
package equic

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrFull says that a client reached its quota, but that the kernel's map
	// holds Options.MaxClients clients already, too many of them at theirs: one
	// below its quota makes room. The client is counted, but its
	// packets are not judged until another client leaves: refuse it in user
	// space.
	ErrFull = errors.New("map of clients is full")
	// ErrClosed says that the gateway is closed.
	ErrClosed = errors.New("gateway is closed")
	// ErrOptions says that Options cannot work; the text says which and why.
	ErrOptions = errors.New("options of the gateway")
	// ErrPort says that a port is not one of Options.Ports.
	ErrPort = errors.New("port is not protected")
)

// Gateway is an XDP program at work on one interface. Its methods may be
// called from any goroutine.
type Gateway struct {
	options Options // complete
	mode    Mode    // in force
	clients *ledger
	events  *notifier // nil where nobody wants events
	allowed *List
	denied  *List

	mu           sync.Mutex // guards what follows; taken after the ledger's and the lists'
	closed       bool
	objs         *gatewayObjects
	link         link.Link
	applications []gatewayApplication // in the order of options.Ports
}

// Client is who is counted under one port.
type Client struct {
	Prefix      netip.Prefix
	Port        uint16
	Connections int
	// Blocked says that packets are dropped: the count is at the quota, and the
	// kernel knows.
	Blocked bool
}

// Inc counts one more connection of a client of a port. From the port's quota
// on, the client is blocked as the port's policy says.
//
// What changes the client's verdict is in the kernel when Inc or Dec returns.
// Other counts, which only readers of the map see, follow within a second; a
// client that comes and goes in that time costs no system call.
//
// Each Inc of a valid address and port needs its Dec, even after an error:
// ErrFull, and any other error of the kernel's, leave the client counted. With
// ErrPort, or ErrClosed after Close, nothing is counted.
func (g *Gateway) Inc(port uint16, addr netip.Addr) error { return g.clients.inc(port, addr) }

// TryInc counts one more connection as Inc does, but only if the client is
// below the port's quota, or on the list Allowed. It is for a server that
// refuses by itself what the kernel let pass: of any number of callers at once,
// no more than the quota are admitted.
//
// What is admitted is counted and needs its Dec, even where there is an error
// too: ErrFull, or another of the kernel's. What is not admitted is not counted.
func (g *Gateway) TryInc(port uint16, addr netip.Addr) (admitted bool, err error) {
	admitted, err = g.clients.tryInc(port, addr)
	if admitted || err != nil || !g.isAllowed(addr) {
		return admitted, err
	}
	err = g.clients.inc(port, addr)
	return !errors.Is(err, ErrClosed), err
}

// isAllowed says whether an address is on the list Allowed, as the kernel has
// it.
func (g *Gateway) isAllowed(addr netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.applications[0].Lists&listAllowed == 0 {
		return false
	}
	var listed uint8
	key := prefixKey{Length: 128, Address: addr.As16()}
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

// Mode is the mode in force: Native or Generic. The kernel was asked for it
// after attaching; it is not the mode that was asked for.
func (g *Gateway) Mode() Mode { return g.mode }

// Allowed are the prefixes that are never dropped.
func (g *Gateway) Allowed() *List { return g.allowed }

// Denied are the prefixes whose packets to a protected port are dropped, as far
// as they can be read, unless they are allowed too.
func (g *Gateway) Denied() *List { return g.denied }

// SetQuota changes the quota of a port. Clients that it blocks, or no longer
// blocks, are so when it returns; ErrFull says that some that it should block
// did not fit into the kernel's map.
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
	full := g.clients.fullMap()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Stats{}, ErrClosed
	}
	s, err := readStats(g.objs.Packets, g.objs.EventsLost, g.options.Ports)
	s.EventsLost += g.events.lostEvents()
	s.FullMap = full
	return s, err
}

// Close detaches the program and frees its maps. Only the first call acts. It
// also says if a count that Inc or Dec put off could not be written.
func (g *Gateway) Close() error {
	err := g.clients.close()
	g.allowed.close()
	g.denied.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return errors.Join(err, g.link.Close(), g.events.close(), unpin(g.objs, g.options.PinDir), g.objs.Close())
}

// kernelMap is the map of clients in the kernel.
type kernelMap struct{ *ebpf.Map }

func (m kernelMap) put(keys []clientKey, values []clientValue) (int, error) {
	if len(keys) == 1 {
		if err := m.Put(&keys[0], &values[0]); err != nil {
			return 0, err
		}
		return 1, nil
	}
	return m.BatchUpdate(keys, values, nil)
}

func (m kernelMap) delete(k clientKey) error { return m.Delete(k) }

func (m kernelMap) dropped(k clientKey) (bool, error) {
	var v clientValue
	err := m.Lookup(k, &v)
	return v.Dropped != 0, err
}
