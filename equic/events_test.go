package equic

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// eventTexts waits for n events, and returns them as text.
func eventTexts(t *testing.T, events <-chan Event, n int) []string {
	t.Helper()
	deadline := time.After(10 * time.Second)
	var texts []string
	for range n {
		select {
		case e := <-events:
			texts = append(texts, fmt.Sprintf("%s %s %d", e.Kind, e.Client, e.Port))
			if age := time.Since(e.Time); age < -time.Second || age > time.Minute {
				t.Errorf("%s is said to have happened at %v, which is %v ago", e.Kind, e.Time, age)
			}
		case <-deadline:
			t.Fatalf("waited in vain for %d events, got %q", n, texts)
		}
	}
	return texts
}

// expectEvents expects these events, in order, and no others.
func expectEvents(t *testing.T, events <-chan Event, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, eventTexts(t, events, len(want))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if len(events) != 0 {
		t.Errorf("more events: %v", <-events)
	}
}

func TestEventsTellOfTheFirstDropAndOfTheEndOfDropping(t *testing.T) {
	events := make(chan Event, 16)
	p := newProgram(t, Options{Ports: onePort, Quota: 2, MaxClients: 8, Events: events, IPv4Prefix: 24})
	frame := datagram(t, alice.String(), initial())
	for range 2 {
		testkit.Must(t, p.Inc(serverPort, alice))
	}
	if len(events) != 0 {
		t.Error("an event before a packet was dropped")
	}
	for range 5 {
		p.expect(t, frame, DropOverQuota, serverPort)
	}
	expectEvents(t, events, "blocked 192.0.2.0/24 4433")
	testkit.Must(t, p.Inc(serverPort, alice))
	p.expect(t, frame, DropOverQuota, serverPort) // still blocked: no event
	testkit.Must(t, p.Dec(serverPort, alice))
	p.expect(t, frame, DropOverQuota, serverPort)
	testkit.Must(t, p.Dec(serverPort, alice))
	expectEvents(t, events, "unblocked 192.0.2.0/24 4433")
	testkit.Must(t, p.Inc(serverPort, alice))
	p.expect(t, frame, DropOverQuota, serverPort)
	expectEvents(t, events, "blocked 192.0.2.0/24 4433")
	for range 2 {
		testkit.Must(t, p.Dec(serverPort, alice))
	}
	expectEvents(t, events, "unblocked 192.0.2.0/24 4433")
}

func TestAClientOfWhichNothingWasDroppedIsNoNews(t *testing.T) {
	events := make(chan Event, 16)
	p := newProgram(t, Options{Ports: onePort, Quota: 1, MaxClients: 8, Events: events})
	for _, addr := range []netip.Addr{alice, carol} {
		testkit.Must(t, p.Inc(serverPort, addr))
		testkit.Must(t, p.Dec(serverPort, addr))
	}
	testkit.Must(t, p.Inc(serverPort, bob))
	p.expect(t, datagram(t, bob.String(), initial()), DropOverQuota, serverPort)
	expectEvents(t, events, "blocked 192.0.2.11/32 4433")
}

func TestAChangedQuotaIsToldOfEachTime(t *testing.T) {
	events := make(chan Event, 16)
	p := newProgram(t, Options{Ports: onePort, Quota: 1, MaxClients: 8, Events: events})
	testkit.Must(t, p.Inc(serverPort, carol))
	for range 3 {
		p.expect(t, datagram(t, carol.String(), initial()), DropOverQuota, serverPort)
		expectEvents(t, events, "blocked 2001:db8::/64 4433")
		testkit.Must(t, p.SetQuota(serverPort, 2))
		expectEvents(t, events, "unblocked 2001:db8::/64 4433")
		testkit.Must(t, p.SetQuota(serverPort, 1))
	}
}

func TestEventsTellOfTheRate(t *testing.T) {
	events := make(chan Event, 16)
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 2, Events: events})
	frame := datagram(t, carol.String(), initial())
	for _, reason := range []string{PassUnknownClient, PassUnknownClient, DropRate, DropRate, DropRate} {
		p.expect(t, frame, reason, serverPort)
	}
	expectEvents(t, events, "rate_limited 2001:db8::/64 4433")
	testkit.Must(t, p.SetRate(serverPort, slow, 4))
	p.expect(t, frame, PassUnknownClient, serverPort)
	p.expect(t, frame, PassUnknownClient, serverPort)
	expectEvents(t, events, "rate_lifted 2001:db8::/64 4433")
	p.expect(t, frame, DropRate, serverPort)
	expectEvents(t, events, "rate_limited 2001:db8::/64 4433")
}

// blockMany sends the first packet over quota of this many clients.
func blockMany(t *testing.T, p *program, clients int) {
	t.Helper()
	addr := netip.MustParseAddr("10.0.0.0")
	for range clients {
		addr = addr.Next()
		testkit.Must(t, p.Inc(serverPort, addr))
		p.run(t, datagram(t, addr.String(), initial()))
	}
}

