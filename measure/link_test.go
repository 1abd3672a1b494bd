package measure

import (
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

func TestAnInterfaceIsLostInEveryWay(t *testing.T) {
	requireRoot(t)
	for name, test := range map[string]struct {
		change func(*netlink.Handle, netlink.Link) error
		lost   []string
	}{
		"it stays": {func(*netlink.Handle, netlink.Link) error { return nil }, nil},
		"a new one comes": {func(h *netlink.Handle, _ netlink.Link) error {
			return h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "new"}, PeerName: "new-peer"})
		}, nil},
		"it is deleted":   {func(h *netlink.Handle, l netlink.Link) error { return h.LinkDel(l) }, []string{"d0", "peer"}},
		"it is set down":  {func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetDown(l) }, []string{"d0"}},
		"its MTU changes": {func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetMTU(l, 1400) }, []string{"d0"}},
		"it gets an address": {func(h *netlink.Handle, l netlink.Link) error {
			address, err := netlink.ParseAddr("192.0.2.1/24")
			if err != nil {
				return err
			}
			return h.AddrAdd(l, address)
		}, []string{"d0"}},
	} {
		t.Run(name, func(t *testing.T) {
			inNamespace(t, func(h *netlink.Handle) {
				link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "d0"}, PeerName: "peer"}
				if err := h.LinkAdd(link); err != nil {
					t.Error(err)
					return
				}
				if err := h.LinkSetUp(link); err != nil {
					t.Error(err)
				}
				before, err := links()
				if err != nil {
					t.Error(err)
				}
				if err := test.change(h, link); err != nil {
					t.Error(err)
				}
				if lost, err := lostLinks(before); err != nil || !slices.Equal(lost, test.lost) {
					t.Errorf("lost %v, %v; want %v", lost, err, test.lost)
				}
			})
		})
	}
}

// inNamespace calls f in a network namespace of its own, which ends with it.
func inNamespace(t *testing.T, f func(*netlink.Handle)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // not unlocked: the thread ends, and the namespace with it
		ns, err := netns.New()
		if err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		defer ns.Close()
		h, err := netlink.NewHandle()
		if err != nil {
			t.Errorf("reach the namespace: %v", err)
			return
		}
		defer h.Close()
		f(h)
	}()
	<-done
}
