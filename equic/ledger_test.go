package equic

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// byAddress tells every address apart.
var byAddress = prefixes{ipv4: 32, ipv6: 128}

var (
	alice = netip.MustParseAddr("192.0.2.10")
	bob   = netip.MustParseAddr("192.0.2.11")
	carol = netip.MustParseAddr("2001:db8::c")
)

func TestCountsReachTheKernelAsAbsoluteValues(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 1)
	for _, addr := range []netip.Addr{alice, alice, bob, carol, alice} {
		testkit.Must(t, l.inc(addr))
	}
	testkit.Must(t, l.dec(alice))
	testkit.Must(t, l.dec(bob))
	want := map[string]uint32{"192.0.2.10": 2, "2001:db8::c": 1}
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if got := l.count(alice); got != 2 {
		t.Errorf("count %d, want 2", got)
	}
	if len(l.clients) != 2 {
		t.Errorf("%d clients kept, want 2: a client at zero is forgotten", len(l.clients))
	}
}

func TestMappedAndZonedFormsAreTheSameClient(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 1)
	testkit.Must(t, l.inc(alice))
	testkit.Must(t, l.inc(netip.AddrFrom16(alice.As16())))
	testkit.Must(t, l.inc(carol.WithZone("eth0")))
	want := map[string]uint32{"192.0.2.10": 2, "2001:db8::c": 1}
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if got := l.count(carol); got != 1 {
		t.Errorf("count %d, want 1", got)
	}
}

func TestDecBelowZeroIsAnErrorAndChangesNothing(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 1)
	if err := l.dec(alice); err == nil {
		t.Error("a client that was never counted was released")
	}
	testkit.Must(t, l.inc(alice))
	testkit.Must(t, l.dec(alice))
	if err := l.dec(alice); err == nil {
		t.Error("a client was released twice")
	}
	if got := l.count(alice); got != 0 || len(kernel.entries) != 0 {
		t.Errorf("count %d and kernel %v, want 0 and none", got, kernel.counts())
	}
	if err := l.dec(netip.Addr{}); err == nil {
		t.Error("the zero address was released")
	}
}

func TestAnInvalidAddressIsNotCounted(t *testing.T) {
	l := newPortLedger(newFakeMap(8), 1)
	if err := l.inc(netip.Addr{}); err == nil {
		t.Error("want an error")
	}
	if len(l.clients) != 0 {
		t.Errorf("counted: %v", l.clients)
	}
}

func TestAFullMapIsSaidAndTheCountStaysRight(t *testing.T) {
	kernel := newFakeMap(1)
	l := newPortLedger(kernel, 1)
	testkit.Must(t, l.inc(alice))
	for range 2 {
		if err := l.inc(bob); !errors.Is(err, ErrFull) {
			t.Fatalf("error %v, want ErrFull", err)
		}
	}
	testkit.Must(t, l.inc(alice)) // one that is in the map still counts
	if got := l.count(bob); got != 2 {
		t.Errorf("count %d, want 2", got)
	}
	testkit.Must(t, l.dec(bob))
	testkit.Must(t, l.dec(bob))
	l.flush()
	want := map[string]uint32{"192.0.2.10": 2}
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if len(l.waiting) != 0 {
		t.Errorf("still waiting: %v", l.waiting)
	}
}

func TestAFreedPlaceGoesToAClientThatFoundTheMapFull(t *testing.T) {
	kernel := newFakeMap(1)
	l := newPortLedger(kernel, 1)
	testkit.Must(t, l.inc(alice))
	for range 3 {
		if err := l.inc(bob); !errors.Is(err, ErrFull) {
			t.Fatalf("error %v, want ErrFull", err)
		}
	}
	testkit.Must(t, l.dec(alice))
	want := map[string]uint32{"192.0.2.11": 3}
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
}

func TestAnErrorOfTheKernelLeavesTheClientCounted(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 1)
	kernel.broken = unix.EIO
	if err := l.inc(alice); !errors.Is(err, unix.EIO) {
		t.Fatalf("error %v, want EIO", err)
	}
	kernel.broken = nil
	if got := l.count(alice); got != 1 {
		t.Errorf("count %d, want 1", got)
	}
	testkit.Must(t, l.dec(alice))
}

func TestAClosedLedgerChangesNothing(t *testing.T) {
	l := newPortLedger(newFakeMap(8), 1)
	testkit.Must(t, l.inc(alice))
	testkit.Must(t, l.close())
	if err := l.inc(alice); !errors.Is(err, ErrClosed) {
		t.Errorf("inc: error %v, want ErrClosed", err)
	}
	if err := l.dec(alice); !errors.Is(err, ErrClosed) {
		t.Errorf("dec: error %v, want ErrClosed", err)
	}
	if got := l.count(alice); got != 1 {
		t.Errorf("count %d, want 1", got)
	}
}

func TestNoCountIsLostAmongGoroutines(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 1)
	want := hammer(t, l.inc, l.dec)
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if got := l.count(alice); got != int(want[alice.String()]) {
		t.Errorf("count %d, want %d", got, want[alice.String()])
	}
}

