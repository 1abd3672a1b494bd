package equic

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// newNetworks loads a program with a quota of networks.
func newNetworks(t *testing.T, quota int) *program {
	t.Helper()
	return newProgram(t, Options{Ports: onePort, Quota: 2, Networks: NetworkLimits{Quota: quota}, MaxClients: 64, HoldDown: -1})
}

// neighbours returns addresses of one network, an IPv4 /24 or IPv6 /48, each of which is a
// client of its own.
func neighbours(six bool) (all []netip.Addr) {
	for i := range byte(16) {
		if six {
			a := netip.MustParseAddr("2001:db8:7::1").As16()
			a[7] = i
			all = append(all, netip.AddrFrom16(a))
			continue
		}
		all = append(all, netip.AddrFrom4([4]byte{203, 0, 113, i}))
	}
	return all
}

func TestTheQuotaOfANetworkHolds(t *testing.T) {
	for _, six := range []bool{false, true} {
		p, all := newNetworks(t, 3), neighbours(six)
		for i, want := range []bool{true, true, true, false} {
			if got, err := p.TryInc(serverPort, all[i]); got != want || err != nil {
				t.Errorf("client %d: %v, %v; want %v", i, got, err, want)
			}
		}
		if got := p.Count(serverPort, all[3]); got != 0 {
			t.Errorf("%d connections of a client that was not admitted", got)
		}
		if got, err := p.TryInc(serverPort, bob); !got || err != nil {
			t.Errorf("a client of another network: %v, %v", got, err)
		}
		networks := slices.Collect(p.Networks())
		slices.SortFunc(networks, func(a, b Client) int { return b.Connections - a.Connections })
		if len(networks) != 2 || networks[0].Connections != 3 || !networks[0].Blocked || !networks[0].Prefix.Contains(all[9]) ||
			networks[1].Blocked {
			t.Errorf("networks %+v", networks)
		}
		p.expect(t, datagram(t, all[9].String(), initial()), DropNetwork, serverPort)
		p.expect(t, datagram(t, all[9].String(), short()), PassEstablished, serverPort)
		testkit.Must(t, p.Dec(serverPort, all[0]))
		p.expect(t, datagram(t, all[9].String(), initial()), PassUnknownClient, serverPort)
		if got, err := p.TryInc(serverPort, all[3]); !got || err != nil {
			t.Errorf("after a release: %v, %v", got, err)
		}
		testkit.Must(t, p.Allowed().Add(netip.PrefixFrom(all[4], all[4].BitLen())))
		if got, err := p.TryInc(serverPort, all[4]); !got || err != nil {
			t.Errorf("one that is allowed: %v, %v", got, err)
		}
	}
}

