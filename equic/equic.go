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
// a panic, by SIGKILL. Nothing is pinned, so nothing can be left behind. The
// package installs no signal handler: that is for the program to decide.
//
// # Needs
//
// Linux 5.18 or newer, with CAP_BPF and CAP_NET_ADMIN in the network
// namespace of the interface (CAP_SYS_ADMIN serves for CAP_BPF). The package
// compiles for every system. Elsewhere, and on big-endian machines, Attach returns
// ErrUnsupported: a server then counts in user space (UserSpace).
package equic

import (
	"errors"
	"net/netip"
	"time"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrFull means that there is no place for another client: Options.MaxClients
	// have connections or handshakes in progress already. Nothing is counted:
	// refuse the client.
	ErrFull = errors.New("table of clients is full")
	// ErrClosed says that the gateway is closed.
	ErrClosed = errors.New("gateway is closed")
	// ErrUnsupported means that the system or the processor cannot run the program.
	ErrUnsupported = errors.New("XDP needs Linux and a little-endian processor")
	// ErrOptions says that Options cannot work; the text says which and why.
	ErrOptions = errors.New("options of the gateway")
	// ErrPort says that a port is not one of Options.Ports.
	ErrPort = errors.New("port is not protected")
)

// Client is who is counted under one port.
type Client struct {
	Prefix      netip.Prefix
	Port        uint16
	Connections int
	// Blocked is true if packets are dropped: the connections are at the quota,
	// with handshakes in progress and connections that have just ended.
	Blocked bool
}

// Attachment is where the program is.
type Attachment struct {
	Interface string    // its name now: an interface may be renamed
	Attached  bool      // the kernel runs the program on it
	Mode      Mode      // in force, or the last that was
	Since     time.Time // when it was attached, or detached
	Err       error     // why it is not attached
}

// DropCost is the time that the program takes to drop one packet.
type DropCost struct {
	// DropNS is the median over the bursts, in nanoseconds per packet, less
	// EmptyNS.
	DropNS float64
	// EmptyNS is the median of an empty program in the same bursts: the cost
	// of the kernel's run loop.
	EmptyNS float64
}
