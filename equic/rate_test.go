package equic

import (
	"math"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// clockLag is more than the kernel's ticks can be late.
const clockLag = 200 * time.Millisecond

// slow is a rate at which no token comes back during a test: one in 1000 seconds.
const slow = minRate

func TestABurstPassesAndWhatIsAboveItIsDropped(t *testing.T) {
	for _, burst := range []int{1, 2, 7} {
		p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: burst})
		for range burst {
			p.expect(t, datagram(t, stranger, initial()), PassUnknownClient, serverPort)
		}
		for range 3 {
			p.expect(t, datagram(t, stranger, initial()), DropRate, serverPort)
		}
	}
}

func TestARateHoldsForEachClientAlone(t *testing.T) {
	p := newProgram(t, Options{Ports: []Port{{Number: serverPort}, {Number: 443}}, InitialsPerSecond: slow, Burst: 1})
	p.expect(t, datagram(t, over6, initial()), PassUnknownClient, serverPort)
	p.expect(t, datagram(t, over6, initial()), DropRate, serverPort)
	p.expect(t, datagram(t, "2001:db8::2", initial()), DropRate, serverPort) // the same /64
	p.expect(t, datagram(t, "2001:db8:0:1::1", initial()), PassUnknownClient, serverPort)
	p.expect(t, datagram(t, stranger, initial()), PassUnknownClient, serverPort)
	p.expect(t, datagramTo(t, over6, 443, initial()), PassUnknownClient, 443)
}

func TestTokensComeBackWithTime(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: 2, Burst: 1})
	frame := datagram(t, stranger, initial())
	start := time.Now()
	p.expect(t, frame, PassUnknownClient, serverPort)
	taken := time.Now()
	testkit.Await(t, "the client may open a connection again", func() bool { return p.run(t, frame) == xdpPass })
	if waited := time.Since(start); waited < 500*time.Millisecond-clockLag {
		t.Errorf("waited only %v for a token of 500 ms", waited)
	}
	if waited := time.Since(taken); waited > 5*time.Second {
		t.Errorf("waited %v for a token of 500 ms", waited)
	}
}

// Far more attempts than the rate allows, on all CPUs at once. The time of the bucket shows
// how many tokens were taken, by the program's own clock: no more packets passed.
func TestNoMorePassThanTheRateAndTheBurst(t *testing.T) {
	const perSecond, burst = 2000, 50
	const token = uint64(time.Second/perSecond) << 6 // in the units of a bucket
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: perSecond, Burst: burst, MaxClients: 1})
	frame := datagram(t, stranger, initial())
	full := func() uint64 {
		var set gatewayRateSet
		testkit.Must(t, p.objs.Rates.Lookup(uint32(0), &set))
		return slices.Max(set.Buckets[:]) &^ 0xfff
	}
	p.expect(t, frame, PassUnknownClient, serverPort)
	start, since := full()-token, time.Now()
	failed := make(chan error)
	for range runtime.NumCPU() {
		go func() {
			var err error
			for err == nil && time.Since(since) < 300*time.Millisecond {
				_, _, err = p.objs.Program.Benchmark(frame, 300_000, nil)
			}
			failed <- err
		}()
	}
	for range runtime.NumCPU() {
		testkit.Must(t, <-failed)
	}
	s, err := p.Stats()
	testkit.Must(t, err)
	passed, taken := s.Packets[PassUnknownClient], (full()-start)/token
	if passed > taken || passed < burst {
		t.Errorf("%d passed, and %d tokens were taken; want no more, and at least %d", passed, taken, burst)
	}
}

func TestWithoutARateNothingIsLimited(t *testing.T) {
	for name, o := range map[string]Options{
		"by default":    {Ports: onePort},
		"a burst alone": {Ports: onePort, Burst: 1},
		"a port without a rate": {
			Ports: []Port{{Number: serverPort, InitialsPerSecond: -1}}, InitialsPerSecond: slow,
			Burst: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, o)
			for range 100 {
				p.expect(t, datagram(t, stranger, initial()), PassUnknownClient, serverPort)
			}
		})
	}
}

