package quicguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/equic-bench/equic-bench/equic"
)

const (
	serverIface = "eth0"
	clientIface = "eth1"
	serverPort  = 4433
)

var (
	serverAddress = netip.MustParseAddr("192.0.2.1")
	alice         = netip.MustParseAddr("192.0.2.2")
	bob           = netip.MustParseAddr("192.0.2.3")
)

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

// network is two namespaces with a veth pair between them. They go with the
// test's thread, which is never unlocked.
type network struct{ server, client netns.NsHandle }

// newNetwork leaves the test in the server's namespace.
func newNetwork(t *testing.T) network {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	n := network{client: newNamespace(t), server: newNamespace(t)}
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: serverIface},
		PeerName:      clientIface,
		PeerNamespace: netlink.NsFd(n.client),
	}))
	setUp(t, serverIface, serverAddress)
	must(t, netns.Set(n.client))
	setUp(t, clientIface, alice, bob)
	must(t, netns.Set(n.server))
	return n
}

func newNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { must(t, ns.Close()) })
	return ns
}

func setUp(t *testing.T, name string, addresses ...netip.Addr) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	for _, a := range addresses {
		must(t, netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(24, 32)}}))
	}
	must(t, netlink.LinkSetUp(link))
}

// transport is a client's, which stays in its namespace.
func (n network) transport(t *testing.T, from netip.Addr) *quic.Transport {
	t.Helper()
	must(t, netns.Set(n.client))
	defer func() { must(t, netns.Set(n.server)) }()
	return transport(t, from)
}

// protect runs a guarded server behind a gateway.
func protect(t *testing.T, o equic.Options) (*equic.Gateway, *Listener, <-chan *quic.Conn) {
	t.Helper()
	o.Interface, o.Ports = serverIface, []equic.Port{{Number: serverPort}}
	gateway, err := equic.Attach(o)
	must(t, err)
	t.Cleanup(func() { must(t, gateway.Close()) })
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(serverAddress, serverPort)))
	must(t, err)
	guarded := Wrap(listenOn(t, transportOn(t, socket), false, nil), gateway)
	return gateway, guarded, greet(t, guarded)
}

func (n network) dial(t *testing.T, from netip.Addr, to net.Addr) (*quic.Conn, error) {
	t.Helper()
	return dial(t, n.transport(t, from), to)
}

func TestTheKernelDropsAClientThatTheGuardCounted(t *testing.T) {
	n := newNetwork(t)
	gateway, guarded, _ := protect(t, equic.Options{Quota: 2})
	first, err := n.dial(t, alice, guarded.Addr())
	must(t, err)
	_, err = n.dial(t, alice, guarded.Addr())
	must(t, err)

	// A third gets no answer at all: neither a handshake nor a refusal.
	tr := n.transport(t, alice)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := tr.Dial(ctx, guarded.Addr(), clientTLS(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one over quota: %v, want no answer", err)
	}
	_, err = n.dial(t, bob, guarded.Addr())
	must(t, err)
	got, err := gateway.Stats()
	must(t, err)
	if got.Packets[equic.DropOverQuota] == 0 || guarded.Stats().Refused != 0 {
		t.Errorf("%v, %+v; want packets dropped, and none left for the backstop", got.Packets, guarded.Stats())
	}

	hangUp(first)
	await(t, "the close is released", func() bool { return gateway.Count(serverPort, alice) == 1 })
	_, err = n.dial(t, alice, guarded.Addr())
	must(t, err)
}

func TestTheBackstopRefusesWhatWasInFlight(t *testing.T) {
	const quota, dials = 3, 32
	n := newNetwork(t)
	gateway, guarded, conns := protect(t, equic.Options{Quota: quota})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var clients sync.WaitGroup
	for range dials {
		tr := n.transport(t, alice)
		clients.Go(func() {
			if conn, err := tr.Dial(ctx, guarded.Addr(), clientTLS(), nil); err == nil {
				_, _ = conn.AcceptUniStream(ctx)
			}
		})
	}
	clients.Wait()
	if got := guarded.Stats(); got.Admitted != quota || got.Failed != 0 || len(conns) != quota {
		t.Errorf("%+v, %d accepted; want %d admitted, none failed", got, len(conns), quota)
	}
	if got := gateway.Count(serverPort, alice); got != quota {
		t.Errorf("the gateway counts %d, want %d", got, quota)
	}
	t.Logf("%+v", guarded.Stats())
}

func TestTheBackstopHoldsTheQuotaWhereTheKernelsMapIsFull(t *testing.T) {
	n := newNetwork(t)
	gateway, guarded, _ := protect(t, equic.Options{Quota: 1, MaxClients: 1})
	_, err := n.dial(t, alice, guarded.Addr())
	must(t, err)
	first, err := n.dial(t, bob, guarded.Addr())
	must(t, err)
	if _, err := n.dial(t, bob, guarded.Addr()); !isRefusal(err) {
		t.Errorf("bob over quota: %v, want a refusal", err)
	}
	want := Stats{Admitted: 2, Refused: 1, Failed: 1, Open: 2}
	if got := guarded.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	hangUp(first)
	await(t, "bob is released", func() bool { return gateway.Count(serverPort, bob) == 0 })
	_, err = n.dial(t, bob, guarded.Addr())
	must(t, err)
}

func TestAnAllowedClientPassesKernelAndGuard(t *testing.T) {
	n := newNetwork(t)
	_, guarded, _ := protect(t, equic.Options{Quota: 1, Allowed: []netip.Prefix{netip.PrefixFrom(alice, 32)}})
	for i := range 3 {
		if _, err := n.dial(t, alice, guarded.Addr()); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

func TestAPortThatIsNotProtectedIsAnErrorOfAccept(t *testing.T) {
	newNetwork(t)
	gateway, guarded, _ := protect(t, equic.Options{})
	other := WrapWith(guarded.inner, gateway, Options{Port: serverPort + 1})
	if _, err := other.Accept(t.Context()); !errors.Is(err, equic.ErrPort) {
		t.Errorf("error %v, want ErrPort", err)
	}
}

func TestAServerOutlivesItsGateway(t *testing.T) {
	n := newNetwork(t)
	gateway, guarded, _ := protect(t, equic.Options{Quota: 1})
	conn, err := n.dial(t, alice, guarded.Addr())
	must(t, err)
	must(t, gateway.Close())
	if _, err := n.dial(t, alice, guarded.Addr()); err != nil {
		t.Errorf("without its gateway the server refused: %v", err)
	}
	hangUp(conn)
	guarded.Wait()
	want := Stats{Admitted: 2, Uncounted: 1, Failed: 1}
	if got := guarded.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
