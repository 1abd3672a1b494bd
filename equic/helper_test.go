package equic

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const (
	serverPort  = 4433
	serverIface = "eth0"
	clientIface = "eth1"
)

// TestMain runs the tests, or a helper process of one of them.
func TestMain(m *testing.M) {
	if mode := os.Getenv(childVariable); mode != "" {
		os.Exit(childMain(mode))
	}
	goleak.VerifyTestMain(m)
}

// needRoot skips a test that loads programs into the kernel. Where CI=true it
// fails instead: there, such a skip would hide an untested program.
func needRoot(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("short: needs root")
	}
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("needs root, and CI=true forbids to skip")
	}
	tb.Skip("needs root")
}

// pair is a veth pair between two network namespaces of its own: a client's
// and a server's. They go with the test's thread.
type pair struct {
	client, server netns.NsHandle
}

const (
	clientAddress = "192.0.2.2"
	serverAddress = "192.0.2.1"

	clientAddress6 = "2001:db8:1::2"
	serverAddress6 = "2001:db8:1::1"
)

// newPair makes a veth pair and leaves the test in the server's namespace. It
// locks the test to its thread and never unlocks it, so that the runtime ends
// the thread, and the kernel the namespaces, with the test.
func newPair(t *testing.T) pair {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	p := pair{client: newNamespace(t), server: newNamespace(t)}
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: serverIface},
		PeerName:      clientIface,
		PeerNamespace: netlink.NsFd(p.client),
	}))
	setUp(t, serverIface, serverAddress)
	p.enter(t, p.client)
	setUp(t, clientIface, clientAddress)
	p.enter(t, p.server)
	return p
}

// enter moves the test's thread to one of the namespaces.
func (pair) enter(t *testing.T, ns netns.NsHandle) {
	t.Helper()
	must(t, netns.Set(ns))
}

// setMTU sets the size of both ends, and leaves the test in the server's.
func (p pair) setMTU(t *testing.T, size int) {
	t.Helper()
	must(t, netlink.LinkSetMTU(linkByName(t, serverIface), size))
	p.enter(t, p.client)
	must(t, netlink.LinkSetMTU(linkByName(t, clientIface), size))
	p.enter(t, p.server)
}

// addIPv6 gives both ends an IPv6 address, and leaves the test in the server's
// namespace.
func (p pair) addIPv6(t *testing.T) {
	t.Helper()
	p.enter(t, p.client)
	addAddress(t, linkByName(t, clientIface), clientAddress6+"/64")
	p.enter(t, p.server)
	addAddress(t, linkByName(t, serverIface), serverAddress6+"/64")
}

// addVLAN puts a VLAN device on both ends, with addresses of its own, and
// leaves the test in the server's namespace. It skips the test where the kernel
// has no such devices.
func (p pair) addVLAN(t *testing.T, id int, clientAddress, serverAddress string) {
	t.Helper()
	add := func(iface, address string) {
		t.Helper()
		parent := netlink.LinkAttrs{Name: "vlan0", ParentIndex: linkByName(t, iface).Attrs().Index}
		err := netlink.LinkAdd(&netlink.Vlan{LinkAttrs: parent, VlanId: id})
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("the kernel has no VLAN devices (8021q)")
		}
		must(t, err)
		setUp(t, "vlan0", address)
	}
	p.enter(t, p.client)
	add(clientIface, clientAddress)
	p.enter(t, p.server)
	add(serverIface, serverAddress)
}

// addAddress adds an address that is in use at once: an IPv6 address is held
// back by default until it is known that no other host has it.
func addAddress(t *testing.T, l netlink.Link, address string) {
	t.Helper()
	addr, err := netlink.ParseAddr(address)
	must(t, err)
	addr.Flags = unix.IFA_F_NODAD
	must(t, netlink.AddrAdd(l, addr))
}

func newNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { must(t, ns.Close()) })
	return ns
}

func setUp(t *testing.T, name, address string) {
	t.Helper()
	l := linkByName(t, name)
	addr, err := netlink.ParseAddr(address + "/24")
	must(t, err)
	must(t, netlink.AddrAdd(l, addr))
	must(t, netlink.LinkSetUp(l))
}

func linkByName(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

// attachedMode asks the kernel, by other means than the package does, for the
// mode of the program on the server's interface; empty where there is none.
func attachedMode(t *testing.T) Mode {
	t.Helper()
	xdp := linkByName(t, serverIface).Attrs().Xdp
	switch {
	case xdp == nil || !xdp.Attached:
		return ""
	case xdp.AttachMode == 1: // XDP_ATTACHED_DRV
		return Native
	}
	return Generic
}

// mustAttach attaches for the length of the test.
func mustAttach(t *testing.T, o Options) *Gateway {
	t.Helper()
	g, err := Attach(o)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	return g
}

// await polls a condition until it holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
