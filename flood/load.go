package flood

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

const (
	// tick is how often a flood with a rate sends the frames that are due.
	tick = 5 * time.Millisecond
	// burst is the most frames to send before reading the clock again: a tenth of a
	// second or less.
	burst = 1 << 15
)

// load runs the schedule of one flood and keeps its records.
type load struct {
	o      Options
	sender sender

	sent    atomic.Uint64
	seconds []record.Flood
}

// run sends the whole flood.
func (l *load) run(ctx context.Context) error {
	l.pause(ctx, l.o.Clock.Until(int64(l.o.Delay)))
	for ctx.Err() == nil {
		elapsed := time.Duration(l.o.Clock.Now()) - l.o.Delay
		behind := l.due(elapsed) - int(l.sent.Load())
		switch {
		case l.over(elapsed, behind):
			return nil
		case behind <= 0:
			l.pause(ctx, max(tick, l.at(l.sent.Load()+1)-elapsed))
		default:
			if err := l.send(min(behind, burst)); err != nil {
				return err
			}
		}
	}
	return nil
}

// due returns how many frames must have been sent after this time.
func (l *load) due(elapsed time.Duration) int {
	frames := int(l.sent.Load()) + burst
	if l.o.Rate > 0 {
		if l.o.Duration > 0 {
			elapsed = min(elapsed, l.o.Duration-1) // none is due at the end
		}
		frames = 1 + int(l.o.Rate*elapsed.Seconds())
	}
	if l.o.Frames > 0 {
		frames = min(frames, l.o.Frames)
	}
	return min(frames, mostFrames)
}

// at returns the time at which a frame is due. The first frame is number 1.
func (l *load) at(number uint64) time.Duration {
	if l.o.Rate == 0 {
		return 0
	}
	return time.Duration(math.Ceil(float64(number-1) / l.o.Rate * 1e9))
}

// over reports whether the flood has ended. A flood that was too slow does not continue
// after its time.
func (l *load) over(elapsed time.Duration, behind int) bool {
	if l.o.Duration == 0 {
		return l.sent.Load() >= uint64(l.o.Frames)
	}
	return elapsed >= l.o.Duration && (l.o.Rate == 0 || behind <= 0 || behind > burst)
}

func (l *load) send(n int) error {
	from := l.o.Clock.Now()
	if err := l.sender.Send(n); err != nil {
		return err
	}
	sent, err := l.sender.Sent()
	if err != nil {
		return err
	}
	if len(l.seconds) == 0 || from-l.last().FromNS >= int64(time.Second) {
		l.seconds = append(l.seconds, record.Flood{FromNS: from})
	}
	now := l.last()
	now.ToNS = l.o.Clock.Now()
	now.Frames += sent - l.sent.Load()
	now.Bytes = now.Frames * l.o.frameBytes()
	if l.o.Rate > 0 { // else all are sent as fast as possible
		now.MostAtOnce = max(now.MostAtOnce, n)
	}
	l.sent.Store(sent)
	return nil
}

func (l *load) last() *record.Flood { return &l.seconds[len(l.seconds)-1] }

// pause waits for a time, or the end of ctx.
func (*load) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (l *load) progress() *record.Progress {
	sent := int(l.sent.Load())
	return &record.Progress{AtNS: l.o.Clock.Now(), Started: sent, Done: sent}
}

// lines returns the records of the whole flood.
func (l *load) lines() []record.Line {
	lines := []record.Line{{Progress: l.progress()}}
	for i := range l.seconds {
		lines = append(lines, record.Line{Flood: &l.seconds[i]})
	}
	return append(lines, record.Line{Client: &record.Client{Requests: int(l.sent.Load())}})
}
