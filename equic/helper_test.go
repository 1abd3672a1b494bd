package equic

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
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
func needRoot(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: needs root")
	}
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root, and CI=true forbids to skip")
	}
	t.Skip("needs root")
}

// pair is a veth pair between two network namespaces of its own: a client's
// and a server's. They go with the test's thread.
type pair struct {
	client, server netns.NsHandle
}

const (
	clientAddress = "192.0.2.2"
	serverAddress = "192.0.2.1"
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
