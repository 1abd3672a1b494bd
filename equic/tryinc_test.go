package equic

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestTryIncCountsUpToTheQuotaOnly(t *testing.T) {
	table := newPortTable(2, 8)
	for i, want := range []bool{true, true, false, false} {
		if got, err := table.tryInc(alice); got != want || err != nil {
			t.Errorf("try %d: %v, %v; want %v", i, got, err, want)
		}
	}
	if got := table.count(alice); got != 2 {
		t.Errorf("count %d; want 2, as what is not admitted is not counted", got)
	}
	if got, err := table.tryInc(bob); !got || err != nil {
		t.Errorf("another client: %v, %v; want admitted", got, err)
	}
	if got, err := table.table.tryInc(serverPort+1, alice); got || !errors.Is(err, ErrPort) {
		t.Errorf("another port: %v, %v; want ErrPort", got, err)
	}
	if got, err := table.tryInc(netip.Addr{}); got || err == nil {
		t.Errorf("no address: %v, %v; want an error", got, err)
	}
}

func TestTryIncAdmitsTheAllowedOverTheirQuota(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1})
	try := func(addr netip.Addr) bool {
		t.Helper()
		admitted, err := g.TryInc(serverPort, addr)
		testkit.Must(t, err)
		return admitted
	}
	try(bob) // now at his quota
	for _, addr := range []netip.Addr{alice, carol} {
		if !try(addr) || try(addr) {
			t.Fatalf("%s: want the first admitted, the second not", addr)
		}
		p := netip.PrefixFrom(addr, addr.BitLen())
		testkit.Must(t, g.Allowed().Add(p))
		if !try(addr) || g.Count(serverPort, addr) != 2 {
			t.Errorf("%s is allowed, but was not admitted or not counted: %d", addr, g.Count(serverPort, addr))
		}
		if try(bob) {
			t.Errorf("bob was admitted because %s is allowed", addr)
		}
		testkit.Must(t, g.Allowed().Remove(p))
		if try(addr) {
			t.Errorf("%s was admitted when no longer allowed", addr)
		}
	}
	testkit.Must(t, g.Close())
	if admitted, err := g.TryInc(serverPort, alice); admitted || !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v, %v; want ErrClosed", admitted, err)
	}
}

func TestNoHandshakeOfTheAllowedIsRefused(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{
		Interfaces: []string{serverIface}, Ports: onePort, Quota: 2, Allowed: []netip.Prefix{netip.PrefixFrom(alice, 32)},
	})
	var begun []Handshake
	for i := range 6 { // the last ones begin when the first are not complete
		h, err := g.Begin(serverPort, netip.AddrPortFrom(alice, uint16(50000+i)), i >= 2)
		testkit.Must(t, err)
		begun = append(begun, h)
	}
	for i, h := range begun {
		if !completes(t, h) {
			t.Errorf("handshake %d was refused in the end", i)
		}
	}
	if clients := slices.Collect(g.Clients()); len(clients) != 1 || clients[0].Connections != 6 || clients[0].Blocked {
		t.Errorf("clients %+v, want one that is not blocked", clients)
	}
	if g.MustValidate(serverPort, alice) {
		t.Error("a client that has no quota must send a Retry")
	}
	if n := g.TurnedAway()[serverPort]; n != 0 {
		t.Errorf("%d clients turned away, want none", n)
	}
}

func TestACounterInUserSpaceLimitsHandshakesInProgress(t *testing.T) {
	const port = 443
	u := NewUserSpace(10)
	for _, bad := range []HalfOpenLimits{{Total: -1}, {PerClient: -1}} {
		if err := u.LimitHalfOpen(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if err := u.LimitHalfOpen(HalfOpenLimits{Total: 2}); err != nil {
		t.Fatal(err)
	}
	other := netip.MustParseAddr("192.0.2.9")
	for _, from := range []string{"192.0.2.1:1000", "192.0.2.2:1000"} {
		if u.MustValidate(port, other) {
			t.Errorf("a Retry, but only %+v are in progress", u.HalfOpen())
		}
		h, err := u.Begin(port, netip.MustParseAddrPort(from), false)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Cancel()
	}
	if !u.MustValidate(port, other) {
		t.Errorf("no Retry, but %+v are in progress", u.HalfOpen())
	}
}
