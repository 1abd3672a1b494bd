package equic

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxStripes = 64 // a stripe is locked as a whole
	minGroups  = 16
)

const (
	portsShift   = 32
	portBits     = 24
	droppedShift = portsShift + portBits
)

// portBit returns the bit of a source port.
func portBit(port uint16) uint32 {
	const spread = 2654435769
	return 1 << (uint64(uint32(port)*spread) * portBits >> 32)
}

// entry is what only user space records about the client in a slot.
type entry struct {
	key         clientKey
	open        uint32 // connections whose handshake is complete
	held        uint32 // connections that have ended, but still count
	inherited   uint32 // connections that a predecessor counted, until their owner claims them
	validated   uint32 // handshakes in progress, from an address that is validated
	unvalidated uint32 // handshakes in progress, from one that may be spoofed
	counted     uint32 // of both kinds, the handshakes that count in the kernel
	ports       uint32 // bits of their ports, cleared when none is in progress
	limit       uint8  // index of the client's port in table.limits
	atQuota     bool   // by the quota that was in force when judge compared
	turnedAway  bool   // user space has refused it something since it reached its quota
	proven      memory // it was at its quota recently, so its address is not spoofed
	pressed     memory // it was also refused something recently, so its connections are held down
}

// inProgress returns the number of handshakes in progress.
func (e *entry) inProgress() uint32 { return e.validated + e.unvalidated }

// connections returns the number of connections that count towards the quota.
func (e *entry) connections() uint32 { return e.open + e.held + e.inherited }

// admitted returns the number of connections and handshakes that count towards the
// quota.
func (e *entry) admitted() uint32 { return e.connections() + e.validated }

// isTurnedAway reports whether a client was turned away since it reached its quota, by the
// state of its slot. A client that was only asked for a Retry need not be at its quota.
func (e *entry) isTurnedAway(state uint64) bool {
	return e.atQuota && (e.turnedAway || state>>droppedShift != 0)
}

func (e *entry) isEmpty() bool {
	return e.connections()|e.validated|e.unvalidated == 0 && e.proven == forgotten
}

// limit is the limits in force for a port.
type limit struct {
	quota atomic.Uint32
	// admission reports whether handshakes in progress count in the kernel, and
	// connections are held down.
	admission bool
	// turnedAway is how many times a client was turned away and then let in again, as of
	// now.
	turnedAway atomic.Uint64
	// reported is the highest number that table.turnedAway has returned.
	reported atomic.Uint64
}

// report returns n, or the highest number reported before if that is higher.
func (l *limit) report(n uint64) uint64 {
	for {
		before := l.reported.Load()
		if n <= before {
			return before
		}
		if l.reported.CompareAndSwap(before, n) {
			return n
		}
	}
}

// table counts the connections of clients. The kernel reads the counts in the same
// memory. Only user space writes them, so no change needs a system call.
//
// Each client has a slot in one of two cache lines, which its hash selects. Each slot has a
// tag: a byte of its client's hash. The tags of a group of lines are one cache line, too. So
// the program reads one line for most clients without a slot, and never more than two: the
// first with the client's tag is the only one that can have the client. See lines.go. At most
// half of the slots are used. At that load fewer than one client in 100,000 finds no slot.
//
// Both lines are in one group, and the group in one stripe. The lock of the stripe guards
// its tags, slots and entries. The kernel takes no lock: it reads the tags of a line and the
// two words of a slot, each of them atomically.
type table struct {
	prefixes prefixes
	key      hashKey
	letIn    func(clientKey) // called when a client's packets are no longer dropped; not nil

	groups  []group
	entries []entry
	stripes []stripe

	limitOf *[1 << 16]uint8 // index of each port in limits, zero is none; nil: limit 0 is for all
	limits  [MaxPorts + 1]limit

	settingQuota sync.Mutex // so that the program gets the same quota as the table

	inheritance *time.Timer // ends inherit; nil if there is nothing to inherit

	quotas      quotas        // of prefixes
	monitoring  atomic.Bool   // turn no client away
	room        atomic.Int64  // for further clients
	full        atomic.Uint64 // times that there was no room for a client
	halfOpen    HalfOpenLimits
	holdDown    time.Duration // no hold-down if it is not positive
	unvalidated atomic.Int64  // handshakes in progress
	validated   atomic.Int64
}

type stripe struct {
	mu     sync.Mutex
	closed bool
	held   []waiting   // connections that have ended and still count
	failed []waiting   // handshakes that have failed and still count as in progress
	proven []waiting   // clients that are remembered
	timer  *time.Timer // fires when the next item is due
	next   time.Time   // when the timer fires; zero if it does not run
}

