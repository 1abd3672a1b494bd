// Package equic blocks QUIC clients in the kernel: a server counts the
// connections of each client address, and an XDP program drops the packets of
// an address that is at its quota, before the network stack sees them.
//
// It is the eQUIC library of the paper (sections III and IV), usable on its
// own. In equic-bench it is the limiter "xdp" of the measured server. It
// imports nothing else of this module.
//
// # Use
//
// Attach loads the program and attaches it to an interface; Inc and Dec
// count a client's connections, from any goroutine; Stats reads the packet
// counters; Close detaches. The example shows a whole program.
//
// Count a connection once its handshake is complete, not before: from the
// moment at which a client reaches its quota, every packet of it to the port
// is dropped, those of its admitted connections included (policy "client").
// So a server learns by its idle timeout alone that a blocked client's
// connections ended.
//
// # Detaching
//
// The attachment is a BPF link, which the kernel removes with the last
// reference to it. The program leaves the interface on Close, and also when
// the process ends in any other way: by SIGINT or SIGTERM with no handler, by
// a panic, by SIGKILL. Nothing is pinned, so nothing can be left behind. The
// package installs no signal handler: that is for the program to decide.
//
// # Needs
//
// Linux 5.18 or newer, with CAP_BPF and CAP_NET_ADMIN in the network
// namespace of the interface (CAP_SYS_ADMIN serves for CAP_BPF). Packets with
// a VLAN tag and IPv6 are passed.
package equic

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf/link"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrFull says that a client reached its quota, but that the kernel's map
	// holds Options.MaxClients clients already. The client is counted, but its packets are not judged until
	// another client leaves.
	ErrFull = errors.New("map of clients is full")
	// ErrClosed says that the gateway is closed.
	ErrClosed = errors.New("gateway is closed")
)

// Gateway is an XDP program at work on one interface. Its methods may be
// called from any goroutine.
type Gateway struct {
	options Options // complete
	mode    Mode    // in force
	clients *ledger

	mu     sync.Mutex // guards what follows against Close
	closed bool
	objs   *gatewayObjects
	link   link.Link
}

// Inc counts one more connection of a client; an IPv4 address and its mapped
// IPv6 form are the same client. From Options.Quota connections on, the
// client's packets are dropped.
//
// What changes the client's verdict is in the kernel when Inc or Dec returns.
// Other counts, which only readers of the map see, follow within a second; a
// client that comes and goes in that time costs no system call.
//
// Each Inc of a valid address needs its Dec, even after an error: ErrFull,
// and any other error of the kernel's, leave the client counted. After Close
// the error is ErrClosed and nothing is counted.
func (g *Gateway) Inc(addr netip.Addr) error { return g.clients.inc(addr) }

// Dec counts one connection of a client less, and forgets the client at zero.
// It is an error, and changes nothing, if the client has no connection, or
// after Close.
func (g *Gateway) Dec(addr netip.Addr) error { return g.clients.dec(addr) }

// Count is how many connections of a client are counted.
func (g *Gateway) Count(addr netip.Addr) int { return g.clients.count(addr) }

// Mode is the mode in force: Native or Generic. The kernel was asked for it
// after attaching; it is not the mode that was asked for.
func (g *Gateway) Mode() Mode { return g.mode }

// Stats reads the packet counters since Attach. The counters of different
// CPUs are not read at one instant: on a busy interface the sum may be off by
// the packets of that moment. After Close the error is ErrClosed.
func (g *Gateway) Stats() (Stats, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Stats{}, ErrClosed
	}
	return readStats(g.objs.Packets)
}

// Close detaches the program and frees its maps. Only the first call acts. It
// also says if a count that Inc or Dec put off could not be written.
func (g *Gateway) Close() error {
	err := g.clients.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return errors.Join(err, g.link.Close(), g.objs.Close())
}
