package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// ipv6Settings are the kernel's settings of IPv6.
const ipv6Settings = "/proc/sys/net/ipv6"

// enableIPv6 turns IPv6 on in a namespace whose interfaces are not made yet. They get no
// address but those that this program adds and a link-local one, which neighbour discovery
// needs. Addresses can be used at once. What remains of IPv6's own packets is neighbour
// discovery, and a few reports of multicast groups (MLD) when an interface comes up.
func enableIPv6(ns netns.NsHandle) error {
	return runInNamespace(ns, func() error {
		for _, setting := range []struct{ name, value string }{
			{"default/accept_ra", "0"},            // no router advertises anything here
			{"default/autoconf", "0"},             // so no address follows from one
			{"default/router_solicitations", "0"}, // and none is asked
			{"default/accept_dad", "0"},           // no other node has the same address
			{"all/accept_dad", "0"},
			{"all/disable_ipv6", "0"}, // sets the default as well
		} {
			err := os.WriteFile(filepath.Join(ipv6Settings, "conf", setting.name), []byte(setting.value), 0)
			if err != nil {
				return fmt.Errorf("enable IPv6: %w", err)
			}
		}
		return nil
	})
}

// prefixes returns the addresses of a node, each with the length of its subnet.
func prefixes(node orchestrate.NodeSpec, spec orchestrate.Spec) (all []netip.Prefix) {
	for _, address := range []netip.Addr{node.Address, node.Other} {
		switch {
		case address.Is4():
			all = append(all, netip.PrefixFrom(address, spec.Subnet.Bits()))
		case address.Is6():
			all = append(all, netip.PrefixFrom(address, spec.Subnet6.Bits()))
		}
	}
	return all
}

// addAddress adds an address to an interface. Without IFA_F_NODAD, one of IPv6 could be used
// only after a second.
func addAddress(h *netlink.Handle, link netlink.Link, address netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(address)}
	if address.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := h.AddrAdd(link, a); err != nil {
		return fmt.Errorf("give %s the address %s: %w", link.Attrs().Name, address, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// routeAddresses gives each attacker with several addresses its network. The server
// reaches each by a route through the attacker: one neighbour, however many addresses.
func routeAddresses(n *network, nodes []orchestrate.NodeSpec) error {
	for _, s := range nodes {
		if !s.Addresses.Given() {
			continue
		}
		to := s.Addresses.Network
		err := errors.Join(
			addRoute(n.nodes[nodes[0].Name], &netlink.Route{Dst: ipNet(to), Gw: s.Address.AsSlice()}),
			ownNetwork(n.nodes[s.Name], to),
		)
		if err != nil {
			return fmt.Errorf("give %s the addresses of %s: %w", s.Name, to, err)
		}
	}
	return nil
}

// ownNetwork gives a node every address of a network. The node then receives what is sent to
// them, and its sockets can be bound to them.
func ownNetwork(ns netns.NsHandle, all netip.Prefix) error {
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	err = h.RouteAdd(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: ipNet(all), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
		Scope: netlink.SCOPE_HOST,
	})
	if err != nil || !all.Addr().Is6() {
		return err
	}
	// In IPv6 a local route is not enough for bind(2).
	return runInNamespace(ns, func() error {
		return os.WriteFile(filepath.Join(ipv6Settings, "ip_nonlocal_bind"), []byte("1"), 0)
	})
}
