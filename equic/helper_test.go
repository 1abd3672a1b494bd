package equic

import (
	"errors"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// TestMain runs the tests, or a helper process of one of them.
func TestMain(m *testing.M) {
	if mode := os.Getenv(childVariable); mode != "" {
		os.Exit(childMain(mode))
	}
	goleak.VerifyTestMain(m)
}

const (
	serverPort  = 4433
	serverIface = netkit.ServerInterface
	clientIface = netkit.ClientInterface

	clientAddress = netkit.ClientAddress
	serverAddress = netkit.ServerAddress

	clientAddress6 = netkit.ClientAddress6
	serverAddress6 = netkit.ServerAddress6
)

// pair is a client's network namespace and a server's.
type pair struct{ netkit.Pair }

// newPair makes a pair. The test is then in the server's namespace.
func newPair(t *testing.T) pair {
	t.Helper()
	return pair{netkit.NewPair(t)}
}

// setMTU sets the MTU of both ends. The test is then in the server's namespace.
func (p pair) setMTU(t *testing.T, size int) {
	t.Helper()
	testkit.Must(t, netlink.LinkSetMTU(netkit.Link(t, serverIface), size))
	netkit.Enter(t, p.Client)
	testkit.Must(t, netlink.LinkSetMTU(netkit.Link(t, clientIface), size))
	netkit.Enter(t, p.Server)
}

// addIPv6 gives both ends an IPv6 address. The test is then in the server's namespace.
func (p pair) addIPv6(tb testing.TB) {
	tb.Helper()
	netkit.Enter(tb, p.Client)
	netkit.SetUp(tb, clientIface, clientAddress6+"/64")
	netkit.Enter(tb, p.Server)
	netkit.SetUp(tb, serverIface, serverAddress6+"/64")
}

// addVLAN adds a VLAN device with an address to both ends. The test is then in the
// server's namespace. It is skipped if the kernel has no such devices.
func (p pair) addVLAN(t *testing.T, id int, clientAddress, serverAddress string) {
	t.Helper()
	add := func(iface, address string) {
		t.Helper()
		parent := netlink.LinkAttrs{Name: "vlan0", ParentIndex: netkit.Link(t, iface).Attrs().Index}
		err := netlink.LinkAdd(&netlink.Vlan{LinkAttrs: parent, VlanId: id})
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("the kernel has no VLAN devices (8021q)")
		}
		testkit.Must(t, err)
		netkit.SetUp(t, "vlan0", address+"/24")
	}
	netkit.Enter(t, p.Client)
	add(clientIface, clientAddress)
	netkit.Enter(t, p.Server)
	add(serverIface, serverAddress)
}

// attachedMode asks the kernel, in another way than the package does, for the mode of
// the program on the server's interface. It is empty if there is no program.
func attachedMode(t *testing.T) Mode {
	t.Helper()
	xdp := netkit.Link(t, serverIface).Attrs().Xdp
	switch {
	case xdp == nil || !xdp.Attached:
		return ""
	case xdp.AttachMode == 1: // XDP_ATTACHED_DRV
		return Native
	}
	return Generic
}

// completes reports whether a complete handshake is admitted.
func completes(t *testing.T, h Handshake) bool {
	t.Helper()
	admitted, err := h.Complete()
	testkit.Must(t, err)
	return admitted
}

// mustAttach attaches for the duration of the test.
func mustAttach(tb testing.TB, o Options) *Gateway {
	tb.Helper()
	g, err := Attach(o)
	testkit.Must(tb, err)
	tb.Cleanup(func() { testkit.Must(tb, g.Close()) })
	return g
}
