package equic

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

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
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: 20, Burst: 1})
	frame := datagram(t, stranger, initial())
	p.expect(t, frame, PassUnknownClient, serverPort)
	start := time.Now()
	testkit.Await(t, "the client may open a connection again", func() bool { return p.run(t, frame) == xdpPass })
	if waited := time.Since(start); waited > 5*time.Second {
		t.Errorf("waited %v for a token of 50 ms", waited)
	}
}

// Far more attempts than the rate allows, in a measured time: no more tokens are taken
// than there were.
func TestNoMorePassThanTheRateAndTheBurst(t *testing.T) {
	const perSecond, burst = 200, 10
	p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: perSecond, Burst: burst})
	frame := datagram(t, stranger, initial())
	start := time.Now()
	var passed float64
	for range 5000 {
		if p.run(t, frame) == xdpPass {
			passed++
		}
	}
	took := time.Since(start).Seconds()
	if most := burst + 1 + perSecond*(took+clockTick.Seconds()); passed > most {
		t.Errorf("%v passed in %v s, want %v at most", passed, took, most)
	}
	if passed < burst {
		t.Errorf("%v passed, want the burst of %d at least", passed, burst)
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

// countersOf returns the numbers of a client's two counters of the rate limit, if there are
// as few counters as possible.
func countersOf(key hashKey, addr netip.Addr) [2]uint64 {
	k := byAddress.key(serverPort, addr)
	hash := key.hash(&k)
	first := hash >> 56 % rateWords
	return [...]uint64{first, first ^ (hash>>60%rateWords | 1)}
}

// withCounters returns a client that has these counters.
func withCounters(key hashKey, a, b uint64) netip.Addr {
	addr := netip.MustParseAddr("198.51.0.1")
	for c := countersOf(key, addr); c != [...]uint64{a, b} && c != [...]uint64{b, a}; c = countersOf(key, addr) {
		addr = addr.Next()
	}
	return addr
}

// A client that shares one of its counters with otown over their rate still has the other.
func TestClientsThatShareACounterOfTheRateLimit(t *testing.T) {
	const own, second, third = 0, 1, 2 // of the even counters, and of the odd ones: a client has one of each
	type step struct{ even, odd, packets, pass int }
	for name, steps := range map[string][]step{
		"alone":                      {{own, own, 5, 4}},
		"the first with an attacker": {{own, second, 5, 4}, {own, own, 5, 4}},
		"the other with an attacker": {{second, own, 5, 4}, {own, own, 5, 4}},
		"each with an attacker":      {{own, second, 5, 4}, {second, own, 5, 4}, {own, own, 5, 0}},
		"one with an attacker, the other with two that have tokens left": {
			{second, own, 5, 4}, {own, second, 3, 3}, {own, third, 3, 3}, {own, own, 5, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, Options{Ports: onePort, InitialsPerSecond: slow, Burst: 4, MaxClients: 1})
			for _, s := range steps {
				from := withCounters(p.clients.key, uint64(2*s.even), uint64(2*s.odd+1)).String()
				for n := range s.packets {
					want := PassUnknownClient
					if n >= s.pass {
						want = DropRate
					}
					p.expect(t, datagram(t, from, initial()), want, serverPort)
				}
			}
		})
	}
}