// Each of these is sent between two packets that open a connection, with a burst of
// two. They take no token, and are not dropped for lack of one.
func TestPacketsThatOpenNoConnectionTakeNoToken(t *testing.T) {
	for _, policy := range []Policy{PolicyNew, PolicyClient} {
		for _, c := range payloadCases() {
			early := strings.HasPrefix(c.name, "0-RTT")
			if !early && c.newOnly != PassEstablished && c.newOnly != PassNotQUIC && c.newOnly != DropShortInitial {
				continue
			}
			t.Run(c.name+" under "+string(policy), func(t *testing.T) {
				p := newProgram(t, Options{Ports: onePort, Policy: policy, InitialsPerSecond: slow, Burst: 2, MaxClients: 256})
				want := c.newOnly
				if early || policy == PolicyClient && want != DropShortInitial {
					want = PassUnknownClient
				}
				for _, reason := range []string{PassUnknownClient, PassUnknownClient, DropRate} {
					p.expect(t, datagram(t, stranger, c.payload), want, serverPort)
					p.expect(t, datagram(t, stranger, initial()), reason, serverPort)
				}
				p.expect(t, datagram(t, stranger, c.payload), want, serverPort)
			})
		}
	}
}

func TestEveryPacketThatOpensAConnectionTakesAToken(t *testing.T) {
	for name, payload := range map[string][]byte{
		"an Initial":                initial(),
		"an Initial of version 2":   long(quicV2, 1, 1200),
		"the answer to a Retry":     toServerID(quicV1, 0, 4, 8, 20, 1200),
		"any of an unknown version": long(unknownVersion, 2, 40),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 1})
			p.expect(t, datagram(t, stranger, payload), PassUnknownClient, serverPort)
			p.expect(t, datagram(t, stranger, payload), DropRate, serverPort)
		})
	}
}

func TestAClientOverItsQuotaTakesNoToken(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, Quota: 1, InitialsPerSecond: slow, Burst: 1, HoldDown: -1})
	testkit.Must(t, p.Inc(serverPort, alice))
	for range 3 {
		p.expect(t, datagram(t, alice.String(), initial()), DropOverQuota, serverPort)
	}
	testkit.Must(t, p.Dec(serverPort, alice))
	p.expect(t, datagram(t, alice.String(), initial()), PassUnderQuota, serverPort)
	p.expect(t, datagram(t, alice.String(), initial()), DropRate, serverPort)
}

func TestAnAllowedClientHasNoRate(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 1, Allowed: prefixList(stranger + "/32")})
	for range 5 {
		p.expect(t, datagram(t, stranger, initial()), PassAllowed, serverPort)
	}
}

func TestARateChangesWhileTheProgramIsLoaded(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort})
	send := func(reason string) {
		t.Helper()
		p.expect(t, datagram(t, stranger, initial()), reason, serverPort)
	}
	send(PassUnknownClient)
	testkit.Must(t, p.SetRate(serverPort, slow, 2))
	send(PassUnknownClient)
	send(PassUnknownClient)
	send(DropRate)
	testkit.Must(t, p.SetRate(serverPort, slow, 3))
	send(PassUnknownClient)
	send(DropRate)
	testkit.Must(t, p.SetRate(serverPort, 0, 0))
	send(PassUnknownClient)
}

// strangers returns clients of a port that are distinguished in the rate limit, and from
// another one, if all use one set.
func strangers(p *program, port uint16, n int, other uint64) []string {
	var list []string
	seen := map[uint64]bool{other: true}
	for addr := netip.MustParseAddr("198.51.0.1"); len(list) < n; addr = addr.Next() {
		if tag := tagOfRate(p, port, addr); !seen[tag] {
			seen[tag] = true
			list = append(list, addr.String())
		}
	}
	return list
}

