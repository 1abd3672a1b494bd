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
	return &load{o: o, request: request, done: make([]record.Request, 0, o.Requests)}
}

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
		start := l.one(ctx)
		if next = start + int64(l.o.Pace); l.o.Rate > 0 {
			next = l.o.scheduledNS(i + 1)
		}
	}
}

func (l *load) runParallel(ctx context.Context) {
	slots := make(chan struct{}, l.o.MaxInFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := 0; l.o.more(i, l.o.scheduledNS(i)); i++ {
		if !l.waitUntil(ctx, l.o.scheduledNS(i)) || !l.acquire(ctx, slots) {
			return
		}
		wg.Go(func() {
			l.one(ctx)
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

// acquire takes a slot. It counts the cases in which none was free.
func (l *load) acquire(ctx context.Context, slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
	}
	l.mu.Lock()
	l.held++
	l.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// one sends the next request of the schedule, unless it is too late for it. It returns
// the start.
func (l *load) one(ctx context.Context) (startNS int64) {
	seq, startNS, ok := l.begin()
	if !ok {
		return startNS
	}
	r := l.request(ctx)
	r.Seq, r.StartNS, r.ScheduledNS = seq, startNS, startNS
	if l.o.Rate > 0 {
		r.ScheduledNS = l.o.scheduledNS(seq)
	}
	l.end(r)
	return startNS
}

func (l *load) begin() (seq int, startNS int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, startNS = l.started, l.o.Clock.Now()
	if !l.o.more(seq, startNS) {
		return seq, startNS, false
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
