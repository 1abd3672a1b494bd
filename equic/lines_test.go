package equic

import (
	"errors"
	"math/bits"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// Where clients have their slots (lines.go).

// A predecessor may have been killed at any moment, also between the writes of a slot and of
// its tag.
func TestAnHeirMendsTags(t *testing.T) {
	before := newPortTable(5, 8)
	testkit.Must(t, before.inc(alice))
	whole := before.slotOf(serverPort, alice)
	for line := range len(before.entries) / lineSlots {
		before.tags(line).Store(^before.tags(line).Load() & 0xff) // none where there is a client, and one where there is none
	}
	if before.slotOf(serverPort, alice) != nil {
		t.Fatal("the tag is still there")
	}
	heir := newHeir(t, before, 5)
	if got := heir.slotOf(serverPort, alice); got != whole {
		t.Errorf("alice has slot %p, want %p", got, whole)
	}
	if n := heir.tagsInUse(); n != 1 {
		t.Errorf("%d tags, want 1", n)
	}
}

// tagsInUse returns the number of slots that have a tag.
func (t *table) tagsInUse() (n int) {
	for line := range len(t.entries) / lineSlots {
		n += lineSlots - bits.OnesCount32(t.tagged(line, 0))
	}
	return n
}

// newHeir returns a table that takes over the memory of another one, with room for 8 clients.
func newHeir(t *testing.T, before *portTable, quota uint32) *portTable {
	t.Helper()
	heir := &portTable{table: newTable(before.groups, 8, byAddress, before.key)}
	heir.addLimit(serverPort, 1, quota, false)
	heir.inherit(time.Hour)
	t.Cleanup(heir.close)
	return heir
}

// moveAway moves a client to its other line.
func (t *portTable) moveAway(tb testing.TB, addr netip.Addr) {
	tb.Helper()
	var p place
	testkit.Must(tb, t.lock(&p, serverPort, addr))
	defer p.mu.Unlock()
	lines := t.linesOf(p.hash)
	t.move(p.index, t.makeRoom(p.hash, lines[0]^lines[1]^p.index/lineSlots, 0))
}

// A predecessor may have been killed while it moved a client, which then has two slots.
func TestAnHeirOfAClientWithTwoSlotsKeepsOne(t *testing.T) {
	before := newPortTable(5, 8)
	testkit.Must(t, errors.Join(before.inc(alice), before.inc(alice)))
	var p place
	testkit.Must(t, before.lock(&p, serverPort, alice))
	p.mu.Unlock()
	for _, line := range before.linesOf(p.hash) {
		before.fill(line*lineSlots+1, p.hash, 2, entry{})
	}
	heir := newHeir(t, before, 5)
	if diff := cmp.Diff(map[string]uint32{alice.String(): 2}, heir.kernelCounts(alice)); diff != "" {
		t.Errorf("in the kernel (-want +got):\n%s", diff)
	}
	if n := heir.used(); n != 1 || heir.room.Load() != 7 || heir.tagsInUse() != 1 {
		t.Errorf("%d slots and %d tags are used, and there is room for %d; want 1, 1 and 7",
			n, heir.tagsInUse(), heir.room.Load())
	}
}

// Clients come and go at a full table, and are moved. The program finds each of them in the first
// line that has its tag.
func TestTheProgramFindsEveryClientOfAFullTable(t *testing.T) {
	table := newPortTable(9, DefaultMaxClients)
	address := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }
	slots, full := make(map[netip.Addr]*slot), 0
	come := func(n int) {
		switch err := errors.Join(table.inc(address(n)), table.inc(address(n))); {
		case err == nil:
			slots[address(n)] = table.slotOf(serverPort, address(n))
		case errors.Is(err, ErrFull):
			full++
		default:
			t.Fatal(err)
		}
	}
	for n := range 3 * DefaultMaxClients {
		if leaves := address(n - DefaultMaxClients); slots[leaves] != nil {
			testkit.Must(t, errors.Join(table.dec(leaves), table.dec(leaves)))
			delete(slots, leaves)
		}
		come(n)
	}
	if full > 20 { // one is expected, at most
		t.Errorf("%d times a client found no slot", full)
	}
	moved, first := 0, 0
	for addr, before := range slots {
		now := table.slotOf(serverPort, addr)
		if now == nil || uint32(now.state.Load()) != 2 || table.count(addr) != 2 {
			t.Fatalf("the kernel finds slot %v of %v, and user space counts %d; want 2 in both", now, addr, table.count(addr))
		}
		if now != before {
			moved++
		}
		var p place
		table.locate(&p, byAddress.key(serverPort, addr))
		if table.find(p.hash)/lineSlots == table.linesOf(p.hash)[0] {
			first++
		}
	}
	t.Logf("of %d clients %d are in their first line, %d were moved, and %d found no slot", len(slots), first, moved, full)
	if first < len(slots)*85/100 { // 88 % are
		t.Error("too few clients are in the line in which the program expects them")
	}
	if moved == 0 {
		t.Error("no client was moved")
	}
	for addr := range slots {
		testkit.Must(t, errors.Join(table.dec(addr), table.dec(addr)))
	}
	if used, tags := table.used(), table.tagsInUse(); used != 0 || tags != 0 {
		t.Errorf("at the end %d slots and %d tags are used", used, tags)
	}
}

