package equic

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// kernelMap is what a ledger needs of the map of clients.
type kernelMap interface {
	Put(key, value any) error
	Delete(key any) error
}

// writeDelay is how late a count that changes no verdict may reach the kernel:
// long enough that the timer, which wakes an otherwise sleeping program, costs
// nothing, short enough for a person who looks.
const writeDelay = time.Second

// ledger counts connections by client. The counts live here, under a mutex;
// the kernel's map gets absolute values. Reading, adding and writing in the
// map itself would lose counts, as two callers may read the same value.
//
// A count is written at once if it changes what the program does to the
// client's packets: where the client reaches its quota or falls below it. Any
// other is for the reader of the map alone, and written within writeDelay. So
// a client that comes, is served and goes costs no system call.
type ledger struct {
	quota  uint32
	kernel kernelMap

	mu     sync.Mutex
	closed bool
	counts map[netip.Addr]uint32
	held   map[netip.Addr]uint32 // the counts in the kernel's map
	late   map[netip.Addr]bool   // clients whose counts are still to be written
	timer  *time.Timer           // of the next flush
	armed  bool                  // the timer runs
	err    error                 // of late writes, the first, for close
	// unwritten are the clients at their quota that the full map did not take.
	unwritten map[netip.Addr]bool
}

func newLedger(kernel kernelMap, quota uint32) *ledger {
	return &ledger{
		quota:     quota,
		kernel:    kernel,
		counts:    make(map[netip.Addr]uint32),
		held:      make(map[netip.Addr]uint32),
		late:      make(map[netip.Addr]bool),
		unwritten: make(map[netip.Addr]bool),
	}
}

func (l *ledger) inc(addr netip.Addr) error {
	if !addr.IsValid() {
		return errors.New("count a connection: the address is not valid")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("count a connection of %s: %w", addr, ErrClosed)
	}
	client := canonical(addr)
	l.counts[client]++
	if err := l.update(client); err != nil {
		return fmt.Errorf("count a connection of %s: %w", addr, err)
	}
	return nil
}

func (l *ledger) dec(addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("release a connection of %s: %w", addr, ErrClosed)
	}
	client := canonical(addr)
	if l.counts[client] == 0 {
		return fmt.Errorf("release a connection of %s: it has none", addr)
	}
	l.counts[client]--
	if l.counts[client] == 0 {
		delete(l.counts, client)
	}
	err := l.update(client)
	if err != nil && !errors.Is(err, ErrFull) { // inc has said that it is full
		return fmt.Errorf("release a connection of %s: %w", addr, err)
	}
	return nil
}

func (l *ledger) count(addr netip.Addr) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.counts[canonical(addr)])
}

// close makes later changes fail; it returns when none is under way, with what
// went wrong in late writes.
func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	return l.err
}

// update brings a client's changed count to the kernel, now or later. Callers
// hold mu.
func (l *ledger) update(client netip.Addr) error {
	if l.counts[client] >= l.quota || l.held[client] >= l.quota {
		return l.write(client)
	}
	l.putOff(client)
	return nil
}

// putOff has a client's count written by the next flush. Callers hold mu.
func (l *ledger) putOff(client netip.Addr) {
	l.late[client] = true
	if !l.armed {
		l.armed = true
		l.timer = time.AfterFunc(writeDelay, l.flush)
	}
}

// flush writes the counts that are late.
func (l *ledger) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	if l.closed {
		return
	}
	for _, client := range slices.Collect(maps.Keys(l.late)) { // a failed write puts its client back
		l.writeLate(client)
	}
}

// writeLate writes a count for which no caller waits. That the map is full is
// said where it matters: at the quota. Callers hold mu.
func (l *ledger) writeLate(client netip.Addr) {
	if err := l.write(client); err != nil && !errors.Is(err, ErrFull) && l.err == nil {
		l.err = fmt.Errorf("write the count of %s: %w", client, err)
	}
}

// write makes the kernel hold a client's count. Where the kernel fails, the
// next flush tries again: a client must not stay blocked for it. Callers hold
// mu.
func (l *ledger) write(client netip.Addr) error {
	delete(l.late, client)
	count := l.counts[client]
	if count == l.held[client] {
		delete(l.unwritten, client)
		return nil
	}
	if count == 0 {
		return l.forget(client)
	}
	err := l.kernel.Put(client.As16(), count)
	switch {
	case errors.Is(err, unix.E2BIG):
		delete(l.unwritten, client)
		if count >= l.quota {
			l.unwritten[client] = true
		}
		return ErrFull
	case err != nil:
		l.putOff(client)
		return err
	}
	l.held[client] = count
	delete(l.unwritten, client)
	return nil
}

// forget removes a client from the kernel's map, and gives the place to one
// that found the map full. Callers hold mu.
func (l *ledger) forget(client netip.Addr) error {
	delete(l.unwritten, client)
	if err := l.kernel.Delete(client.As16()); err != nil {
		l.putOff(client)
		return err
	}
	delete(l.held, client)
	for waiting := range l.unwritten {
		l.writeLate(waiting)
		if l.held[waiting] != 0 {
			break
		}
	}
	return nil
}

// canonical is the form in which an address is counted: one form for IPv4 and
// IPv4 mapped into IPv6, and no zone. As16 of it is the kernel's key.
func canonical(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
