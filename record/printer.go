package record

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

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

// Print prints lines, and flushes them before it returns.
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

// PrintProgress prints a node's progress once a second until stop is called. It ignores
// errors: if the output is broken, printing the records will fail.
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