// groupsFor returns the number of groups of a table for a number of clients. At most
// half of the slots are used.
func groupsFor(clients int) uint32 {
	const groupClients = groupSlots / 2
	return max(minGroups, nextPowerOfTwo(uint32(clients))/groupClients) // MostClients is far below 1<<31
}

func nextPowerOfTwo(n uint32) uint32 { return 1 << bits.Len32(n-1) }

// newTable makes a table in groupsFor(clients) groups. Set the limits of ports with addLimit.
func newTable(groups []group, clients int, by prefixes, key hashKey) *table {
	t := &table{
		prefixes: by,
		key:      key,
		letIn:    func(clientKey) {},
		groups:   groups,
		entries:  make([]entry, len(groups)*groupSlots),
		stripes:  make([]stripe, min(maxStripes, len(groups))),
		halfOpen: HalfOpenLimits{}.complete(),
		holdDown: DefaultHoldDown,
	}
	t.room.Store(int64(clients))
	return t
}

// addLimit sets the limits of a port. Call it before the table is used.
func (t *table) addLimit(port uint16, number uint8, quota uint32, admission bool) {
	if t.limitOf == nil {
		t.limitOf = new([1 << 16]uint8)
	}
	t.limitOf[port] = number
	t.limits[number].quota.Store(quota)
	t.limits[number].admission = admission
}

// place is where a client is in the table, or would be. lock locks its stripe; locate does
// not.
type place struct {
	*stripe
	hash  uint64
	key   clientKey
	limit uint8
	index int // its slot, negative if it has none
}

// lock finds a client and locks its stripe. After an error, nothing is locked.
func (t *table) lock(p *place, port uint16, addr netip.Addr) error {
	if !addr.IsValid() {
		return errors.New("the address is not valid")
	}
	if t.limitOf != nil {
		if p.limit = t.limitOf[port]; p.limit == 0 {
			return fmt.Errorf("%w: %d", ErrPort, port)
		}
	}
	t.locate(p, t.prefixes.key(port, addr))
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	if p.index = t.find(p.hash); p.index >= 0 {
		if e := &t.entries[p.index]; e.inherited > 0 { // its client was not known until now
			e.key, e.limit = p.key, p.limit
		}
	}
	return nil
}

// locate computes where a client is, or would be.
func (t *table) locate(p *place, key clientKey) {
	p.key = key
	p.hash = t.key.hash(&p.key)
	p.stripe = &t.stripes[t.groupOf(p.hash)/(len(t.groups)/len(t.stripes))]
}

// entryAt returns a client's entry, or a new empty one if it has none.
func (t *table) entryAt(p *place) *entry {
	if p.index < 0 {
		return &entry{key: p.key, limit: p.limit}
	}
	return &t.entries[p.index]
}

// add gives a client a slot if it has none.
func (t *table) add(p *place) error {
	if p.index >= 0 {
		return nil
	}
	if t.room.Add(-1) < 0 {
		t.room.Add(1)
		t.full.Add(1)
		return ErrFull
	}
	if p.index = t.slotFor(p.hash); p.index < 0 {
		t.room.Add(1)
		t.full.Add(1)
		return ErrFull
	}
	t.fill(p.index, p.hash, 0, entry{key: p.key, limit: p.limit})
	return nil
}

// publish writes an entry's counts to the kernel, or removes the entry if it is empty.
// Callers hold the lock of its stripe.
func (t *table) publish(index int) {
	e, s := &t.entries[index], t.slot(index)
	connections := e.connections() + e.counted
	dropped := t.judge(e, s.state.Load(), connections)
	if e.isEmpty() {
		t.clear(index)
		t.room.Add(1)
		return
	}
	if e.inProgress() == 0 {
		e.ports = 0
	}
	s.state.Store(uint64(connections) | uint64(e.ports)<<portsShift | dropped<<droppedShift)
}

// judge compares a client's connections with the quota in force. If the client is below
// it, it is let in. state is the present state of its slot; judge returns the new value of
// its dropped bits. Callers hold the lock of the stripe.
func (t *table) judge(e *entry, state uint64, connections uint32) (dropped uint64) {
	l := &t.limits[e.limit]
	turnedAway := e.isTurnedAway(state)
	e.atQuota = connections >= t.quota(e.limit, &e.key)
	if e.atQuota {
		return state >> droppedShift
	}
	if turnedAway {
		l.turnedAway.Add(1)
	}
	if state>>droppedShift != 0 {
		t.letIn(e.key)
	}
	e.turnedAway = false
	return 0
}