func TestTheQuotaOfANetworkHoldsUnderConcurrency(t *testing.T) {
	const quota = 5
	p, all := newNetworks(t, quota), neighbours(true)
	for range 200 {
		var admitted atomic.Int64
		var clients, tried sync.WaitGroup
		tried.Add(len(all))
		for _, addr := range all {
			clients.Go(func() {
				ok, err := p.TryInc(serverPort, addr)
				tried.Done()
				if err != nil {
					t.Error(err)
				}
				if !ok {
					return
				}
				admitted.Add(1)
				tried.Wait() // all connections are open at the same time
				if err := p.Dec(serverPort, addr); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		if got := admitted.Load(); got != quota {
			t.Fatalf("%d connections at once, quota %d", got, quota)
		}
	}
	if n := len(slices.Collect(p.Networks())) + len(slices.Collect(p.Clients())); n != 0 {
		t.Errorf("%d clients and networks at the end", n)
	}
}

func TestHandshakesCountInTheirNetworkWhenTheyAreComplete(t *testing.T) {
	p, all := newNetworks(t, 2), neighbours(false)
	begin := func(i int) Handshake {
		t.Helper()
		h, err := p.Begin(serverPort, netip.AddrPortFrom(all[i], 50000), true)
		testkit.Must(t, err)
		return h
	}
	handshakes := []Handshake{begin(0), begin(1), begin(2), begin(3)}
	for i, want := range []bool{true, true, false} {
		for range 2 { // the second changes nothing
			if got := completes(t, handshakes[i]); got != want {
				t.Errorf("handshake %d: %v, want %v", i, got, want)
			}
		}
	}
	if got := p.HalfOpen(); got.Validated != 1 {
		t.Errorf("half open %+v, want the last one", got)
	}
	// What a handshake in progress needs passes, although its network is full.
	handshakes[3].Hello()
	token := toServerID(quicV1, 0, 4, 8, 16, quicMinInitial)
	before := packets(t, p.Gateway, DropNetwork)
	p.run(t, fromPort(t, all[3], 50000, token))
	if got := packets(t, p.Gateway, DropNetwork); got != before {
		t.Error("a packet of a handshake in progress was dropped")
	}
	p.run(t, fromPort(t, all[3], 50001, token))
	if got := packets(t, p.Gateway, DropNetwork); got != before+1 {
		t.Errorf("%d packets were dropped, want the one of another attempt", got-before)
	}
	handshakes[0].Close()
	handshakes[0].Close()
	if !completes(t, handshakes[3]) {
		t.Error("there is room, but the last was not admitted")
	}
	for _, h := range handshakes {
		h.Close()
	}
	if n := len(slices.Collect(p.Networks())); n != 0 {
		t.Errorf("%d networks at the end", n)
	}
}

func TestANetworkAtItsQuotaIsDroppedAtEveryHook(t *testing.T) {
	for _, mode := range append(modesOfInterfaces(), Socket) {
		for _, policy := range []Policy{PolicyNew, PolicyClient} {
			t.Run(string(mode)+", "+string(policy), func(t *testing.T) {
				p := newPair(t)
				f := p.newFlow(t, serverAddress, serverPort)
				g := mustAttach(t, Options{
					Interfaces: []string{serverIface}, Ports: onePort, Policy: policy, Mode: mode, Sockets: []syscall.Conn{f.server},
					Networks: NetworkLimits{Quota: 1}, HoldDown: -1,
				})
				f.arrives(t, initial())
				neighbour := netip.MustParseAddr("192.0.2.200")
				testkit.Must(t, g.Inc(serverPort, neighbour))
				f.stalls(t, g, initial(), DropNetwork)
				f.arrives(t, short())
				testkit.Must(t, g.Dec(serverPort, neighbour))
				f.arrives(t, initial())
			})
		}
	}
}

func TestMergedPacketsOfAClientWithConnectionsPassAFullNetwork(t *testing.T) {
	p := newProgram(t, Options{
		Ports: onePort, Quota: 3, Networks: NetworkLimits{Quota: 1}, MaxClients: 64, HoldDown: -1, Mode: Generic,
	})
	all := neighbours(false)
	testkit.Must(t, p.Inc(serverPort, all[0]))
	merged := append(short(), make([]byte, 2*quicMinInitial)...)
	p.expect(t, datagram(t, all[0].String(), merged), PassUnderQuota, serverPort)
	p.expect(t, datagram(t, all[0].String(), initial()), DropNetwork, serverPort)
	p.expect(t, datagram(t, all[1].String(), merged), DropNetwork, serverPort)
}

func TestNetworksAreTakenOver(t *testing.T) {
	newPair(t)
	all := neighbours(true)
	o := Options{
		Interfaces: []string{serverIface}, Ports: onePort, Networks: NetworkLimits{Quota: 2}, Pin: newBPFFolder(t), Inherit: time.Hour,
	}
	first := mustAttach(t, o)
	testkit.Must(t, first.Inc(serverPort, all[0]))
	testkit.Must(t, first.Inc(serverPort, all[1]))
	mustLeave(t, first)
	second := mustAttach(t, o)
	if admitted, err := second.TryInc(serverPort, all[2]); admitted || err != nil {
		t.Errorf("a third connection: %v, %v", admitted, err)
	}
	for i := range 2 {
		if !second.Claim(serverPort, all[i]) {
			t.Errorf("client %d has nothing to claim", i)
		}
	}
	testkit.Must(t, second.Dec(serverPort, all[0]))
	if admitted, err := second.TryInc(serverPort, all[2]); !admitted || err != nil {
		t.Errorf("after a release: %v, %v", admitted, err)
	}
	mustLeave(t, second)
	o.Networks.IPv6Prefix = 40
	if _, err := Attach(o); !errors.Is(err, ErrPinned) || !strings.Contains(err.Error(), "IPv6 prefix of networks is 48, not 40") {
		t.Errorf("another prefix: %v", err)
	}
}

func TestClientsOfAPrefixHaveItsQuota(t *testing.T) {
	p := newProgram(t, Options{
		Ports: onePort, Quota: 2, MaxClients: 64, HoldDown: -1, Quotas: []PrefixQuota{
			{netip.MustParsePrefix("::/0"), 1},
			{netip.MustParsePrefix("203.0.113.0/24"), 4},
			{netip.MustParsePrefix("203.0.113.128/25"), 3},
			{netip.MustParsePrefix("2001:db8::/32"), 5},
		},
	})
	for client, want := range map[string]int{
		"192.0.2.7": 2, "203.0.113.7": 4, "203.0.113.200": 3, "2001:db8:7::1": 5, "2001:4860::1": 1,
	} {
		addr := netip.MustParseAddr(client)
		for i := range want + 1 {
			if got, err := p.TryInc(serverPort, addr); got != (i < want) || err != nil {
				t.Errorf("%s, try %d: %v, %v; its quota is %d", client, i, got, err, want)
			}
		}
		p.expect(t, datagram(t, client, initial()), DropOverQuota, serverPort)
		if _, err := p.Begin(serverPort, netip.AddrPortFrom(addr, 50000), true); !errors.Is(err, ErrOverQuota) {
			t.Errorf("%s: a handshake at its quota: %v", client, err)
		}
		testkit.Must(t, p.Dec(serverPort, addr))
		p.expect(t, datagram(t, client, initial()), PassUnderQuota, serverPort)
		h, err := p.Begin(serverPort, netip.AddrPortFrom(addr, 50000), true)
		testkit.Must(t, err)
		if !completes(t, h) {
			t.Errorf("%s: a handshake below its quota was turned away", client)
		}
	}
	testkit.Must(t, p.SetQuota(serverPort, 9))
	for c := range p.Clients() {
		if own := c.Prefix.Addr().String() != "192.0.2.7"; c.Blocked != own {
			t.Errorf("after a change of the port's quota: %+v", c)
		}
	}
}

// fromPort returns a datagram from a source port.
func fromPort(t *testing.T, source netip.Addr, port uint16, payload []byte) []byte {
	t.Helper()
	return with(datagram(t, source.String(), payload), 14+20, byte(port>>8), byte(port))
}
