package equic

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

var samePrefix = cmpopts.EquateComparable(netip.Prefix{})

func TestAFeedIsReplacedAndWhatWasAddedStays(t *testing.T) {
	p := newProgram(t, Options{
		Ports: onePort, Denied: prefixList("192.0.2.1/32", "192.0.2.2/32"), DeniedFeed: prefixList("192.0.2.2/32", "192.0.2.3/32"),
	})
	denied := p.Denied()
	for _, step := range []struct {
		name string
		do   func() error
		want []netip.Prefix
	}{
		{"as attached", func() error { return nil }, prefixList("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32")},
		{
			"another feed", func() error { return denied.SetFeed(prefixList("192.0.2.3/32", "192.0.2.4/32", "192.0.2.4/32")) },
			prefixList("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32"),
		},
		{
			"one that is also added is removed", func() error {
				return errors.Join(denied.Add(netip.MustParsePrefix("192.0.2.4/32")), denied.Remove(netip.MustParsePrefix("192.0.2.4/32")))
			},
			prefixList("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32"),
		},
		{
			"one that was added and is in no feed is removed",
			func() error { return denied.Remove(netip.MustParsePrefix("192.0.2.2/32")) },
			prefixList("192.0.2.1/32", "192.0.2.3/32", "192.0.2.4/32"),
		},
		{"an empty feed", func() error { return denied.SetFeed(nil) }, prefixList("192.0.2.1/32")},
		{"nothing", func() error { return denied.Remove(netip.MustParsePrefix("192.0.2.1/32")) }, nil},
		{"a feed alone", func() error { return denied.SetFeed(prefixList("192.0.2.4/32")) }, prefixList("192.0.2.4/32")},
	} {
		testkit.Must(t, step.do())
		t.Run(step.name, func(t *testing.T) {
			if diff := cmp.Diff(step.want, denied.Prefixes(), samePrefix, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("on the list (-want +got):\n%s", diff)
			}
			for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
				want := PassUnknownClient
				if slices.Contains(step.want, netip.MustParsePrefix(client+"/32")) {
					want = DropDenied
				}
				p.expect(t, datagram(t, client, initial()), want, serverPort)
			}
		})
	}
	if got := denied.FeedSize(); got != 1 {
		t.Errorf("the feed has %d prefixes, want 1", got)
	}
}

func TestAFeedOfAllIPv4LeavesIPv6Alone(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, DeniedFeed: prefixList("0.0.0.0/0", "::/0")})
	p.expect(t, datagram(t, stranger, initial()), DropDenied, serverPort)
	testkit.Must(t, p.Denied().SetFeed(prefixList("::/0")))
	p.expect(t, datagram(t, stranger, initial()), PassUnknownClient, serverPort)
	p.expect(t, datagram(t, over6, initial()), DropDenied, serverPort)
}

func TestAPrefixOfTheFeedIsNotRemovedAlone(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, DeniedFeed: prefixList("192.0.2.0/24")})
	err := p.Denied().Remove(netip.MustParsePrefix("192.0.2.0/24"))
	wantError(t, err, err, "comes from the feed")
	p.expect(t, datagram(t, "192.0.2.1", initial()), DropDenied, serverPort)
}

func TestAListThatIsFullSaysSoAndStaysAsItWas(t *testing.T) {
	p := newProgram(t, Options{
		Ports: onePort, MaxPrefixes: 3, Denied: prefixList("192.0.2.1/32"), DeniedFeed: prefixList("192.0.2.1/32", "192.0.2.2/32"),
	})
	before := p.Denied().Prefixes()
	err := p.Denied().SetFeed(prefixList("192.0.2.3/32", "192.0.2.4/32")) // four with those that leave
	wantError(t, err, ErrListFull, "it would have 4 prefixes, and MaxPrefixes is 3")
	testkit.Must(t, p.Denied().SetFeed(prefixList("192.0.2.2/32", "192.0.2.3/32")))
	wantError(t, p.Denied().Add(netip.MustParsePrefix("192.0.2.4/32")), ErrListFull, "list 192.0.2.4/32")
	testkit.Must(t, p.Denied().Add(netip.MustParsePrefix("192.0.2.3/32"))) // it needs no room
	testkit.Must(t, p.Denied().SetFeed(prefixList("192.0.2.1/32", "192.0.2.2/32")))
	testkit.Must(t, p.Denied().Remove(netip.MustParsePrefix("192.0.2.3/32")))
	if diff := cmp.Diff(before, p.Denied().Prefixes(), samePrefix); diff != "" {
		t.Errorf("denied (-before +after):\n%s", diff)
	}
}

