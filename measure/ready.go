package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/equic-bench/equic-bench/record"
)

// Readiness is for a command that prints no records: its output is a log, and the record
// that it can do its work is printed for it.
type Readiness struct {
	Node string // of the record
	// Line is a text: a line of output that contains it means ready. If it is empty, the
	// command is ready when Answers returns nil.
	Line    string
	Answers func(context.Context) error
}

// passLog copies the command's output to its standard error, and prints the record once
// the command is ready. It returns when the output is at its end.
func (c *child) passLog(ctx context.Context, o *Options) error {
	log := io.Discard
	if o.Stderr != nil {
		log = o.Stderr
	}
	lines := newLineWatcher(o.Ready.Line)
	var failed error
	var task sync.WaitGroup
	task.Go(func() {
		if o.Ready.await(ctx, lines.found) == nil {
			ready := record.Line{Ready: &record.Ready{Node: o.Ready.Node, AtNS: o.Clock.Now()}}
			failed = json.NewEncoder(o.Stdout).Encode(ready)
		}
	})
	err := c.passOutput(io.MultiWriter(log, lines))
	task.Wait()
	if failed != nil {
		return fmt.Errorf("print that the command is ready: %w", failed)
	}
	return err
}

// await returns nil when the command is ready, or an error if ctx ends first.
func (r *Readiness) await(ctx context.Context, found <-chan struct{}) error {
	if r.Line == "" {
		return r.Answers(ctx)
	}
	select {
	case <-found:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// longestLine bounds what is kept of a line whose end has not come.
const longestLine = 64 << 10

// lineWatcher looks for a text in the lines that are written to it.
type lineWatcher struct {
	text  []byte
	line  []byte // the current line, not complete yet
	found chan struct{}
}

func newLineWatcher(text string) *lineWatcher {
	return &lineWatcher{text: []byte(text), found: make(chan struct{})}
}

func (w *lineWatcher) Write(b []byte) (int, error) {
	if len(w.text) == 0 {
		return len(b), nil
	}
	w.line = append(w.line, b...)
	if bytes.Contains(w.line, w.text) {
		close(w.found)
		w.text, w.line = nil, nil
		return len(b), nil
	}
	if end := bytes.LastIndexByte(w.line, '\n'); end >= 0 {
		w.line = w.line[end+1:]
	}
	if len(w.line) > longestLine {
		w.line = w.line[:0]
	}
	return len(b), nil
}
