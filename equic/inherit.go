package equic

import (
	"net/netip"
	"time"
)

// inherit takes over the counts that a predecessor has left in the slots. The slots do not
// identify their clients, but a client that is named again is found by its hash. After wait,
// the counts that no owner has claimed are removed. If wait is zero, all are removed at once.
func (t *table) inherit(wait time.Duration) {
	for i := range t.entries { // the predecessor may have ended before it set a tag
		tag := uint32(0)
		if hash := t.slot(i).hash.Load(); hash != 0 {
			tag = tagOf(hash)
		}
		t.setTag(i, tag)
	}
	for i := range t.entries {
		s := t.slot(i)
		hash, state := s.hash.Load(), s.state.Load()
		if hash == 0 {
			continue
		}
		// If it ended while it moved a client, that has two slots. Only the one that find returns counts.
		if wait <= 0 || uint32(state) == 0 || t.find(hash) != i {
			t.clear(i)
			continue
		}
		t.room.Add(-1)
		t.entries[i].inherited = uint32(state) // handshakes in progress are among them
		s.state.Store(uint64(uint32(state)) | state>>droppedShift<<droppedShift)
	}
	if wait > 0 {
		t.inheritance = time.AfterFunc(wait, t.disinheritAll)
	}
}

// disinheritAll removes the connections that no owner has claimed.
func (t *table) disinheritAll() {
	t.each(func(index int, e *entry, _ *slot) {
		if e.inherited > 0 {
			e.inherited = 0
			t.publish(index)
		}
	})
}

// inheritedNow returns the number of connections that no owner has claimed yet.
func (t *table) inheritedNow() (n int) {
	t.each(func(_ int, e *entry, _ *slot) { n += int(e.inherited) })
	return n
}

// claim turns a connection that a predecessor counted into one that is counted here. It
// returns false if there is none.
func (t *table) claim(port uint16, addr netip.Addr) bool {
	var p place
	if err := t.lock(&p, port, addr); err != nil {
		return false
	}
	defer p.mu.Unlock()
	if p.index < 0 || t.entries[p.index].inherited == 0 {
		return false
	}
	t.entries[p.index].inherited--
	t.entries[p.index].open++
	t.publish(p.index)
	return true
}
