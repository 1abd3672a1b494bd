package equic

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestMonitorModeJudgesEveryPacketAndDropsNone(t *testing.T) {
	for _, mode := range []Mode{Native, TC, Netfilter} {
		t.Run(string(mode), func(t *testing.T) {
			p := newProgram(t, Options{
				Ports: onePort, Quota: 3, Policy: PolicyClient, MaxClients: 8, Mode: mode, Monitor: true,
			})
			p.fillClients(t)
			cases := slices.Concat(ipv4Cases(t), ipv6Cases(t))
			if mode != Native {
				cases = seenBehindTheDriver(cases)
			} else {
				cases = append(cases, vlanCases(t)...)
			}
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { p.expectMonitored(t, c.packet, c.reason) })
			}
		})
	}
}

// expectMonitored gives the program a packet in monitor mode. It must pass, and be
// counted by the reason for which it would have passed or been dropped.
func (p *program) expectMonitored(t *testing.T, packet []byte, reason string) {
	t.Helper()
	before, err := p.Stats()
	testkit.Must(t, err)
	if verdict := p.run(t, packet); verdict != xdpPass {
		t.Errorf("verdict %d, want that it passes", verdict)
	}
	got, err := p.Stats()
	testkit.Must(t, err)
	want := before
	want.Counts = monitored(before.Counts, reason)
	if of, ok := before.Ports[serverPort]; ok && slices.Index(reasons[:], reason) >= firstOfPort {
		want.Ports = map[uint16]Counts{serverPort: monitored(of, reason)}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// monitored returns a copy of counts with one more packet, which passed.
func monitored(c Counts, reason string) Counts {
	c.Packets, c.WouldDrop = maps.Clone(c.Packets), maps.Clone(c.WouldDrop)
	if strings.HasPrefix(reason, "drop_") {
		c.WouldDrop[reason]++
	} else {
		c.Packets[reason]++
	}
	c.Seen++
	c.Passed++
	return c
}

func TestMonitorModeIsTurnedOnAndOffAtEveryHook(t *testing.T) {
	for _, mode := range append(modesOfInterfaces(), Socket) {
		t.Run(string(mode), func(t *testing.T) {
			p := newPair(t)
			f := p.newFlow(t, serverAddress, serverPort)
			g := mustAttach(t, Options{
				Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Mode: mode, Sockets: []syscall.Conn{f.server}, Monitor: true,
			})
			testkit.Must(t, g.Inc(serverPort, addressOf(f)))
			f.arrives(t, initial())
			testkit.Must(t, g.SetMonitor(false))
			f.stalls(t, g, initial(), DropOverQuota)
			testkit.Must(t, g.SetMonitor(true))
			f.arrives(t, initial())
			s, err := g.Stats()
			testkit.Must(t, err)
			if s.WouldDrop[DropOverQuota] != 2 || s.Ports[serverPort].WouldDrop[DropOverQuota] != 2 || s.Dropped != 1 || !g.Monitor() {
				t.Errorf("stats %+v, want one packet dropped and two that would have been", s)
			}
			if n := g.TurnedAway()[serverPort]; n != 1 {
				t.Errorf("%d clients turned away, want 1", n)
			}
		})
	}
}

func TestMonitorModeAdmitsEveryClient(t *testing.T) {
	table := newAdmission(1, 8)
	defer table.close()
	table.halfOpen = HalfOpenLimits{Total: 1, PerClient: 1}
	table.monitoring.Store(true)
	from := netip.AddrPortFrom(bob, 50000)
	testkit.Must(t, table.inc(alice))
	if admitted, err := table.tryInc(alice); !admitted || err != nil {
		t.Errorf("tryInc: %v, %v; want admitted", admitted, err)
	}
	for range 3 {
		if table.mustValidate(bob) {
			t.Error("asked for a Retry")
		}
		_, err := table.table.begin(serverPort, from, false, false)
		testkit.Must(t, err)
		h, err := table.table.begin(serverPort, from, true, false)
		testkit.Must(t, err)
		h.Hello()
		if !completes(t, h) {
			t.Error("a handshake was refused in the end")
		}
	}
	if a, b := table.count(alice), table.count(bob); a != 2 || b != 3 {
		t.Errorf("counted %d and %d, want 2 and 3", a, b)
	}
	if n := table.turnedAway(); n != 2 {
		t.Errorf("%d clients would have been turned away, want 2", n)
	}
	table.monitoring.Store(false)
	if admitted, _ := table.tryInc(alice); admitted {
		t.Error("admitted over quota when monitor mode was over")
	}
	if _, err := table.table.begin(serverPort, from, true, false); !errors.Is(err, ErrOverQuota) {
		t.Errorf("begin: error %v, want ErrOverQuota", err)
	}
	if !table.mustValidate(carol) {
		t.Error("no Retry, with too many handshakes in progress")
	}
}

func TestAFloodInMonitorModeDoesNotFillTheTable(t *testing.T) {
	table := newAdmission(5, 8)
	defer table.close()
	table.halfOpen = HalfOpenLimits{Total: 2, PerClient: 2}
	table.monitoring.Store(true)
	c := counts{clients: table.table}
	begin := func(i byte) Handshake {
		t.Helper()
		h, err := c.begin(serverPort, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, i}), 50000), false, false)
		testkit.Must(t, err)
		return h
	}
	var last Handshake
	for i := range byte(100) {
		last = begin(i)
	}
	if got := table.halfOpenNow(); got.Unvalidated != 2 {
		t.Errorf("half open %+v, want 2", got)
	}
	last.Hello()
	for range 2 {
		if addr := netip.MustParseAddr("203.0.113.99"); !completes(t, last) || table.count(addr) != 1 {
			t.Errorf("the last has %d connections, want 1", table.count(addr))
		}
	}
	last.Close()
	last.Close()
	begin(7).Cancel()
	if n := len(table.counted()); n != 0 {
		t.Errorf("%d clients at the end", n)
	}
}

