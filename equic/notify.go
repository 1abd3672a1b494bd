//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// kernelEvent is struct event in bpf/equic.bpf.c.
type kernelEvent struct {
	atNS   uint64 // CLOCK_MONOTONIC
	client clientKey
	kind   uint32
}

const kernelEventSize = 32

// parseEvent parses one record of the ring buffer.
func parseEvent(b []byte) (e kernelEvent, ok bool) {
	if len(b) < kernelEventSize {
		return e, false
	}
	e.atNS = binary.NativeEndian.Uint64(b)
	copy(e.client.Prefix[:], b[8:])
	e.client.Port = binary.NativeEndian.Uint16(b[24:])
	e.kind = binary.NativeEndian.Uint32(b[28:])
	return e, int(e.kind) < len(kernelKinds)
}

// kernelKinds maps the program's enum event_kind to the kinds of events.
var kernelKinds = [...]EventKind{Blocked, RateLimited, RateLifted}

// notifier sends events to the user's channel. A nil notifier sends none.
type notifier struct {
	to       chan<- Event
	prefixes prefixes
	booted   time.Time // when CLOCK_MONOTONIC was zero
	lost     atomic.Uint64
	reader   *ringbuf.Reader
	done     chan struct{} // closed when the reader has ended
}

// newNotifier starts to read the kernel's events. It returns nil if the channel is nil.
func newNotifier(to chan<- Event, p prefixes, events *ebpf.Map) (*notifier, error) {
	if to == nil {
		return nil, nil // a nil notifier sends nothing
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return nil, fmt.Errorf("read the monotonic clock: %w", err)
	}
	reader, err := ringbuf.NewReader(events)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	n := &notifier{
		to:       to,
		prefixes: p,
		booted:   time.Now().Add(-time.Duration(t.Nano())),
		reader:   reader,
		done:     make(chan struct{}),
	}
	go n.run()
	return n, nil
}

func (n *notifier) run() {
	defer close(n.done)
	var record ringbuf.Record
	for {
		err := n.reader.ReadInto(&record)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil { // the ring buffer is broken: later events are lost too
			n.lost.Add(1)
			return
		}
		e, ok := parseEvent(record.RawSample)
		if !ok {
			n.lost.Add(1)
			continue
		}
		n.send(n.booted.Add(time.Duration(e.atNS)), kernelKinds[e.kind], e.client) // overflows after 292 years
	}
}

func (n *notifier) send(at time.Time, kind EventKind, client clientKey) {
	select {
	case n.to <- Event{Time: at, Kind: kind, Client: n.prefixes.prefix(client), Port: client.Port}:
	default:
		n.lost.Add(1)
	}
}

// letIn sends Unblocked for a client that is below its quota again.
func (n *notifier) letIn(client clientKey) {
	if n != nil {
		n.send(time.Now(), Unblocked, client)
	}
}

// attachment sends Attached or Detached.
func (n *notifier) attachment(now Attachment) {
	if n == nil {
		return
	}
	e := Event{Time: now.Since, Kind: Detached}
	if now.Attached {
		e.Kind = Attached
	}
	select {
	case n.to <- e:
	default:
		n.lost.Add(1)
	}
}

// lostEvents returns the number of events that were lost because the channel had no
// room.
func (n *notifier) lostEvents() uint64 {
	if n == nil {
		return 0
	}
	return n.lost.Load()
}

// close stops the reader. After it returns, no more events are sent.
func (n *notifier) close() error {
	if n == nil {
		return nil
	}
	err := n.reader.Close()
	<-n.done
	return err
}
