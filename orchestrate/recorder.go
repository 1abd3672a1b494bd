package orchestrate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// recorder receives the standard output of one node. It writes complete records to the
// node's file, and keeps what the trial needs while the node runs.
//
// After the first fault it discards the rest: the file contains only records.
type recorder struct {
	limits limits
	notify func() // called after each record that changes the state

	mu      sync.Mutex
	file    *os.File
	out     *bufio.Writer
	partial []byte // a line whose end has not arrived yet
	state   recorded
}

// recorded is what a recorder has seen so far.
type recorded struct {
	lines    int
	bytes    int64
	readies  int
	ready    record.Ready
	readyAt  time.Time // when it arrived here
	progress record.Progress
	client   *record.Client
	fault    string // why the output is not a list of records; empty if it is
	err      error  // the file's first; later output is not written
}

func newRecorder(f *os.File, l limits, notify func()) *recorder {
	return &recorder{limits: l, notify: notify, file: f, out: bufio.NewWriter(f)}
}

// Write accepts output in pieces of any size. It never fails: a node must not block or
// die because its output cannot be recorded.
func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for rest := p; len(rest) > 0 && r.state.fault == "" && r.state.err == nil; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		rest = after
		if len(r.partial)+len(line) > r.limits.lineBytes {
			r.fail("a line is longer than %d bytes", r.limits.lineBytes)
			break
		}
		r.partial = append(r.partial, line...)
		if whole {
			r.take(r.partial)
			r.partial = r.partial[:0]
		}
	}
	return len(p), nil
}

// take handles one line.
func (r *recorder) take(line []byte) {
	record := new(record.Line)
	if err := json.Unmarshal(line, record); err != nil || keys(record) != 1 {
		r.fail("line %d is not a record: %s", r.state.lines+1, quote(line))
		return
	}
	size := int64(len(line)) + 1
	if r.state.lines == r.limits.lines || r.state.bytes+size > r.limits.bytes {
		r.fail("more than %d lines or %d bytes", r.limits.lines, r.limits.bytes)
		return
	}
	r.state.lines++ // lines of the file, for its verification
	r.state.bytes += size
	r.note(record)
	if _, r.state.err = r.out.Write(line); r.state.err == nil {
		r.state.err = r.out.WriteByte('\n')
	}
	if r.state.err != nil {
		r.notify()
	}
}

// note updates the state that the trial waits for.
func (r *recorder) note(l *record.Line) {
	switch {
	case l.Ready != nil:
		r.state.readies++
		r.state.ready, r.state.readyAt = *l.Ready, time.Now()
	case l.Progress != nil:
		r.state.progress = *l.Progress
		return // nothing waits for it: the trial looks once a second
	case l.Client != nil:
		r.state.client = l.Client
	default:
		return
	}
	r.notify()
}

func (r *recorder) fail(format string, args ...any) {
	r.state.fault = fmt.Sprintf(format, args...)
	r.partial = nil
	r.notify()
}

// seen returns the state so far.
func (r *recorder) seen() recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Close writes out what is buffered. A line without an end is a fault.
func (r *recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.partial) > 0 {
		r.fail("the last line has no end: %s", quote(r.partial))
	}
	return errors.Join(r.out.Flush(), r.file.Close()) // Flush repeats the first error
}

// keys counts the records in a line.
func keys(l *record.Line) int {
	n := 0
	for _, there := range []bool{
		l.Ready != nil, l.Progress != nil, l.Request != nil, l.Connection != nil, l.Refusal != nil, l.Gateway != nil,
		l.Server != nil, l.Client != nil, l.Flood != nil, l.Sample != nil, l.Syscall != nil, l.Probe != nil,
	} {
		if there {
			n++
		}
	}
	return n
}

// quote returns the beginning of a line, printable.
func quote(line []byte) string {
	const show = 120
	if len(line) > show {
		return fmt.Sprintf("%q...", line[:show])
	}
	return fmt.Sprintf("%q", line)
}

// logLimit limits a node's log, in bytes; the rest is dropped.
const logLimit = 4 << 20

// logFile receives the standard error of one node, and keeps its last line.
type logFile struct {
	mu   sync.Mutex
	file *os.File
	size int
	last []byte
	err  error
}

// Write accepts log text. Like recorder.Write, it never fails.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep := p[:min(len(p), logLimit-l.size)]
	l.size += len(keep)
	if l.err == nil {
		_, l.err = l.file.Write(keep)
	}
	if text := bytes.TrimSpace(p); len(text) > 0 {
		line := text[bytes.LastIndexByte(text, '\n')+1:]
		l.last = append(l.last[:0], line[:min(len(line), 300)]...)
	}
	return len(p), nil
}

// tail returns the last line that the node logged.
func (l *logFile) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.last)
}

// Close closes the file.
func (l *logFile) Close() error { return errors.Join(l.err, l.file.Close()) }
