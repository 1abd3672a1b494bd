package equic

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// byAddress treats every address as a client.
var byAddress = newPrefixes(32, 128)

var (
	alice = netip.MustParseAddr("192.0.2.10")
	bob   = netip.MustParseAddr("192.0.2.11")
	carol = netip.MustParseAddr("2001:db8::c")
)

// portTable is a table of one port, without a kernel.
type portTable struct {
	*table
	letIn []netip.Prefix
}

// newAdmission returns a portTable that admits handshakes, as under PolicyNew.
func newAdmission(quota uint32, clients int) *portTable {
	t := newPortTable(quota, clients)
	t.limits[1].admission = true
	return t
}

func newPortTable(quota uint32, clients int) *portTable {
	t := &portTable{table: newTable(make([]group, groupsFor(clients)), clients, byAddress, newHashKey())}
	t.addLimit(serverPort, 1, quota, false)
	t.table.letIn = func(k clientKey) { t.letIn = append(t.letIn, byAddress.prefix(k)) }
	return t
}

func (t *portTable) turnedAway() uint64 { return t.table.turnedAway()[1] }

func (t *portTable) inc(addr netip.Addr) error { return t.table.inc(serverPort, addr) }

func (t *portTable) tryInc(addr netip.Addr) (bool, error) { return t.table.tryInc(serverPort, addr) }

func (t *portTable) dec(addr netip.Addr) error { return t.table.dec(serverPort, addr) }

func (t *portTable) count(addr netip.Addr) int { return t.table.count(serverPort, addr) }

// slotOf returns the slot in which the kernel finds a client, by its own arithmetic, or
// nil.
func (t *table) slotOf(port uint16, addr netip.Addr) *slot {
	key := t.prefixes.key(port, addr)
	hash := t.key.hash(&key)
	group := &t.groups[int(hash>>16)&(len(t.groups)-1)]
	line := int(hash & 15)
	for range 2 {
		found := false
		for i := range 4 {
			if byte(group.tags[line].Load()>>(8*i)) != byte(max(1, hash>>56)) {
				continue
			}
			if s := &group.slots[line*4+i]; s.hash.Load() == hash {
				return s
			}
			found = true
		}
		if found { // it does not look into the other line
			return nil
		}
		line ^= int(hash>>4&15 | 1)
	}
	return nil
}

// drop does what the program does when it drops the first packet of a client.
func (t *portTable) drop(addr netip.Addr) {
	s := t.slotOf(serverPort, addr)
	s.state.Store(s.state.Load() | 1<<droppedShift)
}

// kernelCounts returns the counts that the kernel finds for some clients.
func (t *portTable) kernelCounts(clients ...netip.Addr) map[string]uint32 {
	counts := make(map[string]uint32)
	for _, addr := range clients {
		if s := t.slotOf(serverPort, addr); s != nil {
			counts[addr.String()] = uint32(s.state.Load())
		}
	}
	return counts
}

// used returns the number of slots that are taken.
func (t *table) used() int {
	n := 0
	t.each(func(int, *entry, *slot) { n++ })
	return n
}

func TestTheKernelFindsWhatWasCounted(t *testing.T) {
	table := newPortTable(1, 8)
	for _, addr := range []netip.Addr{alice, alice, bob, carol, alice} {
		testkit.Must(t, table.inc(addr))
	}
	testkit.Must(t, errors.Join(table.dec(alice), table.dec(bob)))
	want := map[string]uint32{alice.String(): 2, carol.String(): 1}
	if diff := cmp.Diff(want, table.kernelCounts(alice, bob, carol)); diff != "" {
		t.Errorf("in the kernel (-want +got):\n%s", diff)
	}
	if got := table.count(alice); got != 2 {
		t.Errorf("count %d, want 2", got)
	}
	if n := table.used(); n != 2 {
		t.Errorf("%d clients kept, want 2: a client at zero is forgotten", n)
	}
}

func TestAllFormsOfAnAddressAreTheSameClient(t *testing.T) {
	table := newPortTable(1, 8)
	nat64 := netip.MustParseAddr("64:ff9b::192.0.2.10")
	for _, addr := range []netip.Addr{alice, netip.AddrFrom16(alice.As16()), nat64, carol.WithZone("eth0")} {
		testkit.Must(t, table.inc(addr))
	}
	want := map[string]uint32{alice.String(): 3, carol.String(): 1}
	if diff := cmp.Diff(want, table.kernelCounts(alice, carol)); diff != "" {
		t.Errorf("in the kernel (-want +got):\n%s", diff)
	}
}

func TestDecBelowZeroIsAnErrorAndChangesNothing(t *testing.T) {
	table := newPortTable(1, 8)
	if err := table.dec(alice); err == nil {
		t.Error("a client that was never counted was released")
	}
	testkit.Must(t, errors.Join(table.inc(alice), table.dec(alice)))
	if err := table.dec(alice); err == nil {
		t.Error("a client was released twice")
	}
	if err := table.dec(netip.Addr{}); err == nil {
		t.Error("the zero address was released")
	}
	if err := table.inc(netip.Addr{}); err == nil {
		t.Error("the zero address was counted")
	}
	if n := table.used(); n != 0 {
		t.Errorf("%d clients, want none", n)
	}
}

