package results

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"
)

// The environment that each node is given. Without an epoch a node takes its
// own start, which is what a person wants who starts one by hand.
const (
	EnvNode  = "EQUIC_NODE"  // the node's name
	EnvEpoch = "EQUIC_EPOCH" // the trial's epoch, in Unix nanoseconds
)

// Clock gives times relative to a trial's epoch. It reads the wall clock once,
// then counts by the monotonic clock: a step of the wall clock during a trial
// moves nothing.
type Clock struct {
	start  time.Time
	origin int64 // of start, relative to the epoch
}

// NewClock reads the epoch from the environment (EnvEpoch).
func NewClock(getenv func(string) string) (*Clock, error) {
	c := &Clock{start: time.Now()}
	text := getenv(EnvEpoch)
	if text == "" {
		return c, nil
	}
	epoch, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: want Unix nanoseconds: %w", EnvEpoch, text, err)
	}
	c.origin = c.start.UnixNano() - epoch
	return c, nil
}

// Now is the time since the epoch, in nanoseconds.
func (c *Clock) Now() int64 { return c.At(time.Now()) }

// At is a reading of time.Now, since the epoch, in nanoseconds.
func (c *Clock) At(t time.Time) int64 { return c.origin + int64(t.Sub(c.start)) }

// Until is how long it is until ns after the epoch; negative if that is past.
func (c *Clock) Until(ns int64) time.Duration { return time.Duration(ns - c.Now()) }

// Printer prints records as JSON lines. It is safe for concurrent use.
type Printer struct {
	mu  sync.Mutex
	buf *bufio.Writer
	enc *json.Encoder
}

// NewPrinter prints to w.
func NewPrinter(w io.Writer) *Printer {
	buf := bufio.NewWriterSize(w, 64<<10)
	return &Printer{buf: buf, enc: json.NewEncoder(buf)}
}

// Print prints lines and sees that they are out before it returns.
func (p *Printer) Print(lines ...Line) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range lines {
		if err := p.enc.Encode(&lines[i]); err != nil {
			return fmt.Errorf("print record: %w", err)
		}
	}
	if err := p.buf.Flush(); err != nil {
		return fmt.Errorf("print record: %w", err)
	}
	return nil
}

// PrintProgress prints a node's progress once a second until stop is called. A
// lost line is no loss: an output that is gone shows when the records are
// printed.
func (p *Printer) PrintProgress(progress func() *Progress) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				_ = p.Print(Line{Progress: progress()})
			}
		}
	})
	return func() { close(quit); wg.Wait() }
}
