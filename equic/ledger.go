package equic

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// writeDelay is how late a count that changes no verdict may reach the kernel:
// long enough that the timer, which wakes an otherwise sleeping program, costs
// nothing, short enough for a person who looks.
const writeDelay = time.Second

// flushChunk is how many late counts are written while callers wait.
const flushChunk = 1024

// kernelClients is what a ledger needs of the kernel's map of clients.
type kernelClients interface {
	// put writes values by key, and returns how many it wrote before an error;
	// unix.E2BIG says that the map is full.
	put([]clientKey, []clientValue) (int, error)
	delete(clientKey) error
	// dropped says whether packets of a client were dropped since its value was
	// put.
	dropped(clientKey) (bool, error)
}

// ledger counts connections by client. The counts live here, under a mutex;
// the kernel's map gets absolute values. Reading, adding and writing in the
// map itself would lose counts, as two callers may read the same value.
//
// A count is written at once if it changes what the program does to the
// client's packets: where the client reaches its quota or falls below it. Any
// other is for the reader of the map alone, and written within writeDelay. So
// a client that comes, is served and goes costs no system call.
type ledger struct {
	kernel   kernelClients
	prefixes prefixes
	letIn    func(clientKey) // called when a client that was dropped no longer is; not nil

	mu      sync.Mutex
	closed  bool
	quotas  map[uint16]uint32
	clients map[clientKey]*entry
	late    []lateEntry          // written by the next flush
	waiting map[clientKey]*entry // at their quota, but the map was full
	timer   *time.Timer          // of the next flush
	full    uint64               // times that a client at its quota found the map full
	err     error                // of late writes, the first, for close
	key     [1]clientKey         // of the write under way: kept, so that none is allocated
	value   [1]clientValue
}

// entry is one client.
type entry struct {
	count uint32
	held  uint32 // the count in the kernel's map; zero if it is not there
	late  bool   // in the list of late ones
}

// lateEntry is a client whose count is late, and its key: to look it up again
// would take longer than to write it.
type lateEntry struct {
	clientKey
	*entry
}

func newLedger(kernel kernelClients, p prefixes, quotas map[uint16]uint32, letIn func(clientKey)) *ledger {
	return &ledger{
		kernel:   kernel,
		prefixes: p,
		letIn:    letIn,
		quotas:   quotas,
		clients:  make(map[clientKey]*entry),
		waiting:  make(map[clientKey]*entry),
	}
}

func (l *ledger) inc(port uint16, addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, err := l.check(port, addr)
	if err != nil {
		return fmt.Errorf("count a connection of %s: %w", addr, err)
	}
	return l.add(k, addr)
}

// tryInc counts a connection, unless its client is at the quota already.
func (l *ledger) tryInc(port uint16, addr netip.Addr) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, err := l.check(port, addr)
	if err != nil {
		return false, fmt.Errorf("count a connection of %s: %w", addr, err)
	}
	if e := l.clients[k]; e != nil && e.count >= l.quotas[port] {
		return false, nil
	}
	return true, l.add(k, addr)
}

// add counts one more connection. Callers hold mu.
func (l *ledger) add(k clientKey, addr netip.Addr) error {
	e := l.clients[k]
	if e == nil {
		e = new(entry)
		l.clients[k] = e
	}
	e.count++
	if err := l.update(k, e); err != nil {
		return fmt.Errorf("count a connection of %s: %w", addr, err)
	}
	return nil
}

func (l *ledger) dec(port uint16, addr netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, err := l.check(port, addr)
	if err != nil {
		return fmt.Errorf("release a connection of %s: %w", addr, err)
	}
	e := l.clients[k]
	if e == nil || e.count == 0 {
		return fmt.Errorf("release a connection of %s: it has none", addr)
	}
	e.count--
	if err := l.update(k, e); err != nil && !errors.Is(err, ErrFull) { // inc has said that it is full
		return fmt.Errorf("release a connection of %s: %w", addr, err)
	}
	return nil
}

// check is the key of a client. Callers hold mu.
func (l *ledger) check(port uint16, addr netip.Addr) (clientKey, error) {
	if l.closed {
		return clientKey{}, ErrClosed
	}
	if !addr.IsValid() {
		return clientKey{}, errors.New("the address is not valid")
	}
	if _, ok := l.quotas[port]; !ok {
		return clientKey{}, fmt.Errorf("%w: %d", ErrPort, port)
	}
	return l.prefixes.key(port, addr), nil
}

func (l *ledger) count(port uint16, addr netip.Addr) int {
	if !addr.IsValid() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.clients[l.prefixes.key(port, addr)]; e != nil {
		return int(e.count)
	}
	return 0
}

// fullMap is how many times a client at its quota found the map full.
func (l *ledger) fullMap() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full
}

// counted is a copy of who has connections now.
func (l *ledger) counted() []Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Client, 0, len(l.clients))
	for k, e := range l.clients {
		if e.count > 0 {
			list = append(list, Client{
				Prefix:      l.prefixes.prefix(k),
				Port:        k.Port,
				Connections: int(e.count),
				Blocked:     e.held >= l.quotas[k.Port],
			})
		}
	}
	return list
}

// setQuota changes the quota of a port; tell has the program know it. A client
// is never blocked by a quota that is not in force: the counts are written
// before a lower one, and after a higher one.
func (l *ledger) setQuota(port uint16, quota uint32, tell func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	before, ok := l.quotas[port]
	if !ok {
		return fmt.Errorf("%w: %d", ErrPort, port)
	}
	var err error
	if quota < before {
		l.quotas[port] = quota
		err = l.writePort(port)
		if tellErr := tell(); tellErr != nil {
			return errors.Join(err, tellErr, l.raiseQuota(port, before))
		}
		return err
	}
	if err := tell(); err != nil {
		return err
	}
	return l.raiseQuota(port, quota)
}

// raiseQuota tells of the clients of a port that a raised quota lets in, and has
// the kernel tell of their next drop anew. Callers hold mu.
func (l *ledger) raiseQuota(port uint16, quota uint32) error {
	before := l.quotas[port]
	l.quotas[port] = quota
	var first error
	for k, e := range l.clients {
		if k.Port != port {
			continue
		}
		if e.count < quota {
			delete(l.waiting, k)
		}
		if e.held < before || e.held >= quota || l.wasDropped(k) == 0 {
			continue
		}
		l.letIn(k)
		if _, err := l.kernel.put([]clientKey{k}, []clientValue{{Connections: e.held}}); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// writePort writes the counts of the clients of a port that are at its quota, or
// that the kernel would take to be by an old count. Callers hold mu.
func (l *ledger) writePort(port uint16) error {
	var first error
	for k, e := range l.clients {
		if k.Port != port || max(e.count, e.held) < l.quotas[port] || e.held == e.count {
			continue
		}
		if err := l.write(k, e); err != nil && first == nil {
			first = err
		}
	}
	return first
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