func (t *table) inc(port uint16, addr netip.Addr) error {
	var p place
	err := t.lock(&p, port, addr)
	if err == nil {
		defer p.mu.Unlock()
		if err = t.add(&p); err == nil {
			t.entries[p.index].open++
			t.publish(p.index)
			return nil
		}
	}
	return fmt.Errorf("count a connection of %s: %w", addr, err)
}

// tryInc counts a connection, unless its client is at the quota already.
func (t *table) tryInc(port uint16, addr netip.Addr) (bool, error) {
	var p place
	err := t.lock(&p, port, addr)
	if err == nil {
		defer p.mu.Unlock()
		if e := t.entryAt(&p); e.connections() >= t.quota(p.limit, &p.key) {
			e.turnedAway = true
			if !t.monitoring.Load() {
				return false, nil
			}
		}
		if err = t.add(&p); err == nil {
			t.entries[p.index].open++
			t.publish(p.index)
			return true, nil
		}
	}
	return false, fmt.Errorf("count a connection of %s: %w", addr, err)
}

func (t *table) dec(port uint16, addr netip.Addr) error {
	var p place
	err := t.lock(&p, port, addr)
	if err != nil {
		return fmt.Errorf("release a connection of %s: %w", addr, err)
	}
	defer p.mu.Unlock()
	if p.index < 0 || t.entries[p.index].open == 0 {
		return fmt.Errorf("release a connection of %s: it has none", addr)
	}
	t.end(p.stripe, p.index)
	return nil
}

func (t *table) count(port uint16, addr netip.Addr) int {
	var p place
	err := t.lock(&p, port, addr)
	if err != nil {
		return 0
	}
	defer p.mu.Unlock()
	return int(t.entryAt(&p).open)
}

// counted returns a copy of the clients that have connections.
func (t *table) counted() []Client {
	var list []Client
	t.each(func(_ int, e *entry, s *slot) {
		if e.open > 0 {
			list = append(list, Client{
				Prefix:      t.prefixes.prefix(e.key),
				Port:        e.key.Port,
				Connections: int(e.open),
				Blocked:     uint32(s.state.Load()) >= t.quota(e.limit, &e.key),
			})
		}
	})
	return list
}

// each calls do for each client. It locks one stripe at a time.
func (t *table) each(do func(index int, e *entry, s *slot)) {
	of := len(t.entries) / len(t.stripes)
	for number := range t.stripes {
		s := &t.stripes[number]
		s.mu.Lock()
		for i := number * of; i < (number+1)*of && !s.closed; i++ {
			if t.slot(i).hash.Load() != 0 {
				do(i, &t.entries[i], t.slot(i))
			}
		}
		s.mu.Unlock()
	}
}

// setQuota changes the quota of a port. It calls tell to change it in the program. The
// counts stay the same: the program compares them with the quota.
func (t *table) setQuota(port uint16, quota uint32, tell func() error) error {
	number := t.limitOf[port]
	if number == 0 {
		return fmt.Errorf("%w: %d", ErrPort, port)
	}
	t.settingQuota.Lock()
	defer t.settingQuota.Unlock()
	if err := tell(); err != nil {
		return err
	}
	t.limits[number].quota.Store(quota)
	t.each(func(_ int, e *entry, s *slot) {
		if e.limit != number {
			return
		}
		state := s.state.Load()
		if dropped := t.judge(e, state, uint32(state)); dropped != state>>droppedShift {
			s.state.Store(state & (1<<droppedShift - 1))
		}
	})
	return nil
}

// turnedAway returns the number of times that clients were turned away, by the index of
// their port in limits.
//
// If a client is let in after its limit is read, but before its slot is read, neither number
// includes it. So the sum may be too low, but never too high. The highest sum so far is
// returned: a monitoring system interprets a counter that decreases as a restart.
func (t *table) turnedAway() (n [MaxPorts + 1]uint64) {
	for i := range n {
		n[i] = t.limits[i].turnedAway.Load()
	}
	t.each(func(_ int, e *entry, s *slot) {
		if e.isTurnedAway(s.state.Load()) {
			n[e.limit]++
		}
	})
	for i := range n {
		n[i] = t.limits[i].report(n[i])
	}
	return n
}

// close makes later changes fail. It returns once no change is in progress.
func (t *table) close() {
	if t.inheritance != nil {
		t.inheritance.Stop()
	}
	for i := range t.stripes {
		s := &t.stripes[i]
		s.mu.Lock()
		s.closed = true
		if s.timer != nil {
			s.timer.Stop()
		}
		s.mu.Unlock()
	}
}