func TestClientsAreToldApartByTheirPrefixAndPort(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, prefixes{ipv4: 24, ipv6: 64}, map[uint16]uint32{443: 2, 8443: 9}, nil)
	for _, c := range []struct {
		port uint16
		addr string
	}{
		{443, "192.0.2.1"},
		{443, "192.0.2.200"},
		{8443, "192.0.2.1"},
		{443, "192.0.3.1"},
		{443, "2001:db8::1"},
		{443, "2001:db8::ffff:0:0:1"},
		{443, "2001:db8:0:1::1"},
	} {
		testkit.Must(t, l.inc(c.port, netip.MustParseAddr(c.addr)))
	}
	l.flush()
	got := make(map[string]int)
	for _, c := range l.counted() {
		got[fmt.Sprintf("%v %d blocked=%v", c.Prefix, c.Port, c.Blocked)] = c.Connections
	}
	want := map[string]int{
		"192.0.2.0/24 443 blocked=true": 2, "192.0.2.0/24 8443 blocked=false": 1, "192.0.3.0/24 443 blocked=false": 1,
		"2001:db8::/64 443 blocked=true": 2, "2001:db8:0:1::/64 443 blocked=false": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if len(kernel.entries) != len(want) {
		t.Errorf("the kernel has %d clients, want %d", len(kernel.entries), len(want))
	}
	if err := l.inc(53, alice); !errors.Is(err, ErrPort) {
		t.Errorf("a port that is not protected: error %v, want ErrPort", err)
	}
}

func TestAChangedQuotaIsInForceAtOnce(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 5)
	for range 3 {
		testkit.Must(t, l.inc(alice))
	}
	testkit.Must(t, l.inc(bob))
	told := 0
	testkit.Must(t, l.setQuota(serverPort, 3, func() error {
		told++
		if diff := cmp.Diff(map[string]uint32{alice.String(): 3}, kernel.counts()); diff != "" {
			t.Errorf("before a lower quota is in force, the kernel's map (-want +got):\n%s", diff)
		}
		return nil
	}))
	kernel.drop(alice)
	testkit.Must(t, l.setQuota(serverPort, 4, func() error { told++; return nil }))
	if diff := cmp.Diff([]string{"192.0.2.10/32"}, text(l.letIn)); diff != "" || told != 2 {
		t.Errorf("let in (-want +got), told %d times:\n%s", told, diff)
	}
	if err := l.setQuota(1, 3, nil); !errors.Is(err, ErrPort) {
		t.Errorf("error %v, want ErrPort", err)
	}
}

func TestAClientOfWhichPacketsWereDroppedIsSaidToBeLetIn(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 2)
	for range 3 {
		testkit.Must(t, errors.Join(l.inc(alice), l.inc(bob)))
	}
	kernel.drop(alice)
	testkit.Must(t, l.inc(alice)) // a count at the quota keeps what the program noted
	for range 2 {
		testkit.Must(t, errors.Join(l.dec(alice), l.dec(bob)))
	}
	if len(l.letIn) != 0 {
		t.Errorf("let in at its quota: %v", l.letIn)
	}
	testkit.Must(t, l.dec(alice))
	if diff := cmp.Diff([]string{"192.0.2.10/32"}, text(l.letIn)); diff != "" {
		t.Errorf("let in (-want +got):\n%s", diff)
	}
}

func text(list []netip.Prefix) []string {
	var s []string
	for _, p := range list {
		s = append(s, p.String())
	}
	return s
}

func TestAClientBelowItsQuotaMakesRoomForOneAtIt(t *testing.T) {
	kernel := newFakeMap(1)
	l := newPortLedger(kernel, 2)
	testkit.Must(t, l.inc(alice))
	l.flush() // holds the only place, for readers
	testkit.Must(t, errors.Join(l.inc(bob), l.inc(bob)))
	if diff := cmp.Diff(map[string]uint32{bob.String(): 2}, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if err := l.inc(alice); !errors.Is(err, ErrFull) {
		t.Errorf("error %v, want ErrFull: both are at their quota", err)
	}
	testkit.Must(t, errors.Join(l.dec(bob), l.dec(bob)))
	l.flush()
	if diff := cmp.Diff(map[string]uint32{alice.String(): 2}, kernel.counts()); diff != "" {
		t.Errorf("the next to wait has the place (-want +got):\n%s", diff)
	}
}

// hammer counts two clients up and down from many goroutines, and returns the
// counts that must be left.
func hammer(t *testing.T, inc, dec func(netip.Addr) error) map[string]uint32 {
	t.Helper()
	const goroutines, ups, downs = 8, 2000, 1500
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for i := range ups {
				if err := errors.Join(inc(alice), inc(bob)); err != nil {
					t.Error(err)
				}
				if i < downs {
					if err := errors.Join(dec(alice), dec(bob)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	const left = goroutines * (ups - downs)
	return map[string]uint32{alice.String(): left, bob.String(): left}
}