func eventsLost(t *testing.T, p *program) uint64 {
	t.Helper()
	s, err := p.Stats()
	testkit.Must(t, err)
	return s.EventsLost
}

func TestEventsAboveTheirRateAreCountedAsLost(t *testing.T) {
	const clients = 50
	events := make(chan Event, clients)
	p := newProgram(t, Options{Ports: onePort, Quota: 1, Events: events, EventsPerSecond: 1})
	start := time.Now()
	blockMany(t, p, clients)
	most := uint64(2 + time.Since(start)/time.Second) // the first second's, and one for the second in progress
	lost := eventsLost(t, p)
	if lost >= clients || clients-lost > most {
		t.Errorf("%d of %d events were lost, want %d to be sent at most, and one at least", lost, clients, most)
	}
	if got := eventTexts(t, events, int(clients-lost)); got[0] != "blocked 10.0.0.1/32 4433" {
		t.Errorf("the first event is %q", got[0])
	}
}

func TestEventsThatNobodyTakesAreCountedAsLost(t *testing.T) {
	const clients, room = 20, 3
	events := make(chan Event, room)
	p := newProgram(t, Options{Ports: onePort, Quota: 1, Events: events})
	blockMany(t, p, clients)
	testkit.Await(t, "the rest is lost", func() bool { return eventsLost(t, p) == clients-room })
	eventTexts(t, events, room)
}

// It does not even count lost events: the program does not check.
func TestWithoutAReaderNoEventIsMade(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 1})
	blockMany(t, p, 3)
	if lost := eventsLost(t, p); lost != 0 {
		t.Errorf("%d events lost, want none", lost)
	}
}

func TestEventsComeFromAnAttachedGateway(t *testing.T) {
	p := newPair(t)
	events := make(chan Event, 16)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, Events: events})
	f := p.newFlow(t, serverAddress, serverPort)
	client := netip.MustParseAddr(clientAddress)
	testkit.Must(t, g.Inc(serverPort, client))
	f.stalls(t, g, initial(), DropOverQuota)
	expectEvents(t, events, "blocked 192.0.2.2/32 4433")
	testkit.Must(t, g.Dec(serverPort, client))
	expectEvents(t, events, "unblocked 192.0.2.2/32 4433")
	testkit.Must(t, g.SetRate(serverPort, slow, 1))
	f.arrives(t, initial())
	f.stalls(t, g, initial(), DropRate)
	expectEvents(t, events, "rate_limited 192.0.2.2/32 4433")
	testkit.Must(t, g.Close())
	testkit.Must(t, g.Close())
}

func TestSomeDroppedPacketsAreSampled(t *testing.T) {
	for _, monitor := range []bool{false, true} {
		events := make(chan Event, 64)
		p := newProgram(t, Options{
			Ports: onePort, Quota: 1, Events: events, SamplesPerSecond: 2, Denied: prefixList("198.18.1.0/24"), Monitor: monitor,
		})
		p.put(t, serverPort, alice.String(), 1)
		start := time.Now()
		for range 50 {
			p.run(t, datagram(t, "198.18.1.9", initial()))
		}
		most := 2 + int(2*time.Since(start).Seconds()+1)
		p.run(t, datagram(t, alice.String(), initial())) // whose event comes after the samples
		n := 0
		for e := range events {
			if e.Kind == Blocked {
				break
			}
			n++
			if e.Kind != Sampled || e.Client.String() != "198.18.1.9/32" || e.Port != serverPort {
				t.Fatalf("event %+v", e)
			}
			if s := e.Sample; s.Reason != DropDenied || s.Source.Addr() != e.Client.Addr() || s.Source.Port() == 0 ||
				s.Bytes != len(initial()) {
				t.Errorf("sample %+v", s)
			}
			if age := time.Since(e.Time); age < -time.Second || age > time.Minute {
				t.Errorf("it is %v old", age)
			}
		}
		if n < 2 || n > most {
			t.Errorf("%d samples of 50 packets, want 2 to %d", n, most)
		}
		if lost := eventsLost(t, p); lost != 0 {
			t.Errorf("%d events are lost: a sample that is not taken is not", lost)
		}
	}
}

func TestWhatIsNoEventIsNotRead(t *testing.T) {
	good := make([]byte, kernelEventSize)
	if _, ok := parseEvent(good); !ok {
		t.Error("a whole event was not read")
	}
	if _, ok := parseEvent(good[:kernelEventSize-1]); ok {
		t.Error("an event cut short was read")
	}
	if _, ok := parseEvent(with(good, 28, byte(len(kernelKinds)), byte(len(kernelKinds)))); ok {
		t.Error("an event of an unknown kind was read")
	}
}