func TestAFullTableCountsNoOtherClient(t *testing.T) {
	table := newPortTable(1, 1)
	testkit.Must(t, table.inc(alice))
	if err := table.inc(bob); !errors.Is(err, ErrFull) {
		t.Errorf("inc: error %v, want ErrFull", err)
	}
	if admitted, err := table.tryInc(bob); admitted || !errors.Is(err, ErrFull) {
		t.Errorf("tryInc: %v, %v; want ErrFull", admitted, err)
	}
	if _, err := table.table.begin(serverPort, netip.AddrPortFrom(bob, 1), true, false); !errors.Is(err, ErrFull) {
		t.Errorf("begin: error %v, want ErrFull", err)
	}
	testkit.Must(t, table.inc(alice)) // a client with a slot still counts
	if got := table.count(bob); got != 0 || table.full.Load() != 3 {
		t.Errorf("count %d and %d times full, want 0 and 3", got, table.full.Load())
	}
	testkit.Must(t, errors.Join(table.dec(alice), table.dec(alice), table.inc(bob)))
}

// There are twice as many slots as clients, and two lines for each client. So few clients find
// both full, and no other that could move: fewer than one in 100,000.
func TestATableTakesAsManyClientsAsItIsMadeFor(t *testing.T) {
	for _, clients := range []int{1, 100, 1 << 10} {
		table := newPortTable(1, clients)
		addr, failed := netip.MustParseAddr("10.0.0.0"), 0
		for range clients {
			addr = addr.Next()
			if err := table.inc(addr); err != nil {
				failed++
			}
		}
		if failed > 1 {
			t.Errorf("%d of %d clients found no place", failed, clients)
		}
	}
}

func TestAClosedTableChangesNothing(t *testing.T) {
	table := newPortTable(1, 8)
	testkit.Must(t, table.inc(alice))
	h, err := table.table.begin(serverPort, netip.AddrPortFrom(bob, 1), true, false)
	testkit.Must(t, err)
	table.close()
	_, tryErr := table.tryInc(alice)
	_, beginErr := table.table.begin(serverPort, netip.AddrPortFrom(alice, 1), true, false)
	for call, err := range map[string]error{
		"inc": table.inc(alice), "dec": table.dec(alice), "tryInc": tryErr, "begin": beginErr,
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: error %v, want ErrClosed", call, err)
		}
	}
	h.Hello()
	if admitted, err := h.Complete(); admitted || !errors.Is(err, ErrClosed) {
		t.Errorf("complete: %v, %v; want ErrClosed", admitted, err)
	}
	h.Close()
}

func TestNoCountIsLostAmongGoroutines(t *testing.T) {
	table := newPortTable(1, 8)
	want := hammer(t, table.inc, table.dec)
	if diff := cmp.Diff(want, table.kernelCounts(alice, bob)); diff != "" {
		t.Errorf("in the kernel (-want +got):\n%s", diff)
	}
}

