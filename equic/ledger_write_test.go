package equic

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// With a quota of 3, counts of 1 and 2 change no verdict.
func TestCountsUnderQuotaReachTheKernelLater(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 3)
	testkit.Must(t, l.inc(alice))
	testkit.Must(t, l.inc(alice))
	testkit.Must(t, l.inc(bob))
	testkit.Must(t, l.dec(bob)) // come and gone: never written
	if len(kernel.entries) != 0 {
		t.Errorf("written at once: %v", kernel.counts())
	}
	l.flush()
	if diff := cmp.Diff(map[string]uint32{"192.0.2.10": 2}, kernel.counts()); diff != "" {
		t.Errorf("kernel's map after the delay (-want +got):\n%s", diff)
	}
	testkit.Must(t, l.dec(alice))
	testkit.Must(t, l.dec(alice))
	l.flush()
	if len(kernel.entries)+len(l.clients)+len(l.late) != 0 {
		t.Errorf("left: kernel %v, clients %v, late %v", kernel.counts(), l.clients, l.late)
	}
}

func TestCountsThatChangeAVerdictReachTheKernelAtOnce(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 3)
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
		testkit.Must(t, step.do(alice))
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
	l := newPortLedger(kernel, 2)
	testkit.Must(t, l.inc(alice))
	l.flush()
	if err := l.inc(alice); !errors.Is(err, ErrFull) {
		t.Errorf("at the quota: error %v, want ErrFull", err)
	}
	testkit.Must(t, l.dec(alice))
	testkit.Must(t, l.dec(alice))
	testkit.Must(t, l.close())
}

func TestAFreedPlaceGoesToAClientAtItsQuota(t *testing.T) {
	kernel := newFakeMap(1)
	l := newPortLedger(kernel, 2)
	testkit.Must(t, l.inc(alice))
	testkit.Must(t, l.inc(alice)) // holds the only place
	testkit.Must(t, l.inc(carol))
	l.flush() // carol is under quota and found the map full
	testkit.Must(t, l.inc(bob))
	if err := l.inc(bob); !errors.Is(err, ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	testkit.Must(t, l.dec(alice))
	testkit.Must(t, l.dec(alice))
	l.flush()
	if diff := cmp.Diff(map[string]uint32{bob.String(): 2}, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
}

func TestAClientDoesNotStayBlockedByAWriteThatFailed(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 1)
	testkit.Must(t, l.inc(alice))
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
	l := newPortLedger(kernel, 2)
	testkit.Must(t, l.inc(alice))
	kernel.broken = unix.EIO
	l.flush()
	if err := l.close(); !errors.Is(err, unix.EIO) {
		t.Errorf("close: error %v, want EIO", err)
	}
}

func TestManyLateCountsAreWrittenTogether(t *testing.T) {
	const clients = 3 * flushChunk
	kernel := newFakeMap(clients - 10)
	l := newPortLedger(kernel, 2)
	addr := netip.MustParseAddr("10.0.0.0")
	for range clients {
		addr = addr.Next()
		testkit.Must(t, l.inc(addr))
	}
	l.flush()
	if len(kernel.entries) != clients-10 || len(l.late) != 0 {
		t.Errorf("%d written and %d late, want a full map and none", len(kernel.entries), len(l.late))
	}
	if kernel.puts > 3+flushChunk { // one by one in the chunk that found the map full
		t.Errorf("%d writes for %d clients", kernel.puts, clients)
	}
	testkit.Must(t, l.close())
}

func TestCountsThatCouldNotBeWrittenWaitForTheNextFlush(t *testing.T) {
	kernel := newFakeMap(8)
	l := newPortLedger(kernel, 2)
	testkit.Must(t, errors.Join(l.inc(alice), l.inc(bob)))
	kernel.broken = unix.EIO
	l.flush()
	kernel.broken = nil
	l.flush()
	if diff := cmp.Diff(map[string]uint32{alice.String(): 1, bob.String(): 1}, kernel.counts()); diff != "" {
		t.Errorf("kernel's map (-want +got):\n%s", diff)
	}
}
