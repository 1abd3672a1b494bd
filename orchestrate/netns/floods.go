package netns

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/flood/wire"
	"github.com/equic-bench/equic-bench/orchestrate"
)

// floods is the network set-up for nodes that send whole frames, the same in every
// variant: an empty XDP program at the bridge port of each, without which nearly all of
// its frames are lost, and a counter at the server's port.
type floods struct {
	ports   []io.Closer
	arrived *wire.Counter
}

// openFloods returns nil if no node sends a flood.
func openFloods(n *network, nodes []orchestrate.NodeSpec) (*floods, error) {
	if !slices.ContainsFunc(nodes, func(s orchestrate.NodeSpec) bool { return s.Flood }) {
		return nil, nil
	}
	f := new(floods)
	if err := runInNamespace(n.bridge, func() error { return f.open(nodes) }); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the bridge for floods: %w", err), f.close())
	}
	if err := routeAnswers(n, nodes); err != nil {
		return nil, errors.Join(fmt.Errorf("route what the server answers to floods: %w", err), f.close())
	}
	return f, nil
}

// open acts on the calling thread's namespace, that of the bridge. The server is the
// first node.
func (f *floods) open(nodes []orchestrate.NodeSpec) error {
	for i, s := range nodes {
		if i > 0 && !s.Flood {
			continue
		}
		port, err := net.InterfaceByName(portOf(i))
		if err != nil {
			return fmt.Errorf("find the port of %s: %w", s.Name, err)
		}
		if i == 0 {
			f.arrived, err = wire.Count(port.Index)
		} else {
			var program io.Closer
			if program, err = wire.Open(port.Index); err == nil {
				f.ports = append(f.ports, program)
			}
		}
		if err != nil {
			return fmt.Errorf("port of %s: %w", s.Name, err)
		}
	}
	return nil
}

// routeAnswers routes the server's answers to flood sources through the first node
// with such sources. There they are dropped without an ICMP error.
func routeAnswers(n *network, nodes []orchestrate.NodeSpec) error {
	routed := map[netip.Prefix]bool{}
	for _, sink := range nodes {
		if !sink.Sources.IsValid() || routed[sink.Sources] {
			continue
		}
		routed[sink.Sources] = true
		to := ipNet(sink.Sources)
		err := errors.Join(
			addRoute(n.nodes[nodes[0].Name], &netlink.Route{Dst: to, Gw: sink.Address.AsSlice()}),
			addRoute(n.nodes[sink.Name], &netlink.Route{Dst: to, Type: unix.RTN_BLACKHOLE}),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

func addRoute(ns netns.NsHandle, route *netlink.Route) error {
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.RouteAdd(route)
}

// arrivals counts the frames that left through the server's bridge port, and those of
// them that the queue of the server's interface had no room for. The kernel counts the
// latter as dropped at the port.
func (n *network) arrivals() (*orchestrate.Arrivals, error) {
	frames, err := n.floods.arrived.Frames()
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandleAt(n.bridge)
	if err != nil {
		return nil, fmt.Errorf("reach the bridge's namespace: %w", err)
	}
	defer h.Close()
	a := &orchestrate.Arrivals{Frames: frames}
	port, err := h.LinkByName(portOf(0))
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return a, nil // the pair was deleted, which makes the trial invalid (rule interface-kept)
	}
	if err != nil {
		return nil, fmt.Errorf("read the counters of the server's bridge port: %w", err)
	}
	if s := port.Attrs().Statistics; s != nil {
		a.Lost = &s.TxDropped
	}
	return a, nil
}

// close detaches the programs.
func (f *floods) close() error {
	if f == nil {
		return nil
	}
	var err error
	for _, p := range f.ports {
		err = errors.Join(err, p.Close())
	}
	if f.arrived != nil {
		err = errors.Join(err, f.arrived.Close())
	}
	return err
}

// runInNamespace calls f on a thread of its own in a namespace.
func runInNamespace(ns netns.NsHandle, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends, and nothing else runs there
		if err := netns.Set(ns); err != nil {
			result <- fmt.Errorf("enter a network namespace: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}
