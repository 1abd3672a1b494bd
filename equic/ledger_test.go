package equic

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// fakeMap is the kernel's map, with its limit and its errors.
type fakeMap struct {
	limit   int
	entries map[[16]byte]uint32
	broken  error
}

func newFakeMap(limit int) *fakeMap {
	return &fakeMap{limit: limit, entries: make(map[[16]byte]uint32)}
}

func (m *fakeMap) Put(key, value any) error {
	if m.broken != nil {
		return m.broken
	}
	k := key.([16]byte)
	if _, present := m.entries[k]; !present && len(m.entries) == m.limit {
		return fmt.Errorf("update: %w", unix.E2BIG)
	}
	m.entries[k] = value.(uint32)
	return nil
}

func (m *fakeMap) Delete(key any) error {
	if m.broken != nil {
		return m.broken
	}
	k := key.([16]byte)
	if _, present := m.entries[k]; !present {
		return fmt.Errorf("delete: %w", ebpf.ErrKeyNotExist)
	}
	delete(m.entries, k)
	return nil
}

// counts are the map's entries by address.
func (m *fakeMap) counts() map[string]uint32 {
	counts := make(map[string]uint32)
	for k, n := range m.entries {
		counts[netip.AddrFrom16(k).Unmap().String()] = n
	}
	return counts
}

var (
	alice = netip.MustParseAddr("192.0.2.10")
	bob   = netip.MustParseAddr("192.0.2.11")
	carol = netip.MustParseAddr("2001:db8::c")
)

func TestCountsReachTheKernelAsAbsoluteValues(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, 1)
	for _, addr := range []netip.Addr{alice, alice, bob, carol, alice} {
		must(t, l.inc(addr))
	}
	must(t, l.dec(alice))
	must(t, l.dec(bob))
	want := map[string]uint32{"192.0.2.10": 2, "2001:db8::c": 1}
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if got := l.count(alice); got != 2 {
		t.Errorf("count %d, want 2", got)
	}
	if len(l.counts) != 2 {
		t.Errorf("%d clients kept, want 2: a client at zero is forgotten", len(l.counts))
	}
}

func TestMappedAndZonedFormsAreTheSameClient(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, 1)
	must(t, l.inc(alice))
	must(t, l.inc(netip.AddrFrom16(alice.As16())))
	must(t, l.inc(carol.WithZone("eth0")))
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
	l := newLedger(kernel, 1)
	if err := l.dec(alice); err == nil {
		t.Error("a client that was never counted was released")
	}
	must(t, l.inc(alice))
	must(t, l.dec(alice))
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
	l := newLedger(newFakeMap(8), 1)
	if err := l.inc(netip.Addr{}); err == nil {
		t.Error("want an error")
	}
	if len(l.counts) != 0 {
		t.Errorf("counted: %v", l.counts)
	}
}

func TestAFullMapIsSaidAndTheCountStaysRight(t *testing.T) {
	kernel := newFakeMap(1)
	l := newLedger(kernel, 1)
	must(t, l.inc(alice))
	for range 2 {
		if err := l.inc(bob); !errors.Is(err, ErrFull) {
			t.Fatalf("error %v, want ErrFull", err)
		}
	}
	must(t, l.inc(alice)) // one that is in the map still counts
	if got := l.count(bob); got != 2 {
		t.Errorf("count %d, want 2", got)
	}
	must(t, l.dec(bob))
	must(t, l.dec(bob))
	l.flush()
	want := map[string]uint32{"192.0.2.10": 2}
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if len(l.unwritten) != 0 {
		t.Errorf("still unwritten: %v", l.unwritten)
	}
}

func TestAFreedPlaceGoesToAClientThatFoundTheMapFull(t *testing.T) {
	kernel := newFakeMap(1)
	l := newLedger(kernel, 1)
	must(t, l.inc(alice))
	for range 3 {
		if err := l.inc(bob); !errors.Is(err, ErrFull) {
			t.Fatalf("error %v, want ErrFull", err)
		}
	}
	must(t, l.dec(alice))
	want := map[string]uint32{"192.0.2.11": 3}
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
}

func TestAnErrorOfTheKernelLeavesTheClientCounted(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, 1)
	kernel.broken = unix.EIO
	if err := l.inc(alice); !errors.Is(err, unix.EIO) {
		t.Fatalf("error %v, want EIO", err)
	}
	kernel.broken = nil
	if got := l.count(alice); got != 1 {
		t.Errorf("count %d, want 1", got)
	}
	must(t, l.dec(alice))
}

