package equic

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// How the counts of a ledger reach the kernel.

// update brings a client's changed count to the kernel, now or later. Callers
// hold mu.
func (l *ledger) update(k clientKey, e *entry) error {
	if quota := l.quotas[k.Port]; e.count >= quota || e.held >= quota {
		return l.write(k, e)
	}
	delete(l.waiting, k)
	l.putOff(k, e)
	return nil
}

// putOff has a client's count written by the next flush. Callers hold mu.
func (l *ledger) putOff(k clientKey, e *entry) {
	if e.late {
		return
	}
	e.late = true
	l.late = append(l.late, lateEntry{k, e})
	if l.timer == nil {
		l.timer = time.AfterFunc(writeDelay, l.flush)
	} else if len(l.late) == 1 {
		l.timer.Reset(writeDelay)
	}
}

// flush writes the counts that are late, a chunk at a time, so that callers do
// not wait for all of them. Counts that could not be written wait for the next.
func (l *ledger) flush() {
	for l.flushSome() {
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && len(l.late) > 0 {
		l.timer.Reset(writeDelay)
	}
}

// flushSome writes one chunk, and says whether to go on: there is more, and all
// of this could be written.
func (l *ledger) flushSome() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	n := min(flushChunk, len(l.late))
	chunk := slices.Clone(l.late[len(l.late)-n:])
	clear(l.late[len(l.late)-n:]) // or they would keep what is forgotten
	l.late = l.late[:len(l.late)-n]
	rest := len(l.late)
	keys := make([]clientKey, 0, n)
	values := make([]clientValue, 0, n)
	entries := make([]*entry, 0, n)
	for _, c := range chunk {
		k, e := c.clientKey, c.entry
		e.late = false
		switch e.count {
		case e.held:
			l.drop(k, e)
		case 0:
			l.noteLate(k, l.forget(k, e))
		default:
			keys = append(keys, k)
			values = append(values, clientValue{Connections: e.count})
			entries = append(entries, e)
		}
	}
	// Those that left have made room. A write that fails puts its client back.
	l.putAll(keys, values, entries)
	return len(l.late) > 0 && len(l.late) == rest
}

// putAll writes late counts at once, and those that this fails for one by one.
// Callers hold mu.
func (l *ledger) putAll(keys []clientKey, values []clientValue, entries []*entry) {
	if len(keys) == 0 {
		return
	}
	n, err := l.kernel.put(keys, values)
	for i, k := range keys[:n] {
		entries[i].held = values[i].Connections
		delete(l.waiting, k)
	}
	if err == nil {
		return
	}
	for i, k := range keys[n:] {
		l.noteLate(k, l.write(k, entries[n+i]))
	}
}

// noteLate keeps the error of a write for which no caller waits. That the map
// is full is said where it matters: at the quota. Callers hold mu.
func (l *ledger) noteLate(k clientKey, err error) {
	if err != nil && !errors.Is(err, ErrFull) && l.err == nil {
		l.err = fmt.Errorf("write the count of %s: %w", l.prefixes.prefix(k), err)
	}
}

// write makes the kernel hold a client's count. Where the kernel fails, the
// next flush tries again: a client must not stay blocked for it. Callers hold
// mu.
func (l *ledger) write(k clientKey, e *entry) error {
	if e.count == 0 && e.held > 0 {
		return l.forget(k, e)
	}
	quota := l.quotas[k.Port]
	if e.count == e.held || e.count == 0 {
		delete(l.waiting, k)
		l.drop(k, e)
		return nil
	}
	value := clientValue{Connections: e.count}
	if e.held >= quota && e.count >= quota {
		value.Dropped = l.wasDropped(k)
	}
	if e.held >= quota && e.count < quota {
		l.sayLetIn(k)
	}
	l.key[0], l.value[0] = k, value
	_, err := l.kernel.put(l.key[:], l.value[:])
	if errors.Is(err, unix.E2BIG) && e.count >= quota && l.makeRoom() {
		l.key[0], l.value[0] = k, value
		_, err = l.kernel.put(l.key[:], l.value[:])
	}
	switch {
	case errors.Is(err, unix.E2BIG):
		delete(l.waiting, k)
		if e.count >= quota {
			l.full++
			l.waiting[k] = e
		}
		return ErrFull
	case err != nil:
		l.putOff(k, e)
		return err
	}
	e.held = e.count
	delete(l.waiting, k)
	return nil
}

// roomSearch is how many clients makeRoom looks at.
const roomSearch = 64

// makeRoom takes a client below its quota out of the kernel's full map: its
// count is for readers only, that of a client at its quota is a verdict. Callers
// hold mu.
func (l *ledger) makeRoom() bool {
	n := 0
	for k, e := range l.clients { // from a random one on
		if n++; n > roomSearch {
			return false
		}
		if quota := l.quotas[k.Port]; e.held == 0 || e.held >= quota || e.count >= quota {
			continue
		}
		if err := l.kernel.delete(k); err == nil {
			e.held = 0
			return true
		}
	}
	return false
}

// forget removes a client from the kernel's map, and gives the place to one
// that found the map full. Callers hold mu.
func (l *ledger) forget(k clientKey, e *entry) error {
	if e.held >= l.quotas[k.Port] {
		l.sayLetIn(k)
	}
	// A key that is not there was removed by another program (Options.PinDir).
	if err := l.kernel.delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		l.putOff(k, e)
		return err
	}
	e.held = 0
	delete(l.waiting, k)
	l.drop(k, e)
	for waitingKey, waiting := range l.waiting {
		err := l.write(waitingKey, waiting)
		l.noteLate(waitingKey, err)
		if waiting.held != 0 || errors.Is(err, ErrFull) { // another program took the place
			break
		}
	}
	return nil
}

// drop forgets a client of which nothing is left. Callers hold mu.
func (l *ledger) drop(k clientKey, e *entry) {
	if e.count == 0 && e.held == 0 && !e.late {
		delete(l.clients, k)
	}
}

// wasDropped is one if packets of a client were dropped, as the kernel's value
// has it. What cannot be read has the next drop told anew. Callers hold mu.
func (l *ledger) wasDropped(k clientKey) uint32 {
	if dropped, err := l.kernel.dropped(k); err == nil && dropped {
		return 1
	}
	return 0
}

// sayLetIn tells of a client that is no longer over its quota, if anything of
// it was dropped. Callers hold mu, and change the kernel's value after it.
func (l *ledger) sayLetIn(k clientKey) {
	if l.wasDropped(k) == 1 {
		l.letIn(k)
	}
}
