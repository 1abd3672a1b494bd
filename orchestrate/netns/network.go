package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

// nodeInterface is the interface of a node in its namespace.
const nodeInterface = "eth0"

// network is the namespaces of one trial: one with a bridge, and one for each node,
// joined to it by a veth pair. A Docker engine's rules would filter a bridge in the
// host's own namespace.
type network struct {
	bridge netns.NsHandle
	nodes  map[string]netns.NsHandle
	// receivers are the kernel threads that receive for the server; none if the CPUs of
	// the senders do.
	receivers []int
	floods    *floods // nil if no node sends a flood
}

// newNetwork makes the network of a trial, in which each node receives on its own CPUs
// if the machine supports that. If it returns an error, it leaves nothing behind.
func newNetwork(spec orchestrate.Spec, apart bool) (_ *network, err error) {
	n := &network{bridge: netns.None(), nodes: make(map[string]netns.NsHandle)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.bridge, err = newNamespace(); err != nil {
		return nil, err
	}
	h, err := netlink.NewHandleAt(n.bridge)
	if err != nil {
		return nil, fmt.Errorf("reach the bridge's namespace: %w", err)
	}
	defer h.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	if spec.Subnet6.IsValid() {
		bridge.MulticastSnooping = new(bool) // no: neighbour discovery must not depend on it
	}
	if err := errors.Join(h.LinkAdd(bridge), h.LinkSetUp(bridge)); err != nil {
		return nil, fmt.Errorf("make a bridge: %w", err)
	}
	for i, node := range spec.Nodes {
		if node.Behind != "" {
			continue // it is in the other node's namespace
		}
		if err := n.join(h, bridge, i, node, spec); err != nil {
			return nil, fmt.Errorf("join %s to the network: %w", node.Name, err)
		}
		if !apart {
			continue
		}
		threads, err := n.receiveApart(i, node)
		if err != nil {
			return nil, fmt.Errorf("join %s to the network: %w", node.Name, err)
		}
		if node.Role == results.RoleServer {
			n.receivers = threads
		}
	}
	if err := routeAddresses(n, spec.Nodes); err != nil {
		return nil, err
	}
	if n.floods, err = openFloods(n, spec.Nodes); err != nil {
		return nil, err
	}
	return n, nil
}

// join makes a node's namespace, and a veth pair from there to the bridge.
func (n *network) join(
	bridgeSide *netlink.Handle, bridge netlink.Link, i int, node orchestrate.NodeSpec, spec orchestrate.Spec,
) error {
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	n.nodes[node.Name] = ns
	if spec.Subnet6.IsValid() {
		if err := enableIPv6(ns); err != nil {
			return err
		}
	}
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: portOf(i), MasterIndex: bridge.Attrs().Index},
		PeerName:      nodeInterface,
		PeerNamespace: netlink.NsFd(ns),
	}
	if err := errors.Join(bridgeSide.LinkAdd(veth), bridgeSide.LinkSetUp(veth)); err != nil {
		return err
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	return errors.Join(bringUp(h, "lo"), bringUp(h, nodeInterface, prefixes(node, spec)...))
}

// receiveApart makes a node receive in threads on its own CPUs.
func (n *network) receiveApart(i int, node orchestrate.NodeSpec) ([]int, error) {
	if err := sendToThread(n.bridge, portOf(i)); err != nil {
		return nil, fmt.Errorf("port of %s: %w", node.Name, err)
	}
	return receiveApart(n.nodes[node.Name], node.CPUs)
}

// portOf returns the bridge's end of the i-th node's pair.
func portOf(i int) string { return "node" + strconv.Itoa(i) }

// bringUp sets an interface up, with addresses if there are some.
func bringUp(h *netlink.Handle, name string, addresses ...netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if err := addAddress(h, link, address); err != nil {
			return err
		}
	}
	return h.LinkSetUp(link)
}

// close releases the namespaces. The kernel frees them once they contain no process.
func (n *network) close() error {
	err := n.floods.close()
	n.floods = nil
	for name, ns := range n.nodes {
		err = errors.Join(err, ns.Close())
		delete(n.nodes, name)
	}
	if n.bridge.IsOpen() { // closing it resets the handle
		err = errors.Join(err, n.bridge.Close())
	}
	return err
}

// newNamespace makes a network namespace without a name. IPv6 is off in it, as in a
// container, until enableIPv6: IPv6 multicast would be traffic that no node sent.
func newNamespace() (netns.NsHandle, error) {
	type made struct {
		ns  netns.NsHandle
		err error
	}
	done := make(chan made)
	go func() {
		// Not unlocked: the thread ends with the goroutine, so that nothing else runs
		// in the new namespace by mistake.
		runtime.LockOSThread()
		ns, err := netns.New()
		if err != nil {
			done <- made{netns.None(), fmt.Errorf("make a network namespace: %w", err)}
			return
		}
		done <- made{ns, disableIPv6()}
	}()
	m := <-done
	if m.err != nil && m.ns.IsOpen() {
		m.err = errors.Join(m.err, m.ns.Close())
	}
	return m.ns, m.err
}

// disableIPv6 acts on the calling thread's namespace.
func disableIPv6() error {
	for _, which := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return fmt.Errorf("disable IPv6: %w", err)
		}
	}
	return nil
}

// Try calls f in a temporary network namespace whose interface eth0 is one end of a
// veth pair, as in every node.
func Try(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends, and the namespace with it
		result <- try(f)
	}()
	return <-result
}

func try(f func() error) (err error) {
	ns, err := netns.New()
	if err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	defer func() { err = errors.Join(err, ns.Close()) }()
	h, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("reach the namespace: %w", err)
	}
	defer h.Close()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: nodeInterface}, PeerName: "peer"}
	if err := errors.Join(h.LinkAdd(veth), bringUp(h, nodeInterface), bringUp(h, "peer")); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	return f()
}
