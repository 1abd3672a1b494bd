// Package netkit makes network namespaces for tests. They end with the thread of the
// test that made them.
package netkit

import (
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// The interfaces of a Pair, and their addresses. No machine has interfaces with these
// names, so a mistake in a test cannot affect its network.
const (
	ServerInterface = "equictest0"
	ClientInterface = "equictest1"

	ServerAddress = "192.0.2.1"
	ClientAddress = "192.0.2.2"

	ServerAddress6 = "2001:db8:1::1" // SetUp adds it to the server's end
	ClientAddress6 = "2001:db8:1::2"
)

// Pair is two network namespaces with a veth pair between them.
type Pair struct{ Client, Server netns.NsHandle }

// NewPair makes a pair. The test is then in the server's namespace.
func NewPair(tb testing.TB) Pair {
	tb.Helper()
	p := Pair{Client: NewNamespace(tb), Server: NewNamespace(tb)}
	AddVeth(tb, ServerInterface, ClientInterface, p.Client)
	SetUp(tb, ServerInterface, ServerAddress+"/24")
	Enter(tb, p.Client)
	SetUp(tb, ClientInterface, ClientAddress+"/24")
	Enter(tb, p.Server)
	return p
}

// NewNamespace makes a network namespace and moves the test to it. It locks the test to
// its thread and never unlocks it. So when the test ends, the runtime ends the thread,
// and the kernel the namespace.
func NewNamespace(tb testing.TB) netns.NsHandle {
	tb.Helper()
	testkit.NeedRoot(tb)
	runtime.LockOSThread()
	ns, err := netns.New()
	testkit.Must(tb, err)
	tb.Cleanup(func() { testkit.Must(tb, ns.Close()) })
	return ns
}

// Enter moves the test's thread to a namespace.
func Enter(tb testing.TB, ns netns.NsHandle) {
	tb.Helper()
	testkit.Must(tb, netns.Set(ns))
}

// AddVeth makes a veth pair with one end here and its peer in a namespace.
func AddVeth(tb testing.TB, name, peer string, ns netns.NsHandle) {
	tb.Helper()
	testkit.Must(tb, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name},
		PeerName:      peer,
		PeerNamespace: netlink.NsFd(ns),
	}))
}

// Link returns an interface of the test's namespace.
func Link(tb testing.TB, name string) netlink.Link {
	tb.Helper()
	l, err := netlink.LinkByName(name)
	testkit.Must(tb, err)
	return l
}

// SetUp adds addresses such as 192.0.2.1/24 to an interface, and sets it up. IPv6
// addresses can be used at once: by default the kernel would first check that no other
// host has the address.
func SetUp(tb testing.TB, name string, addresses ...string) netlink.Link {
	tb.Helper()
	l := Link(tb, name)
	for _, address := range addresses {
		addr, err := netlink.ParseAddr(address)
		testkit.Must(tb, err)
		addr.Flags = unix.IFA_F_NODAD
		testkit.Must(tb, netlink.AddrAdd(l, addr))
	}
	testkit.Must(tb, netlink.LinkSetUp(l))
	return l
}

// Wire returns a function that sends whole frames from the client's end. It sets their
// Ethernet addresses.
func (p Pair) Wire(tb testing.TB) func(frame []byte) {
	tb.Helper()
	return p.WireBetween(tb, ClientInterface, ServerInterface)
}

// WireBetween does the same for another veth pair between the namespaces.
func (p Pair) WireBetween(tb testing.TB, client, server string) func(frame []byte) {
	tb.Helper()
	to := Link(tb, server).Attrs().HardwareAddr
	Enter(tb, p.Client)
	l := Link(tb, client).Attrs()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	testkit.Must(tb, err)
	tb.Cleanup(func() { testkit.Must(tb, unix.Close(fd)) })
	Enter(tb, p.Server)
	return func(frame []byte) { // without tb.Helper, which a fuzz target must not call
		frame = slices.Concat(to, l.HardwareAddr, frame[len(to)+len(l.HardwareAddr):])
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.Index}); err != nil {
			tb.Fatal(err)
		}
	}
}