func TestNoCountIsLostAmongClientsThatComeAndGo(t *testing.T) {
	table := newPortTable(2, 1<<10)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			addr := netip.AddrFrom4([4]byte{10, byte(worker)})
			for range 20_000 {
				addr = addr.Next()
				if err := errors.Join(table.inc(addr), table.dec(addr)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := table.used(); n != 0 || table.room.Load() != 1<<10 {
		t.Errorf("%d clients and room for %d, want none and all", n, table.room.Load())
	}
}

func TestClientsAreToldApartByTheirPrefixAndPort(t *testing.T) {
	table := newTable(make([]group, groupsFor(8)), 8, newPrefixes(24, 64), newHashKey())
	table.addLimit(443, 1, 2, true)
	table.addLimit(8443, 2, 9, true)
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
		testkit.Must(t, table.inc(c.port, netip.MustParseAddr(c.addr)))
	}
	got := make(map[string]int)
	for _, c := range table.counted() {
		got[fmt.Sprintf("%v %d blocked=%v", c.Prefix, c.Port, c.Blocked)] = c.Connections
	}
	want := map[string]int{
		"192.0.2.0/24 443 blocked=true": 2, "192.0.2.0/24 8443 blocked=false": 1, "192.0.3.0/24 443 blocked=false": 1,
		"2001:db8::/64 443 blocked=true": 2, "2001:db8:0:1::/64 443 blocked=false": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	if err := table.inc(53, alice); !errors.Is(err, ErrPort) {
		t.Errorf("a port that is not protected: error %v, want ErrPort", err)
	}
}

func TestAClientOfWhichPacketsWereDroppedIsSaidToBeLetIn(t *testing.T) {
	table := newPortTable(2, 8)
	for range 3 {
		testkit.Must(t, errors.Join(table.inc(alice), table.inc(bob)))
	}
	table.drop(alice)
	testkit.Must(t, table.inc(alice)) // a count at the quota keeps the program's note
	for range 2 {
		testkit.Must(t, errors.Join(table.dec(alice), table.dec(bob)))
	}
	if len(table.letIn) != 0 {
		t.Errorf("let in at its quota: %v", table.letIn)
	}
	testkit.Must(t, table.dec(alice))
	if got := fmt.Sprint(table.letIn); got != "[192.0.2.10/32]" {
		t.Errorf("let in %s, want alice", got)
	}
	table.letIn = nil
	table.drop(alice)
	testkit.Must(t, table.setQuota(serverPort, 9, func() error { return nil }))
	testkit.Must(t, table.setQuota(serverPort, 10, func() error { return nil }))
	if got := fmt.Sprint(table.letIn); got != "[192.0.2.10/32]" {
		t.Errorf("let in by a higher quota %s, want alice once", got)
	}
}

func TestAQuotaThatCannotBeToldIsNotInForce(t *testing.T) {
	table := newPortTable(2, 8)
	broken := errors.New("broken")
	if err := table.setQuota(serverPort, 1, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	testkit.Must(t, table.inc(alice))
	if admitted, err := table.tryInc(alice); !admitted {
		t.Errorf("a quota of 2 does not admit the second: %v", err)
	}
	if err := table.setQuota(serverPort+1, 3, nil); !errors.Is(err, ErrPort) {
		t.Errorf("error %v, want ErrPort", err)
	}
}

// A client that opens short connections as fast as it can must not get a new one each
// time one of them ends.
func TestAnEndedConnectionOfAClientThatWasTurnedAwayIsHeldDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newAdmission(2, 8)
		defer table.close()
		testkit.Must(t, errors.Join(table.inc(alice), table.inc(alice), table.inc(bob), table.inc(bob)))
		table.drop(alice)
		testkit.Must(t, errors.Join(table.dec(alice), table.dec(bob)))
		want := map[string]uint32{alice.String(): 2, bob.String(): 1}
		if diff := cmp.Diff(want, table.kernelCounts(alice, bob)); diff != "" {
			t.Errorf("at once (-want +got):\n%s", diff)
		}
		if admitted, _ := table.tryInc(alice); admitted {
			t.Error("admitted while it is held down")
		}
		time.Sleep(DefaultHoldDown / 2)
		testkit.Must(t, table.dec(alice))
		time.Sleep(DefaultHoldDown/2 + time.Millisecond)
		if diff := cmp.Diff(map[string]uint32{alice.String(): 1}, table.kernelCounts(alice)); diff != "" {
			t.Errorf("after the first (-want +got):\n%s", diff)
		}
		time.Sleep(DefaultHoldDown / 2)
		if diff := cmp.Diff(map[string]uint32{alice.String(): 0}, table.kernelCounts(alice)); diff != "" {
			t.Errorf("after both (-want +got):\n%s", diff)
		}
		time.Sleep(3 * provenFor)
		if n := table.used(); n != 1 {
			t.Errorf("%d clients are left, want bob alone", n)
		}
	})
}

func TestNoMoreThanTheQuotaGetInAtOnce(t *testing.T) {
	const quota, callers = 5, 64
	table := newPortTable(quota, 8)
	var mu sync.Mutex
	admitted := 0
	change := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		if admitted += by; admitted > quota {
			t.Errorf("%d admitted at once, quota %d", admitted, quota)
		}
	}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range 100 {
				if ok, _ := table.tryInc(alice); ok {
					change(1)
					change(-1)
					if err := table.dec(alice); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if got := table.count(alice); got != 0 {
		t.Errorf("count %d after the last release, want 0", got)
	}
}

func TestHashesOfClientsDiffer(t *testing.T) {
	key := newHashKey()
	seen := make(map[uint64]clientKey)
	addr := netip.MustParseAddr("10.0.0.0")
	for range 1 << 12 {
		for _, k := range []clientKey{
			byAddress.key(443, addr), byAddress.key(444, addr), {Prefix: addr.As16(), Port: 44300},
		} {
			if other, there := seen[key.hash(&k)]; there && other != k {
				t.Fatalf("%v and %v have the same hash", k, other)
			}
			seen[key.hash(&k)] = k
		}
		addr = addr.Next()
	}
	var ones [64]int
	for hash := range maps.Keys(seen) {
		for bit := range ones {
			ones[bit] += int(hash >> bit & 1)
		}
	}
	if ones[15] != len(seen) {
		t.Errorf("%d of %d hashes have the bit that makes them different from zero", ones[15], len(seen))
	}
	ones[15] = ones[0]
	n := len(seen) // each other bit is set in half of the hashes, within 6 standard deviations
	if low, high := slices.Min(ones[:]), slices.Max(ones[:]); low < n/2-3*110 || high > n/2+3*110 {
		t.Errorf("bits are one in %d to %d of %d hashes", low, high, n)
	}
	if newHashKey() == key {
		t.Error("two keys are the same")
	}
}

// hammer counts two clients up and down from many goroutines, and returns the counts
// that must be left.
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
