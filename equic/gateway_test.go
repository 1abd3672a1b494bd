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
	for _, mode := range modesOfInterfaces() {
		t.Run(string(mode), func(t *testing.T) {
			p := newPair(t)
			g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyClient, Quota: 2, Mode: mode})
			send, receive := p.connect(t, serverPort)
			client := netip.MustParseAddr(clientAddress)

			send("unknown")
			receive("unknown")
			testkit.Must(t, g.Inc(serverPort, client))
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
			receive("under quota again") // and none of the dropped ones before it
			testkit.Must(t, g.Dec(serverPort, client))
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
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyClient, Quota: 1})
	testkit.Must(t, g.Inc(serverPort, netip.MustParseAddr(clientAddress)))
	send, receive := p.connect(t, serverPort+1)
	send("other port")
	receive("other port")
	if n := packets(t, g, PassOtherPort); n != 1 {
		t.Errorf("%d packets to another port, want 1", n)
	}
}

func TestTheKernelSeesWhatWasCounted(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyClient, MaxClients: 4})
	want := hammer(t,
		func(addr netip.Addr) error { return g.Inc(serverPort, addr) },
		func(addr netip.Addr) error { return g.Dec(serverPort, addr) })
	if diff := cmp.Diff(want, kernelCounts(t, g)); diff != "" {
		t.Errorf("in the kernel (-want +got):\n%s", diff)
	}
	for range want[alice.String()] {
		testkit.Must(t, g.Dec(serverPort, alice))
	}
	if _, present := kernelCounts(t, g)[alice.String()]; present {
		t.Error("a client at zero is still there")
	}
	if err := g.Dec(serverPort, alice); err == nil {
		t.Error("counted below zero")
	}
}

func TestMeasuringDoesNotDisturbTheGateway(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyClient, Quota: 1})
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
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyClient})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.MeasureDrop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestAClosedGatewaySaysSo(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Policy: PolicyClient})
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
	if got := g.Count(serverPort, alice); got != 0 {
		t.Errorf("count %d, want 0", got)
	}
}

// connect makes a socket in each namespace. It returns a function that sends a datagram
// through the veth pair, and one that expects a datagram.
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

// kernelCounts returns the counts in the kernel's map, read by a system call, by the
// addresses that user space has recorded.
func kernelCounts(t *testing.T, g *Gateway) map[string]uint32 {
	t.Helper()
	addresses := make(map[uint64]string)
	g.clients.each(func(_ int, e *entry, s *slot) {
		addresses[s.hash.Load()] = netip.AddrFrom16(e.key.Prefix).Unmap().String()
	})
	counts := make(map[string]uint32)
	for i := range g.objs.Clients.MaxEntries() {
		var group gatewayGroup
		testkit.Must(t, g.objs.Clients.Lookup(i, &group))
		for _, s := range group.Slots {
			if s.Hash != 0 {
				counts[addresses[s.Hash]] = s.Connections
			}
		}
	}
	return counts
}