func tagOfRate(p *program, port uint16, addr netip.Addr) uint64 {
	k := byAddress.key(port, addr)
	return p.clients.key.hash(&k) & rateTag
}

const noTag = rateTag + 1

// A set has four buckets. As long as they are in use, a fifth client shares one.
func TestClientsOverTheirRateTakeNoTokensOfOthers(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 3, MaxClients: 1})
	all := strangers(p, serverPort, 5, noTag)
	for _, addr := range all[:4] {
		for _, reason := range []string{PassUnknownClient, PassUnknownClient, PassUnknownClient, DropRate, DropRate} {
			p.expect(t, datagram(t, addr, initial()), reason, serverPort)
		}
	}
	p.expect(t, datagram(t, all[4], initial()), DropRate, serverPort)
}

// A client that shares takes no more than the tokens of one bucket.
func TestAClientWithoutABucketSharesOne(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 3, MaxClients: 1})
	all := strangers(p, serverPort, 5, noTag)
	for _, addr := range all[:4] {
		p.expect(t, datagram(t, addr, initial()), PassUnknownClient, serverPort)
	}
	for _, reason := range []string{PassUnknownClient, PassUnknownClient, DropRate} {
		p.expect(t, datagram(t, all[4], initial()), reason, serverPort)
	}
	left := 0
	for _, addr := range all[:4] {
		for p.run(t, datagram(t, addr, initial())) == xdpPass {
			left++
		}
	}
	if left != 6 { // three of them had two left
		t.Errorf("the others had %d tokens left, want 6", left)
	}
}

// A client gives its bucket to others once its tokens have come back.
func TestABucketThatIsFullAgainIsFree(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 2, MaxClients: 1})
	all := strangers(p, serverPort, 8, noTag)
	for _, addr := range all[:4] {
		p.expect(t, datagram(t, addr, initial()), PassUnknownClient, serverPort)
	}
	var set gatewayRateSet
	testkit.Must(t, p.objs.Rates.Lookup(uint32(0), &set))
	for i := range set.Buckets {
		set.Buckets[i] -= uint64(time.Hour) << 6 // all of them came back long ago
	}
	testkit.Must(t, p.objs.Rates.Put(uint32(0), &set))
	for _, addr := range all[4:] {
		for _, reason := range []string{PassUnknownClient, PassUnknownClient, DropRate} {
			p.expect(t, datagram(t, addr, initial()), reason, serverPort)
		}
	}
}

// A bucket that was emptied further than a new burst allows is not full.
func TestALowerBurstRefillsNoBucket(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 10})
	frame := datagram(t, stranger, initial())
	for range 10 {
		p.expect(t, frame, PassUnknownClient, serverPort)
	}
	for _, burst := range []int{10, 4, 1} {
		p.expect(t, frame, DropRate, serverPort)
		testkit.Must(t, p.SetRate(serverPort, slow, burst))
		p.expect(t, frame, DropRate, serverPort)
	}
}

// After a higher rate is set, no client waits for tokens of the old one, with or without a
// bucket of its own.
func TestAHigherRateLetsAllInSoon(t *testing.T) {
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 1, MaxClients: 1})
	all := strangers(p, serverPort, 5, noTag)
	for _, addr := range all[:4] {
		p.expect(t, datagram(t, addr, initial()), PassUnknownClient, serverPort)
	}
	p.expect(t, datagram(t, all[4], initial()), DropRate, serverPort)
	testkit.Must(t, p.SetRate(serverPort, 20, 1))
	slices.Reverse(all)
	for _, addr := range all {
		frame := datagram(t, addr, initial())
		testkit.Await(t, "a token", func() bool { return p.run(t, frame) == xdpPass })
	}
}

