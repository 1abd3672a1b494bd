//go:build linux && !mips && !mips64 && !ppc64 && !s390x

package equic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// kernelEvent is struct event in bpf/maps.h.
type kernelEvent struct {
	atNS   uint64 // CLOCK_MONOTONIC
	client clientKey
	kind   uint32
	// Of a sample:
	sourcePort, length uint16
	reason             uint32
}

const kernelEventSize = 40

// parseEvent parses one record of the ring buffer.
func parseEvent(b []byte) (e kernelEvent, ok bool) {
	if len(b) < kernelEventSize {
		return e, false
	}
	e.atNS = binary.NativeEndian.Uint64(b)
	copy(e.client.Prefix[:], b[8:])
	e.client.Port = binary.NativeEndian.Uint16(b[24:])
	e.kind = binary.NativeEndian.Uint32(b[28:])
	e.sourcePort, e.length = binary.NativeEndian.Uint16(b[32:]), binary.NativeEndian.Uint16(b[34:])
	e.reason = binary.NativeEndian.Uint32(b[36:])
	return e, int(e.kind) < len(kernelKinds) && int(e.reason) < len(reasons)
}

// kernelKinds maps the program's enum event_kind to the kinds of events.
var kernelKinds = [...]EventKind{Blocked, RateLimited, RateLifted, Sampled}

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
	now, err := monotonic()
	if err != nil {
		return nil, err
	}
	reader, err := ringbuf.NewReader(events)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	n := &notifier{
		to:       to,
		prefixes: p,
		booted:   time.Now().Add(-time.Duration(now)),
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
		n.send(n.event(&e))
	}
}

// event returns a kernel's event as the user gets it.
func (n *notifier) event(k *kernelEvent) Event {
	e := Event{Time: n.booted.Add(time.Duration(k.atNS)), Kind: kernelKinds[k.kind], Port: k.client.Port} // overflows after 292 years
	if e.Kind != Sampled {
		e.Client = n.prefixes.prefix(k.client)
		return e
	}
	from := netip.AddrFrom16(k.client.Prefix).Unmap()
	e.Client = netip.PrefixFrom(from, from.BitLen())
	e.Sample = &Sample{Reason: reasons[k.reason], Source: netip.AddrPortFrom(from, k.sourcePort), Bytes: int(k.length)}
	return e
}

func (n *notifier) send(e Event) {
	select {
	case n.to <- e:
	default:
		n.lost.Add(1)
	}
}

// letIn sends Unblocked for a client that is below its quota again.
func (n *notifier) letIn(client clientKey) {
	if n != nil {
		n.send(Event{Time: time.Now(), Kind: Unblocked, Client: n.prefixes.prefix(client), Port: client.Port})
	}
}

// attachment sends Attached or Detached.
func (n *notifier) attachment(now Attachment) {
	if n == nil {
		return
	}
	e := Event{Time: now.Since, Kind: Detached, Interface: now.Interface}
	if now.Attached {
		e.Kind = Attached
	}
	n.send(e)
}

// lostEvents returns the number of events that were lost in user space: the channel had
// no room, or an event could not be read.
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
