package equic

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

func TestAClientAtItsQuotaIsDroppedAndLetInAgain(t *testing.T) {
	for _, mode := range []Mode{Native, Generic} {
		t.Run(string(mode), func(t *testing.T) {
			p := newPair(t)
			g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Policy: PolicyClient, Quota: 2, Mode: mode})
			send, receive := p.connect(t, serverPort)
			client := netip.MustParseAddr(clientAddress)

			send("unknown")
			receive("unknown")
			testkit.Must(t, g.Inc(serverPort, client))
			g.clients.flush()
			send("under quota")
			receive("under quota")
			testkit.Must(t, g.Inc(serverPort, client))
			const dropped = 100
			for range dropped {
				send("at quota")
			}
			testkit.Await(t, "the drops are counted", func() bool { return packets(t, g, DropOverQuota) == dropped })
			testkit.Must(t, g.Dec(serverPort, client))
			send("under quota again")
			receive("under quota again") // and none of the dropped before it
			testkit.Must(t, g.Dec(serverPort, client))
			g.clients.flush()
			send("forgotten")
			receive("forgotten")

			got, err := g.Stats()
			testkit.Must(t, err)
			if got.Dropped != dropped || got.Seen != got.Passed+got.Dropped {
				t.Errorf("stats %+v, want %d dropped and sums that agree", got, dropped)
			}
			if got.Packets[PassUnderQuota] != 2 || got.Packets[PassUnknownClient] != 2 {
				t.Errorf("packets %v, want 2 under quota and 2 of an unknown client", got.Packets)
			}
		})
	}
}

func TestAClientAtItsQuotaStillReachesOtherPorts(t *testing.T) {
	p := newPair(t)
	g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Policy: PolicyClient, Quota: 1})
	testkit.Must(t, g.Inc(serverPort, netip.MustParseAddr(clientAddress)))
	send, receive := p.connect(t, serverPort+1)
	send("other port")
	receive("other port")
	if n := packets(t, g, PassOtherPort); n != 1 {
		t.Errorf("%d packets to another port, want 1", n)
	}
}

func TestTheKernelsMapHoldsWhatWasCounted(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Policy: PolicyClient, MaxClients: 4})
	want := hammer(t,
		func(addr netip.Addr) error { return g.Inc(serverPort, addr) },
		func(addr netip.Addr) error { return g.Dec(serverPort, addr) })
	if diff := cmp.Diff(want, kernelCounts(t, g)); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	for range want[alice.String()] {
		testkit.Must(t, g.Dec(serverPort, alice))
	}
	testkit.Await(t, "a client at zero leaves the map", func() bool {
		_, present := kernelCounts(t, g)[alice.String()]
		return !present
	})
	if err := g.Dec(serverPort, alice); err == nil {
		t.Error("counted below zero")
	}
}

func TestTheKernelsMapFills(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Policy: PolicyClient, Quota: 1, MaxClients: 1})
	testkit.Must(t, g.Inc(serverPort, alice))
	if err := g.Inc(serverPort, bob); !errors.Is(err, ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	if got := g.Count(serverPort, bob); got != 1 {
		t.Errorf("count %d, want 1", got)
	}
	testkit.Must(t, g.Dec(serverPort, alice))
	if diff := cmp.Diff(map[string]uint32{bob.String(): 1}, kernelCounts(t, g)); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	testkit.Must(t, g.Dec(serverPort, bob))
	if got := kernelCounts(t, g); len(got) != 0 {
		t.Errorf("kernel's map %v, want none", got)
	}
}

func TestMeasuringDoesNotDisturbTheGateway(t *testing.T) {
	newPair(t)
	// At its quota of 1 the count is in the kernel before Inc returns; any other
	// would be there within writeDelay, which measuring may be shorter than.
	g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Policy: PolicyClient, Quota: 1})
	testkit.Must(t, g.Inc(serverPort, alice))
	before, err := g.Stats()
	testkit.Must(t, err)
	cost, err := g.MeasureDrop(t.Context())
	testkit.Must(t, err)
	after, err := g.Stats()
	testkit.Must(t, err)
	if cost.DropNS <= 0 || cost.EmptyNS <= 0 {
		t.Errorf("cost %+v, want more than nothing", cost)
	}
	t.Logf("%+v", cost)
	if n := after.Packets[DropOverQuota] + after.Packets[PassUnknownClient]; n != 0 {
		t.Errorf("stats went from %+v to %+v by measuring", before, after)
	}
	if diff := cmp.Diff(map[string]uint32{alice.String(): 1}, kernelCounts(t, g)); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
}

func TestMeasuringStopsWithItsContext(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Policy: PolicyClient})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.MeasureDrop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestAClosedGatewaySaysSo(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Policy: PolicyClient})
	testkit.Must(t, g.Inc(serverPort, alice))
	testkit.Must(t, g.Close())
	_, statsErr := g.Stats()
	for call, err := range map[string]error{
		"Inc": g.Inc(serverPort, alice), "Dec": g.Dec(serverPort, alice),
		"Stats": statsErr,
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: error %v, want ErrClosed", call, err)
		}
	}
	if got := g.Count(serverPort, alice); got != 1 {
		t.Errorf("count %d, want 1", got)
	}
}

// connect makes a socket in each namespace, and returns what sends a datagram
// through the veth pair and what expects one.
func (p pair) connect(t *testing.T, port int) (send, receive func(string)) {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(serverAddress), Port: port})
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, server.Close()) })
	testkit.Must(t, server.SetReadDeadline(time.Now().Add(10*time.Second)))
	netkit.Enter(t, p.Client)
	client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, client.Close()) })
	netkit.Enter(t, p.Server)

	send = func(text string) {
		_, err := client.Write([]byte(text))
		testkit.Must(t, err)
	}
	receive = func(want string) {
		t.Helper()
		b := make([]byte, 64)
		n, err := server.Read(b)
		testkit.Must(t, err)
		if got := string(b[:n]); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	return send, receive
}

func packets(t *testing.T, g *Gateway, reason string) uint64 {
	t.Helper()
	s, err := g.Stats()
	testkit.Must(t, err)
	return s.Packets[reason]
}

// kernelCounts are the entries of the kernel's map by address.
func kernelCounts(t *testing.T, g *Gateway) map[string]uint32 {
	t.Helper()
	counts := make(map[string]uint32)
	var key clientKey
	var value clientValue
	entries := g.objs.Clients.Iterate()
	for entries.Next(&key, &value) {
		counts[netip.AddrFrom16(key.Prefix).Unmap().String()] = value.Connections
	}
	testkit.Must(t, entries.Err())
	return counts
}
