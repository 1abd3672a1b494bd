package equic

import (
	"fmt"
	"strings"
)

// Mode is the place in the receive path at which the program runs. The earlier that is,
// the less a dropped packet costs. The verdict is the same in all modes.
//
// After the driver, several datagrams of one sender may come as one packet (GSO, GRO),
// and the program reads only the first. Under PolicyNew, a packet of 2400 bytes or more
// may hide an Initial in this way. It is then judged by its client's quota, but takes
// at most one token of its rate.
type Mode string

// The modes of Options, from the driver to the application. A gateway's own mode is
// never Auto.
const (
	// Native is XDP in the driver, before the packet becomes an skb (on veth it already
	// is one).
	Native Mode = "native"
	// Generic is XDP before the network stack. It works on any interface.
	Generic Mode = "generic"
	// TC is the tc ingress of the interface, by tcx, before the programs that are
	// attached already. A program that is later attached in front of it may hide packets
	// from it. It needs Linux 6.6.
	TC Mode = "tc"
	// Netfilter is the prerouting hook, before all tables, for all interfaces of the
	// caller's network namespace. It therefore also judges packets to a protected port
	// number of another host, if this host only forwards them. It needs Linux 6.5.
	Netfilter Mode = "netfilter"
	// Socket is before the queues of Options.Sockets. Fragments are reassembled
	// already, and IPv4 options are not visible. Several datagrams come as one packet
	// only if the socket has UDP_GRO.
	Socket Mode = "socket"
	// Auto tries Native, TC, Generic and Netfilter in turn, then Socket if there are
	// Options.Sockets. The first mode that works on all of the interfaces is used. With
	// Options.Pin, only Native, TC and Generic are tried.
	Auto Mode = "auto"
)

// Modes returns the modes of Options.
func Modes() []Mode { return []Mode{Native, Generic, TC, Netfilter, Socket, Auto} }

// ParseMode parses a mode's name. The empty name is Native.
func ParseMode(name string) (Mode, error) {
	if name == "" {
		return Native, nil
	}
	var names []string
	for _, m := range Modes() {
		if string(m) == name {
			return m, nil
		}
		names = append(names, string(m))
	}
	return "", fmt.Errorf("mode is %q: give one of %s", name, strings.Join(names, ", "))
}

// String returns the mode's name, as in Options.
func (m Mode) String() string { return string(m) }

// candidates returns the modes to try for the requested mode.
func (o *Options) candidates() []Mode {
	if o.Mode != Auto {
		return []Mode{o.Mode}
	}
	modes := []Mode{Native, TC, Generic}
	if o.Pin != "" {
		return modes
	}
	modes = append(modes, Netfilter)
	if len(o.Sockets) > 0 {
		modes = append(modes, Socket)
	}
	return modes
}
