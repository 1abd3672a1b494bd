package equic

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func (l *portLedger) tryInc(addr netip.Addr) (bool, error) { return l.ledger.tryInc(serverPort, addr) }

func TestTryIncCountsUpToTheQuotaOnly(t *testing.T) {
	l := newPortLedger(newFakeMap(8), 2)
	for i, want := range []bool{true, true, false, false} {
		if got, err := l.tryInc(alice); got != want || err != nil {
			t.Errorf("try %d: %v, %v; want %v", i, got, err, want)
		}
	}
	if got := l.count(alice); got != 2 {
		t.Errorf("count %d; want 2, as what is not admitted is not counted", got)
	}
	if got, err := l.tryInc(bob); !got || err != nil {
		t.Errorf("another client: %v, %v; want admitted", got, err)
	}
	testkit.Must(t, l.dec(alice))
	if got, err := l.tryInc(alice); !got || err != nil {
		t.Errorf("after a release: %v, %v; want admitted", got, err)
	}
}

func TestTryIncAdmitsAndCountsWhereTheMapIsFullOrFails(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name   string
		kernel *fakeMap
		want   error
	}{
		{"the map is full", &fakeMap{entries: map[clientKey]clientValue{}}, ErrFull},
		{"the kernel fails", &fakeMap{entries: map[clientKey]clientValue{}, limit: 1, broken: broken}, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newPortLedger(c.kernel, 1)
			if got, err := l.tryInc(alice); !got || !errors.Is(err, c.want) {
				t.Errorf("the first: %v, %v; want admitted, and %v", got, err, c.want)
			}
			if got, err := l.tryInc(alice); got || err != nil {
				t.Errorf("the second: %v, %v; want neither", got, err)
			}
			if got := l.count(alice); got != 1 {
				t.Errorf("count %d, want 1", got)
			}
			_ = l.close()
		})
	}
}

func TestTryIncAdmitsNothingThatCannotBeCounted(t *testing.T) {
	l := newPortLedger(newFakeMap(8), 1)
	if got, err := l.ledger.tryInc(serverPort+1, alice); got || !errors.Is(err, ErrPort) {
		t.Errorf("another port: %v, %v; want ErrPort", got, err)
	}
	if got, err := l.tryInc(netip.Addr{}); got || err == nil {
		t.Errorf("no address: %v, %v; want an error", got, err)
	}
	testkit.Must(t, l.close())
	if got, err := l.tryInc(alice); got || !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v, %v; want ErrClosed", got, err)
	}
}

func TestNoMoreThanTheQuotaGetInAtOnce(t *testing.T) {
	const quota, callers = 5, 64
	l := newPortLedger(newFakeMap(8), quota)
	var admitted atomic.Int32
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range 100 {
				if ok, _ := l.tryInc(alice); !ok {
					continue
				}
				if n := admitted.Add(1); n > quota {
					t.Errorf("%d admitted at once, quota %d", n, quota)
				}
				admitted.Add(-1)
				if err := l.dec(alice); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := l.count(alice); got != 0 {
		t.Errorf("count %d after the last release, want 0", got)
	}
	testkit.Must(t, l.close())
}

func TestTryIncAdmitsTheAllowedOverTheirQuota(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interface: serverIface, Ports: onePort, Quota: 1})
	try := func(addr netip.Addr) bool {
		t.Helper()
		admitted, err := g.TryInc(serverPort, addr)
		testkit.Must(t, err)
		return admitted
	}
	try(bob) // who is at his quota from here on
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