// In a single group that is nearly full, clients move all the time.
func TestAGroupFindsItsClientsWhateverComesAndGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := &portTable{table: newTable(make([]group, 1), groupSlots, byAddress, newHashKey())}
		table.addLimit(serverPort, 1, 5, false)
		want := make(map[netip.Addr]int)
		addresses := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "host")})
		})
		come := func(t *rapid.T) {
			for _, addr := range rapid.SliceOfN(addresses, 1, 20).Draw(t, "come") {
				if err := table.inc(addr); err == nil {
					want[addr]++
				} else if !errors.Is(err, ErrFull) || want[addr] > 0 {
					t.Fatal(err)
				}
			}
		}
		leave := func(t *rapid.T) {
			for _, addr := range rapid.SliceOfN(addresses, 1, 20).Draw(t, "leave") {
				for ; want[addr] > 0; want[addr]-- {
					if err := table.dec(addr); err != nil {
						t.Fatal(err)
					}
				}
				delete(want, addr)
			}
		}
		check := func(t *rapid.T) {
			for addr, n := range want {
				if s := table.slotOf(serverPort, addr); s == nil || int(uint32(s.state.Load())) != n || table.count(addr) != n {
					t.Fatalf("%v: the kernel finds slot %v, user space counts %d; want %d", addr, s, table.count(addr), n)
				}
			}
			if used, room := table.used(), int(table.room.Load()); used != len(want) || used+room != groupSlots {
				t.Fatalf("%d slots are used and there is room for %d, with %d clients", used, room, len(want))
			}
			if n := table.tagsInUse(); n != len(want) {
				t.Fatalf("%d tags are used, with %d clients", n, len(want))
			}
		}
		t.Repeat(map[string]func(*rapid.T){"come": come, "more come": come, "leave": leave, "": check})
	})
}

// A client may be moved while it has connections, handshakes and connections that are held down.
func TestAClientThatIsMovedKeepsItsHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newAdmission(3, 8)
		defer table.close()
		begin := func(port uint16) *handshake {
			h, err := table.table.begin(serverPort, netip.AddrPortFrom(alice, port), true, false)
			testkit.Must(t, err)
			return h
		}
		open, fails, stays := begin(1), begin(2), begin(3)
		table.moveAway(t, alice)
		if admitted, err := open.Complete(); !admitted || err != nil {
			t.Errorf("complete: %v, %v", admitted, err)
		}
		fails.Close()
		table.moveAway(t, alice)
		stays.Hello()
		if diff := cmp.Diff(map[string]uint32{alice.String(): 3}, table.kernelCounts(alice)); diff != "" {
			t.Errorf("a connection, one that is held down, and a handshake (-want +got):\n%s", diff)
		}
		table.moveAway(t, alice)
		time.Sleep(DefaultHoldDown + time.Millisecond)
		stays.Cancel()
		table.moveAway(t, alice)
		open.Close()
		time.Sleep(3 * provenFor)
		if n := table.used(); n != 0 {
			t.Errorf("%d slots are used at the end, want none", n)
		}
	})
}
