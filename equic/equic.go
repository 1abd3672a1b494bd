// Package equic blocks QUIC clients in the kernel: a server counts the
// connections of each client, and an XDP program drops the packets of a client
// that is at its quota, before the network stack sees them.
//
// It is the eQUIC library of the paper (sections III and IV). It can be used on its
// own, and has the policies and limits that a server in production needs. In
// equic-bench, the measured server uses it for the variants xdp-block and
// xdp-block-new. It imports no other package of this module.
//
// # Use
//
// Attach loads the program and attaches it to an interface; Inc and Dec count a
// client's connections, from any goroutine; Stats reads the packet counters;
// Close detaches. For a server on quic-go, the package quicguard does the
// counting. The example shows a whole program.
//
// Count a connection once its handshake is complete, not before: only then is its
// address validated, so a spoofed packet cannot fill a victim's quota.
//
// A client is an address prefix: an IPv4 address, or an IPv6 /64 (Options.IPv4Prefix,
// IPv6Prefix). The Policy of a port selects the packets that are dropped if the client
// is at its quota. PolicyNew drops those that open connections, PolicyClient drops all.
//
// A silent drop makes an honest client wait for its handshake timeout, while a refusal
// by the server takes one round trip. The quota in the kernel is meant for clients that
// continue in spite of refusals.
//
// # While it runs
//
// SetQuota, SetRate and the lists Allowed and Denied change the limits without a
// reload. A prefix may be on a list for a limited time (List.AddFor), or come from a feed
// that is replaced as a whole, such as a file (List.SetFeed). In monitor mode (SetMonitor)
// everything is judged and counted, and nothing dropped. Clients lists the counted
// clients and which of them are blocked.
// Options.Events receives each change. MetricsHandler exports everything to Prometheus.
//
// # Detaching
//
// The attachment is a BPF link, which the kernel removes with the last reference to it.
// The program leaves the interface on Close, and also if the process ends in any other
// way: by SIGINT or SIGTERM with no handler, by a panic, by SIGKILL. Nothing is left
// behind, unless Options.Pin asks for it. The package installs no signal handler: that is
// up to the server.
//
// # Handing over
//
// With Options.Pin the program stays attached when its process ends by Leave, or in any
// other way but Close: with its counts, lists and limits. The next process that attaches
// with the same folder takes all of that over, with its own version of the program and
// without a gap (bpf_link update). Until then the lists and rates are in force, and the
// quotas for ten seconds: after that, connections that have ended would still count.
// Unpin removes what is left.
//
// # Needs
//
// Linux 5.18 or newer, with CAP_BPF and CAP_NET_ADMIN in the network namespace of the
// interface (CAP_SYS_ADMIN can replace CAP_BPF). Without CAP_PERFMON, the kernel adds
// barriers against speculation to the program, and each packet costs several times as
// much.
//
// The package compiles on every system. On systems other than Linux, and on big-endian
// machines, Attach returns ErrUnsupported; a server can then count in user space
// (UserSpace).
package equic

import (
	"errors"
	"net/netip"
	"time"
)

// Errors to distinguish with errors.Is.
var (
	// ErrFull means that the table has no room for another client: Options.MaxClients
	// clients already have connections or handshakes in progress. Nothing is counted.
	// Refuse the client.
	ErrFull = errors.New("table of clients is full")
	// ErrClosed means that the gateway is closed.
	ErrClosed = errors.New("gateway is closed")
	// ErrUnsupported means that the system or the processor cannot run the program.
	ErrUnsupported = errors.New("XDP needs Linux and a little-endian processor")
	// ErrOptions means that the Options are invalid. The message names the option and
	// the reason.
	ErrOptions = errors.New("options of the gateway")
	// ErrPort means that a port is not one of Options.Ports.
	ErrPort = errors.New("port is not protected")
	// ErrPinned means that the folder of Options.Pin has a gateway that cannot be taken
	// over: another process owns it, or it was made for other options. The message says
	// which.
	ErrPinned = errors.New("gateway is pinned")
	// ErrListFull means that a list has no room for more prefixes: see
	// Options.MaxPrefixes.
	ErrListFull = errors.New("list of prefixes is full")
)

// Client is a client of one port, with its count.
type Client struct {
	Prefix      netip.Prefix
	Port        uint16
	Connections int
	// Blocked reports whether its packets are dropped. The quota then is used up by its
	// connections, its handshakes in progress and its connections that have just ended.
	Blocked bool
}

// Listing is a prefix on a List.
type Listing struct {
	Prefix netip.Prefix
	Until  time.Time // when it leaves the list; zero if nothing but Remove ends it
}

// Attachment describes where the program is attached: to one interface, or at the place of
// a mode that has no interface.
type Attachment struct {
	Interface string    // its current name: an interface may be renamed
	Attached  bool      // whether the kernel runs the program on it
	Mode      Mode      // the mode in force, or the last one that was
	Since     time.Time // when it was attached, or detached
	Err       error     // why it is not attached
}

// DropCost is the time that the program takes to drop one packet.
type DropCost struct {
	// DropNS is the median over the bursts, in nanoseconds per packet, minus EmptyNS.
	DropNS float64
	// EmptyNS is the median for an empty program in the same bursts: the cost of the
	// kernel's run loop.
	EmptyNS float64
}
