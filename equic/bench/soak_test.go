package bench

import (
	"context"
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

var soakFor = flag.Duration("soak", 0, "load a gateway for this long (make soak)")

const (
	soakClients  = 4096 // twice the room of the map
	soakQuota    = 3
	soakCounters = 4
	soakSenders  = 2
)

// TestSoak is `make soak`: one gateway under as much load as the machine can make. It
// rests after a tenth of the time and at the end, and its resources must be the same.
// The first part lets everything grow that grows only once, such as Go's maps.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("takes minutes: make soak")
	}
	p := netkit.NewPair(t)
	s := newSoak(t, p)
	s.load(t, *soakFor/10)
	before := s.rest(t)
	s.load(t, *soakFor-*soakFor/10)
	after := s.rest(t)
	t.Logf("at rest before: %+v", before)
	t.Logf("at rest after:  %+v", after)
	before.check(t, after)
	s.checkWork(t)
}

// soak is a gateway with its workers.
type soak struct {
	gateway *gateway
	events  chan equic.Event
	wire    soakWire
	began   time.Time

	sent, received, pairs, shaken, changes, seen atomic.Uint64
}

func newSoak(t *testing.T, p netkit.Pair) *soak {
	t.Helper()
	s := &soak{events: make(chan equic.Event, 1024), began: time.Now()}
	s.gateway = attach(t, equic.Options{
		Ports: onePort, Quota: soakQuota, MaxClients: soakClients / 2,
		InitialsPerSecond: 100, Events: s.events, EventsPerSecond: 10_000,
	})
	s.wire = newSoakWire(t, p)
	return s
}

// load runs the workers for a time, and returns when all have stopped.
func (s *soak) load(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var group sync.WaitGroup
	start := func(work func(context.Context, *testing.T)) {
		group.Go(func() { work(ctx, t) })
	}
	for range soakSenders {
		start(s.send)
	}
	for range soakCounters {
		start(s.count)
	}
	start(s.shake)
	start(s.receive)
	start(s.change)
	start(s.list)
	start(s.read)
	start(s.drain)
	s.report(ctx, t)
	group.Wait()
}

// report prints a line each minute, or four lines in a shorter run.
func (s *soak) report(ctx context.Context, t *testing.T) {
	t.Helper()
	tick := time.NewTicker(min(time.Minute, *soakFor/4))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stats, err := s.gateway.Stats()
		noteError(t, err)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%v: %d packets sent, %d judged, %d dropped, %d received; %d pairs of Inc and Dec; %d changes; %d events, "+
			"%d lost; map full %d times; heap %d KiB, %d goroutines, %d clients",
			time.Since(s.began).Round(time.Second), s.sent.Load(), stats.Seen, stats.Dropped, s.received.Load(),
			s.pairs.Load(), s.changes.Load(), s.seen.Load(), stats.EventsLost, stats.Full,
			m.HeapAlloc>>10, runtime.NumGoroutine(), s.counted())
	}
}

// counted returns the number of clients that have connections.
func (s *soak) counted() (n int) {
	for range s.gateway.Clients() {
		n++
	}
	return n
}

// checkWork asserts that each kind of work was done.
func (s *soak) checkWork(t *testing.T) {
	t.Helper()
	stats, err := s.gateway.Stats()
	testkit.Must(t, err)
	for what, n := range map[string]uint64{
		"packets received":             s.received.Load(),
		"pairs of Inc and Dec":         s.pairs.Load(),
		"changes":                      s.changes.Load(),
		"handshakes":                   s.shaken.Load(),
		"events":                       s.seen.Load(),
		"times that the table is full": stats.Full,
		equic.DropOverQuota:            stats.Packets[equic.DropOverQuota],
		equic.DropRate:                 stats.Packets[equic.DropRate],
		equic.DropDenied:               stats.Packets[equic.DropDenied],
		equic.DropShortInitial:         stats.Packets[equic.DropShortInitial],
		equic.PassAllowed:              stats.Packets[equic.PassAllowed],
		equic.PassEstablished:          stats.Packets[equic.PassEstablished],
		equic.PassNotUDP:               stats.Packets[equic.PassNotUDP],
	} {
		if n == 0 {
			t.Errorf("no %s: the load is not what it should be", what)
		}
	}
}
