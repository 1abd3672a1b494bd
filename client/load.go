package client

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// load runs the schedule of one client and keeps its records.
type load struct {
	o       Options
	request func(context.Context) record.Request

	mu       sync.Mutex
	started  int
	done     []record.Request // in the order in which they ended
	ok       int
	inFlight int
	peak     int
	held     int
}

func newLoad(o Options, request func(context.Context) record.Request) *load {
	if o.Mode == Sequential {
		o.MaxInFlight = 1
	} else if o.MaxInFlight == 0 {
		o.MaxInFlight = max(o.Requests, int(math.Ceil(o.Rate*o.Duration.Seconds())))
	}
	return &load{o: o, request: request, done: make([]record.Request, 0, min(o.Requests, 1<<20))}
}

// timerLateness is how late a timer may be without delaying all further requests of a paced client:
// with each a little late, the last of them would be too late to start.
const timerLateness = 10 * time.Millisecond

// run sends the whole load, and returns when all requests have ended.
func (l *load) run(ctx context.Context) {
	if l.o.Mode == Sequential {
		l.runSequential(ctx)
	} else {
		l.runParallel(ctx)
	}
}

func (l *load) runSequential(ctx context.Context) {
	next := int64(l.o.Delay)
	for i := 0; l.o.more(i, next) && l.waitUntil(ctx, next); i++ {
		from := next
		if now := l.o.Clock.Now(); now > next+int64(timerLateness) { // the last request took longer
			from = now
		}
		if !l.one(ctx, false) {
			return
		}
		if next = from + int64(l.o.Pace); l.o.Rate > 0 {
			next = l.o.scheduledNS(i + 1)
		}
	}
}

func (l *load) runParallel(ctx context.Context) {
	slots := make(chan struct{}, l.o.MaxInFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := 0; l.o.more(i, l.o.scheduledNS(i)); i++ {
		if !l.waitUntil(ctx, l.o.scheduledNS(i)) {
			return
		}
		held, ok := l.acquire(ctx, slots)
		if !ok {
			return
		}
		wg.Go(func() {
			l.one(ctx, held)
			<-slots
		})
	}
}

// waitUntil waits for a time relative to the epoch. It returns false if ctx ended.
func (l *load) waitUntil(ctx context.Context, ns int64) bool {
	wait := l.o.Clock.Until(ns)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// acquire takes a slot. held reports whether none was free at first.
func (l *load) acquire(ctx context.Context, slots chan struct{}) (held, ok bool) {
	select {
	case slots <- struct{}{}:
		return false, true
	default:
	}
	select {
	case slots <- struct{}{}:
		return true, true
	case <-ctx.Done():
		return true, false
	}
}

// one sends the next request of the schedule, unless it is too late for it, and reports whether it
// did.
func (l *load) one(ctx context.Context, held bool) bool {
	seq, startNS, ok := l.begin(held)
	if !ok {
		return false
	}
	r := l.request(ctx)
	r.Seq, r.StartNS, r.ScheduledNS = seq, startNS, startNS
	if l.o.Rate > 0 {
		r.ScheduledNS = l.o.scheduledNS(seq)
	}
	l.end(r)
	return true
}

func (l *load) begin(held bool) (seq int, startNS int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, startNS = l.started, l.o.Clock.Now()
	if !l.o.more(seq, startNS) {
		return seq, startNS, false
	}
	if held {
		l.held++
	}
	l.started++
	l.inFlight++
	l.peak = max(l.peak, l.inFlight)
	return seq, startNS, true
}

func (l *load) end(r record.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.done = append(l.done, r)
	if r.Outcome == record.OK {
		l.ok++
	}
}

func (l *load) progress() *record.Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &record.Progress{AtNS: l.o.Clock.Now(), Started: l.started, Done: len(l.done), OK: l.ok}
}

// lines returns the records of the whole load, in the order of the schedule.
func (l *load) lines() []record.Line {
	slices.SortFunc(l.done, func(a, b record.Request) int { return a.Seq - b.Seq })
	lines := make([]record.Line, 0, len(l.done)+2)
	lines = append(lines, record.Line{Progress: l.progress()})
	for i := range l.done {
		lines = append(lines, record.Line{Request: &l.done[i]})
	}
	total := record.Client{Requests: len(l.done), PeakInFlight: l.peak, Held: l.held}
	return append(lines, record.Line{Client: &total})
}