// The kernel's map is made too small, so that the kernel itself refuses a batch.
func TestAFeedThatTheKernelRefusesChangesNothing(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, MaxPrefixes: 3, DeniedFeed: prefixList("192.0.2.1/32")})
	p.denied.room = 100
	if err := p.Denied().SetFeed(prefixList("192.0.2.3/32", "192.0.2.4/32", "192.0.2.5/32")); err == nil {
		t.Error("no error")
	}
	for client, want := range map[string]string{
		"192.0.2.1": DropDenied, "192.0.2.3": PassUnknownClient, "192.0.2.4": PassUnknownClient, "192.0.2.5": PassUnknownClient,
	} {
		p.expect(t, datagram(t, client, initial()), want, serverPort)
	}
	testkit.Must(t, p.Denied().SetFeed(prefixList("192.0.2.4/32", "192.0.2.5/32")))
}

// While two feeds replace each other, packets of an address that both contain come as
// fast as possible. The prefix that contains it differs.
func TestNoPacketPassesWhileAFeedIsReplaced(t *testing.T) {
	feeds := [][]netip.Prefix{manyPrefixes(2000), manyPrefixes(2000)}
	feeds[0] = append(feeds[0][:1500], prefixList("198.51.100.0/24", "2001:db8::/32")...)
	feeds[1] = append(feeds[1][500:], prefixList("198.51.100.0/25", "2001:db8::/64", "198.51.0.0/16")...)
	p := newProgram(t, Options{Ports: onePort, DeniedFeed: feeds[0]})
	frames := [][]byte{datagram(t, stranger, initial()), datagram(t, over6, initial())}
	var replacing sync.WaitGroup
	replaced := make(chan struct{})
	replacing.Go(func() {
		defer close(replaced)
		for i := range 40 {
			if err := p.Denied().SetFeed(feeds[(i+1)%2]); err != nil {
				t.Error(err)
			}
		}
	})
	defer replacing.Wait()
	for packets := 0; ; packets += len(frames) {
		for _, frame := range frames {
			if p.run(t, frame) != xdpDrop {
				t.Fatalf("packet %d passed", packets)
			}
		}
		select {
		case <-replaced:
			t.Logf("%d packets", packets)
			return
		default:
		}
	}
}

func TestABanEndsByItself(t *testing.T) {
	testkit.NeedRoot(t)
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(t, Options{Ports: onePort})
		denied, start := p.Denied(), time.Now()
		long, short := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		kept, listed := netip.MustParsePrefix("192.0.2.3/32"), netip.MustParsePrefix("192.0.2.4/32")
		testkit.Must(t, denied.SetFeed([]netip.Prefix{listed}))
		testkit.Must(t, denied.Add(kept))
		testkit.Must(t, denied.AddFor(long, time.Hour))
		for _, prefix := range []netip.Prefix{short, kept, listed} {
			testkit.Must(t, denied.AddFor(prefix, time.Minute))
		}
		want := []Listing{
			{long, start.Add(time.Hour)},
			{short, start.Add(time.Minute)},
			{kept, time.Time{}},
			{listed, start.Add(time.Minute)},
		}
		if diff := cmp.Diff(want, denied.Added(), samePrefix); diff != "" {
			t.Errorf("added (-want +got):\n%s", diff)
		}
		expect := func(reasons ...string) {
			t.Helper()
			for i, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
				p.expect(t, datagram(t, client, initial()), reasons[i], serverPort)
			}
		}
		time.Sleep(time.Minute - time.Nanosecond)
		expect(DropDenied, DropDenied, DropDenied, DropDenied)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		expect(DropDenied, PassUnknownClient, DropDenied, DropDenied)
		testkit.Must(t, denied.AddFor(long, time.Second)) // instead of the rest of the hour
		time.Sleep(time.Second)
		synctest.Wait()
		expect(PassUnknownClient, PassUnknownClient, DropDenied, DropDenied)
		if diff := cmp.Diff([]Listing{{kept, time.Time{}}}, denied.Added(), samePrefix); diff != "" {
			t.Errorf("added in the end (-want +got):\n%s", diff)
		}
	})
}

