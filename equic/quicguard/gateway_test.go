package quicguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

const serverPort = 4433

var (
	serverAddress = netip.MustParseAddr(netkit.ServerAddress)
	alice         = netip.MustParseAddr(netkit.ClientAddress)
	bob           = netip.MustParseAddr("192.0.2.3")
)

// network is a pair whose client has two addresses, alice's and bob's.
type network struct{ netkit.Pair }

// newNetwork makes a network. The test is then in the server's namespace.
func newNetwork(t *testing.T) network {
	t.Helper()
	n := network{netkit.NewPair(t)}
	netkit.Enter(t, n.Client)
	netkit.SetUp(t, netkit.ClientInterface, bob.String()+"/24")
	netkit.Enter(t, n.Server)
	return n
}

// transport returns a client's transport. Its socket stays in the client's namespace.
func (n network) transport(t *testing.T, from netip.Addr) *quic.Transport {
	t.Helper()
	netkit.Enter(t, n.Client)
	defer netkit.Enter(t, n.Server)
	return transport(t, from)
}

// protect runs a guarded server behind a gateway.
func protect(t *testing.T, o equic.Options) (*equic.Gateway, *Listener, <-chan *quic.Conn) {
	t.Helper()
	o.Interfaces, o.Ports = []string{netkit.ServerInterface}, []equic.Port{{Number: serverPort}}
	gateway, err := equic.Attach(o)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, gateway.Close()) })
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(serverAddress, serverPort)))
	testkit.Must(t, err)
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
	testkit.Must(t, err)
	_, err = n.dial(t, alice, guarded.Addr())
	testkit.Must(t, err)

	// A third connection gets no answer: neither a handshake nor a refusal.
	tr := n.transport(t, alice)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := tr.Dial(ctx, guarded.Addr(), clientTLS(), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one over quota: %v, want no answer", err)
	}
	_, err = n.dial(t, bob, guarded.Addr())
	testkit.Must(t, err)
	got, err := gateway.Stats()
	testkit.Must(t, err)
	if got.Packets[equic.DropOverQuota] == 0 || guarded.Stats().Refused != 0 {
		t.Errorf("%v, %+v; want packets dropped, and none left for the backstop", got.Packets, guarded.Stats())
	}

	hangUp(first)
	testkit.Await(t, "the close is released", func() bool { return gateway.Count(serverPort, alice) == 1 })
	_, err = n.dial(t, alice, guarded.Addr())
	testkit.Must(t, err)
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

func TestAClientThatCannotBeCountedIsRefused(t *testing.T) {
	n := newNetwork(t)
	gateway, guarded, _ := protect(t, equic.Options{Quota: 2, MaxClients: 1})
	first, err := n.dial(t, alice, guarded.Addr())
	testkit.Must(t, err)
	if _, err := n.dial(t, bob, guarded.Addr()); !isRefusal(err) {
		t.Errorf("bob, for whom there is no place: %v, want a refusal", err)
	}
	want := Stats{Admitted: 1, Refused: 1, Failed: 1, Open: 1}
	if got := guarded.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	hangUp(first)
	testkit.Await(t, "alice is released", func() bool { return gateway.Count(serverPort, alice) == 0 })
	_, err = n.dial(t, bob, guarded.Addr())
	testkit.Must(t, err)
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
	testkit.Must(t, err)
	testkit.Must(t, gateway.Close())
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