func TestAClosedLedgerChangesNothing(t *testing.T) {
	l := newLedger(newFakeMap(8), 1)
	must(t, l.inc(alice))
	must(t, l.close())
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
	l := newLedger(kernel, 1)
	want := hammer(t, l.inc, l.dec)
	if diff := cmp.Diff(want, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
	if got := l.count(alice); got != int(want[alice.String()]) {
		t.Errorf("count %d, want %d", got, want[alice.String()])
	}
}

// With a quota of 3, counts of 1 and 2 change no verdict.
func TestCountsUnderQuotaReachTheKernelLater(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, 3)
	must(t, l.inc(alice))
	must(t, l.inc(alice))
	must(t, l.inc(bob))
	must(t, l.dec(bob)) // come and gone: never written
	if len(kernel.entries) != 0 {
		t.Errorf("written at once: %v", kernel.counts())
	}
	l.flush()
	if diff := cmp.Diff(map[string]uint32{"192.0.2.10": 2}, kernel.counts()); diff != "" {
		t.Errorf("kernel's map after the delay (-want +got):\n%s", diff)
	}
	must(t, l.dec(alice))
	must(t, l.dec(alice))
	l.flush()
	if len(kernel.entries)+len(l.held)+len(l.late) != 0 {
		t.Errorf("left: kernel %v, held %v, late %v", kernel.counts(), l.held, l.late)
	}
}

func TestCountsThatChangeAVerdictReachTheKernelAtOnce(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, 3)
	for _, step := range []struct {
		name string
		do   func(netip.Addr) error
		want uint32 // in the kernel
	}{
		{"the first is for later", l.inc, 0},
		{"the second too", l.inc, 0},
		{"the third blocks", l.inc, 3},
		{"a fourth keeps it blocked", l.inc, 4},
		{"three are left", l.dec, 3},
		{"two are left: let in again", l.dec, 2},
		{"one is left: for later", l.dec, 2},
	} {
		must(t, step.do(alice))
		if got := kernel.counts()[alice.String()]; got != step.want {
			t.Errorf("%s: the kernel has %d, want %d", step.name, got, step.want)
		}
	}
	l.flush()
	if got := kernel.counts()[alice.String()]; got != 1 {
		t.Errorf("after the delay the kernel has %d, want 1", got)
	}
}

func TestAFullMapIsSaidAtTheQuota(t *testing.T) {
	kernel := newFakeMap(0)
	l := newLedger(kernel, 2)
	must(t, l.inc(alice))
	l.flush()
	if err := l.inc(alice); !errors.Is(err, ErrFull) {
		t.Errorf("at the quota: error %v, want ErrFull", err)
	}
	must(t, l.dec(alice))
	must(t, l.dec(alice))
	must(t, l.close())
}

func TestAFreedPlaceGoesToAClientAtItsQuota(t *testing.T) {
	kernel := newFakeMap(1)
	l := newLedger(kernel, 2)
	must(t, l.inc(alice))
	must(t, l.inc(alice)) // holds the only place
	must(t, l.inc(carol))
	l.flush() // carol is under quota and found the map full
	must(t, l.inc(bob))
	if err := l.inc(bob); !errors.Is(err, ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	must(t, l.dec(alice))
	must(t, l.dec(alice))
	l.flush()
	if diff := cmp.Diff(map[string]uint32{bob.String(): 2}, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
}

func TestAClientDoesNotStayBlockedByAWriteThatFailed(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, 1)
	must(t, l.inc(alice))
	kernel.broken = unix.EIO
	if err := l.dec(alice); !errors.Is(err, unix.EIO) {
		t.Fatalf("error %v, want EIO", err)
	}
	kernel.broken = nil
	l.flush()
	if len(kernel.entries) != 0 {
		t.Errorf("kernel's map %v, want none", kernel.counts())
	}
}

func TestALateWriteThatFailsIsSaidOnClose(t *testing.T) {
	kernel := newFakeMap(8)
	l := newLedger(kernel, 2)
	must(t, l.inc(alice))
	kernel.broken = unix.EIO
	l.flush()
	if err := l.close(); !errors.Is(err, unix.EIO) {
		t.Errorf("close: error %v, want EIO", err)
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