func TestABanIsEndedOrMadePermanentByHand(t *testing.T) {
	testkit.NeedRoot(t)
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(t, Options{Ports: onePort})
		denied := p.Denied()
		ended, forever := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		testkit.Must(t, errors.Join(denied.AddFor(ended, time.Minute), denied.AddFor(forever, time.Minute)))
		testkit.Must(t, errors.Join(denied.Remove(ended), denied.Add(forever)))
		p.expect(t, datagram(t, "192.0.2.1", initial()), PassUnknownClient, serverPort)
		time.Sleep(time.Hour)
		synctest.Wait()
		p.expect(t, datagram(t, "192.0.2.2", initial()), DropDenied, serverPort)
		if err := denied.Remove(ended); err == nil {
			t.Error("removed twice")
		}
	})
}

func TestAListKeepsTryingToEndABan(t *testing.T) {
	testkit.NeedRoot(t)
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(t, Options{Ports: onePort})
		denied, prefix := p.Denied(), netip.MustParsePrefix("192.0.2.1/32")
		testkit.Must(t, denied.AddFor(prefix, time.Minute))
		denied.mu.Lock()
		changed, attempts := denied.changed, 0
		denied.changed = func(empty bool) error {
			if empty {
				attempts++
			}
			if empty && attempts <= 2 {
				return errors.New("not now")
			}
			return changed(empty)
		}
		denied.mu.Unlock()
		time.Sleep(time.Minute + 3*expiryRetry)
		synctest.Wait()
		if got := denied.Prefixes(); len(got) != 0 || attempts != 3 {
			t.Errorf("%v is on the list after %d attempts", got, attempts)
		}
		p.expect(t, datagram(t, "192.0.2.1", initial()), PassUnknownClient, serverPort)
	})
}

func TestATimeThatIsNoneIsAnError(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort})
	for _, d := range []time.Duration{0, -time.Second} {
		if err := p.Denied().AddFor(netip.MustParsePrefix("192.0.2.1/32"), d); err == nil {
			t.Errorf("%v: no error", d)
		}
	}
	err := p.Denied().SetFeed([]netip.Prefix{{}})
	wantError(t, err, err, "is not valid")
}

func TestAClosedListChangesNoMore(t *testing.T) {
	newPair(t)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, DeniedFeed: prefixList("192.0.2.9/32")})
	prefix := netip.MustParsePrefix("192.0.2.1/32")
	testkit.Must(t, g.Denied().AddFor(prefix, time.Hour))
	testkit.Must(t, g.Close())
	for call, err := range map[string]error{
		"Add": g.Denied().Add(prefix), "AddFor": g.Denied().AddFor(prefix, time.Hour), "Remove": g.Denied().Remove(prefix),
		"SetFeed": g.Denied().SetFeed(nil),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: error %v, want ErrClosed", call, err)
		}
	}
}

// manyPrefixes returns n prefixes, of lengths and in places as in real block lists.
func manyPrefixes(n int) []netip.Prefix {
	list := make([]netip.Prefix, n)
	for i := range list {
		high, low := byte(i>>8), byte(i)
		switch i % 4 {
		case 0:
			list[i] = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb9, byte(i >> 16), high, low}), 56)
		case 1:
			list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10 + byte(i>>16), high, low}), 24)
		default:
			list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{100 + byte(i>>16), high, low, byte(i % 251)}), 32)
		}
	}
	return list
}

const manyInFeed = 100_000

// BenchmarkFirstFeed puts a feed on an empty list.
func BenchmarkFirstFeed(b *testing.B) {
	p, feed := newProgram(b, Options{Ports: onePort}), manyPrefixes(manyInFeed)
	for b.Loop() {
		testkit.Must(b, p.Denied().SetFeed(feed))
		b.StopTimer()
		testkit.Must(b, p.Denied().SetFeed(nil))
		b.StartTimer()
	}
	reportPrefixes(b)
}

// BenchmarkNextFeed replaces a feed by one that differs in a tenth of its prefixes.
func BenchmarkNextFeed(b *testing.B) {
	all := manyPrefixes(manyInFeed * 11 / 10)
	feeds := [][]netip.Prefix{all[:manyInFeed], all[manyInFeed/10:]}
	p, i := newProgram(b, Options{Ports: onePort, DeniedFeed: feeds[0]}), 0
	for b.Loop() {
		i++
		testkit.Must(b, p.Denied().SetFeed(feeds[i%2]))
	}
	reportPrefixes(b)
}

func reportPrefixes(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/manyInFeed, "ns/prefix")
}
