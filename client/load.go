package client

import (
	"context"
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
	done     []record.Request // in the order of their ends
	ok       int
	inFlight int
	peak     int
	held     int
}

func newLoad(o Options, request func(context.Context) record.Request) *load {
	if o.Mode == Sequential {
		o.MaxInFlight = 1
	} else if o.MaxInFlight == 0 {
		o.MaxInFlight = o.Requests
	}
	return &load{o: o, request: request, done: make([]record.Request, 0, o.Requests)}
}

// run starts every request no sooner than its schedule says, and returns when
// all have ended.
func (l *load) run(ctx context.Context) {
	slots := make(chan struct{}, l.o.MaxInFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range l.o.Requests {
		if !l.waitUntil(ctx, l.o.scheduledNS(i)) || !l.acquire(ctx, slots) {
			return
		}
		wg.Go(func() {
			l.one(ctx, i)
			<-slots
		})
	}
}

// waitUntil waits for a time relative to the epoch; false means that ctx ended.
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

// acquire takes a slot, and notes if none was free.
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

func (l *load) one(ctx context.Context, seq int) {
	l.mu.Lock()
	l.started++
	l.inFlight++
	l.peak = max(l.peak, l.inFlight)
	l.mu.Unlock()

	startNS := l.o.Clock.Now()
	r := l.request(ctx)
	r.Seq, r.StartNS = seq, startNS
	r.ScheduledNS = startNS
	if l.o.Rate > 0 {
		r.ScheduledNS = l.o.scheduledNS(seq)
	}

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

// lines are the records of the whole load, in the order of the schedule.
func (l *load) lines() []record.Line {
	bySeq := make([]*record.Request, l.o.Requests)
	for i := range l.done {
		bySeq[l.done[i].Seq] = &l.done[i]
	}
	lines := make([]record.Line, 0, len(l.done)+2)
	lines = append(lines, record.Line{Progress: l.progress()})
	for _, r := range bySeq {
		if r != nil {
			lines = append(lines, record.Line{Request: r})
		}
	}
	total := record.Client{Requests: len(l.done), PeakInFlight: l.peak, Held: l.held}
	return append(lines, record.Line{Client: &total})
}
