package measure

import (
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

func TestAnInterfaceIsLostInEveryWay(t *testing.T) {
	for name, test := range map[string]struct {
		change func(netlink.Link) error
		lost   []string
	}{
		"it stays": {func(netlink.Link) error { return nil }, nil},
		"a new one comes": {func(netlink.Link) error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "new"}, PeerName: "new-peer"})
		}, nil},
		"it is deleted":   {netlink.LinkDel, []string{"d0", "peer"}},
		"it is set down":  {netlink.LinkSetDown, []string{"d0"}},
		"its MTU changes": {func(l netlink.Link) error { return netlink.LinkSetMTU(l, 1400) }, []string{"d0"}},
		"it gets an address": {func(l netlink.Link) error {
			address, err := netlink.ParseAddr("192.0.2.1/24")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(l, address)
		}, []string{"d0"}},
		"it gets a unique local address of IPv6": {addIPv6("fd00:e9:1c:2::1/48"), []string{"d0"}},
		"it gets another address of IPv6":        {addIPv6("2001:db8::1/64"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			netkit.NewNamespace(t)
			link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "d0"}, PeerName: "peer"}
			testkit.Must(t, netlink.LinkAdd(link))
			testkit.Must(t, netlink.LinkSetUp(link))
			before, err := links()
			testkit.Must(t, err)
			testkit.Must(t, test.change(link))
			if lost, err := lostLinks(before); err != nil || !slices.Equal(lost, test.lost) {
				t.Errorf("lost %v, %v; want %v", lost, err, test.lost)
			}
		})
	}
}

// addIPv6 returns a change that adds an address.
func addIPv6(text string) func(netlink.Link) error {
	return func(l netlink.Link) error {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		address.Flags = unix.IFA_F_NODAD
		return netlink.AddrAdd(l, address)
	}
}