func TestAClientIsTurnedAwayOnceUntilItIsBelowItsQuota(t *testing.T) {
	table := newPortTable(1, 8)
	expect := func(want uint64, when string) {
		t.Helper()
		if got := table.turnedAway(); got != want {
			t.Errorf("%s: %d times turned away, want %d", when, got, want)
		}
	}
	refuse := func(addr netip.Addr) {
		t.Helper()
		if admitted, err := table.tryInc(addr); admitted || err != nil {
			t.Errorf("%v, %v; want refused", admitted, err)
		}
	}
	testkit.Must(t, errors.Join(table.inc(alice), table.inc(bob), table.inc(carol)))
	expect(0, "all at their quota")
	table.drop(alice)
	refuse(alice)
	refuse(alice)
	expect(1, "a packet and two connections of one")
	refuse(bob)
	expect(2, "a connection of another")
	testkit.Must(t, errors.Join(table.dec(alice), table.dec(bob), table.dec(carol)))
	expect(2, "all are let in")
	testkit.Must(t, table.inc(alice))
	expect(2, "one is at its quota again")
	table.drop(alice)
	expect(3, "and dropped again")
	testkit.Must(t, table.setQuota(serverPort, 5, func() error { return nil }))
	expect(3, "the quota is raised")
	testkit.Must(t, table.setQuota(serverPort, 1, func() error { return nil }))
	expect(3, "and lowered")
	refuse(alice)
	expect(4, "one is turned away again")
}

func TestTheTimesTurnedAwayNeverDecrease(t *testing.T) {
	table := newPortTable(1, 8)
	const rounds = 20_000
	var working sync.WaitGroup
	working.Go(func() {
		for range rounds {
			if err := table.inc(alice); err != nil {
				t.Error(err)
			}
			table.drop(alice)
			if err := table.dec(alice); err != nil {
				t.Error(err)
			}
		}
	})
	for last := uint64(0); last < rounds; {
		n := table.turnedAway()
		if n < last {
			t.Errorf("%d times turned away after %d", n, last)
			break
		}
		last = n
	}
	working.Wait()
	testkit.Must(t, table.inc(bob))
	table.drop(bob)
	for _, when := range []string{"at the end", "after the table is closed"} {
		if n := table.turnedAway(); n != rounds+1 {
			t.Errorf("%s: %d times turned away, want %d", when, n, rounds+1)
		}
		table.close()
	}
}

// Of two clients that were turned away, a higher quota lets in the first. At that moment
// the second ends its connection.
func TestATimeTurnedAwayIsCountedWhileTheQuotaIsSet(t *testing.T) {
	table := newPortTable(1, 8)
	first, second := inTwoStripes(table.table)
	for _, client := range []netip.Addr{first, second} {
		testkit.Must(t, table.inc(client))
		table.drop(client)
	}
	table.table.letIn = func(k clientKey) {
		if k == byAddress.key(serverPort, first) {
			testkit.Must(t, table.dec(second))
		}
	}
	for _, quota := range []uint32{2, 1} {
		testkit.Must(t, table.setQuota(serverPort, quota, func() error { return nil }))
		if n := table.turnedAway(); n != 2 {
			t.Errorf("%d times turned away, want 2", n)
		}
	}
}

// inTwoStripes returns two clients whose stripes differ. The method each visits the
// first one's before it locks the second one's.
func inTwoStripes(t *table) (first, second netip.Addr) {
	where := map[*stripe]netip.Addr{}
	for addr := alice; len(where) < len(t.stripes); addr = addr.Next() {
		var p place
		t.locate(&p, t.prefixes.key(serverPort, addr))
		where[p.stripe] = addr
	}
	return where[&t.stripes[0]], where[&t.stripes[1]]
}

func TestMonitorModeOfAClosedGatewayIsAnError(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Monitor: true})
	if cost, err := g.MeasureDrop(t.Context()); err != nil || cost.DropNS == 0 {
		t.Errorf("cost of a drop %+v, %v", cost, err)
	}
	testkit.Must(t, g.Close())
	wantError(t, g.SetMonitor(false), ErrClosed, "set monitor mode")
}