// A client without a bucket does not refill that of another: not with the rate of the
// options, with one that is set later, or with one that a successor takes over.
func TestAClientThatSharesABucketDoesNotRefillIt(t *testing.T) {
	newPair(t)
	o := Options{Interfaces: []string{serverIface}, Ports: onePort, MaxClients: 1, Pin: newBPFFolder(t)}
	first := mustAttach(t, o)
	testkit.Must(t, first.SetRate(serverPort, slow, 2))
	mustLeave(t, first)
	p := &program{Gateway: mustAttach(t, o)}
	all := strangers(p, serverPort, 9, noTag)
	for _, addr := range all[:4] {
		for _, verdict := range []uint32{xdpPass, xdpPass, xdpDrop} {
			if got := p.run(t, datagram(t, addr, initial())); got != verdict {
				t.Errorf("verdict %d on %s, want %d", got, addr, verdict)
			}
		}
	}
	for range 3 {
		for _, addr := range all {
			if p.run(t, datagram(t, addr, initial())) != xdpDrop {
				t.Errorf("a packet of %s passed", addr)
			}
		}
	}
}

// All of a burst passes at once, whether or not the rate is a round number.
func TestAllOfABurstPasses(t *testing.T) {
	for _, rate := range []float64{3, 7, 15, 60, 2000} {
		for _, burst := range []int{2, 4, 15, 60} {
			if float64(burst) < rate*clockTick.Seconds() {
				continue
			}
			p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: rate, Burst: burst, MaxClients: 1})
			_, _, err := p.objs.Program.Benchmark(datagram(t, stranger, initial()), 1000, nil)
			testkit.Must(t, err)
			s, err := p.Stats()
			testkit.Must(t, err)
			if got := s.Packets[PassUnknownClient]; got < uint64(burst) {
				t.Errorf("%d packets passed at %v per second, want a burst of %d", got, rate, burst)
			}
		}
	}
}

// Ports may have different limits, and their clients share sets.
func TestPortsDoNotRefillTheBucketsOfEachOther(t *testing.T) {
	p := newProgram(t, Options{
		Ports: []Port{
			{Number: serverPort, InitialsPerSecond: slow, Burst: 5}, {Number: 443, InitialsPerSecond: maxRate},
		},
		MaxClients: 1,
	})
	frame := datagram(t, stranger, initial())
	for range 5 {
		p.expect(t, frame, PassUnknownClient, serverPort)
	}
	own := tagOfRate(p, serverPort, netip.MustParseAddr(stranger))
	for _, addr := range strangers(p, 443, 50, own) {
		p.run(t, datagramTo(t, addr, 443, initial()))
	}
	p.expect(t, frame, DropRate, serverPort)
}

// A bucket may not have been used for years, or never, and the program's times wrap around.
func TestABucketWithAnImpossibleTimeIsFull(t *testing.T) {
	const (
		hour     = int64(time.Hour) << 6 // in the units of a bucket
		year     = 365 * 24 * hour
		interval = uint64(1000*time.Second) << 6
	)
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 2, MaxClients: 1})
	frame := datagram(t, stranger, initial())
	p.run(t, frame)
	var set gatewayRateSet
	testkit.Must(t, p.objs.Rates.Lookup(uint32(0), &set))
	now := slices.Max(set.Buckets[:])&^0xfff - interval
	tag := tagOfRate(p, serverPort, netip.MustParseAddr(stranger))
	for name, offset := range map[string]int64{
		"an hour ago": -hour, "a year ago": -year, "4 years ago": -4 * year, "half of all times away": math.MinInt64,
		"in 4 years": 4 * year, "in 200 hours": 200 * hour,
	} {
		t.Run(name, func(t *testing.T) {
			for i := range set.Buckets {
				set.Buckets[i] = (now+uint64(offset))&^0xfff | tag
			}
			testkit.Must(t, p.objs.Rates.Put(uint32(0), &set))
			for _, reason := range []string{PassUnknownClient, PassUnknownClient, DropRate} {
				p.expect(t, frame, reason, serverPort)
			}
		})
	}
}
