package equic

import (
	"fmt"
	"strings"
)

// Mode is where in the receive path the program runs: the earlier, the less a dropped
// packet costs. The verdict is the same everywhere.
//
// Behind the driver, several datagrams of one sender may come as one packet (GSO,
// GRO), of which only the first is read. Under PolicyNew, a packet that may hide an
// Initial in this way, with 2400 bytes or more, is then judged by its client's quota,
// but takes no token of its rate.
type Mode string

// The modes of Options, from the driver to the application. A gateway's own mode is
// never Auto.
const (
	// Native is XDP in the driver, before a packet becomes an skb (on veth it is one
	// already).
	Native Mode = "native"
	// Generic is XDP in front of the network stack. Any interface has it.
	Generic Mode = "generic"
	// TC is the tc ingress of the interface, by tcx, in front of the programs that are
	// there. One that is put in front of it later may keep packets from it. It needs
	// Linux 6.6.
	TC Mode = "tc"
	// Netfilter is the prerouting hook, in front of all tables, for all interfaces of
	// the caller's network namespace. So packets that the host only forwards to such a
	// port of another host are judged, too. It needs Linux 6.5.
	Netfilter Mode = "netfilter"
	// Socket is in front of the queues of Options.Sockets. Fragments are put together
	// already, and IPv4 options are not seen. Several datagrams come as one packet only
	// if the socket has UDP_GRO.
	Socket Mode = "socket"
	// Auto is the first that works of Native, TC, Generic, Netfilter, and Socket if
	// there are Options.Sockets.
	Auto Mode = "auto"
)

// Modes are the modes of Options.
func Modes() []Mode { return []Mode{Native, Generic, TC, Netfilter, Socket, Auto} }

// ParseMode reads a mode's name; the empty name is Native.
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

// String is the mode's name, as in Options.
func (m Mode) String() string { return string(m) }

// candidates are the modes to try for the one that is asked for.
func (o *Options) candidates() []Mode {
	if o.Mode != Auto {
		return []Mode{o.Mode}
	}
	modes := []Mode{Native, TC, Generic, Netfilter}
	if len(o.Sockets) > 0 {
		modes = append(modes, Socket)
	}
	return modes
}
