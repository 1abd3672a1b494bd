package equic

import "time"

// What a client has done is held against it for a while.

// provenFor is how long a client that was at its quota is remembered at least; it is
// forgotten within twice that time. See Handshake.
const provenFor = 10 * time.Second

// memory is what is remembered of a client for some time: it is forgotten at the
// second of the looks that come every provenFor, unless it was noted again between
// them. So nobody has to read a clock to note it.
type memory uint8

const (
	forgotten memory = iota
	old              // noted before the last look
	fresh            // noted since then
)

func (m *memory) age() { *m -= min(*m, 1) }

// waitingSlot waits for a time. A list of them is in the order of their times.
type waitingSlot struct {
	index int
	until time.Time
}

// end takes away a connection that has ended. It goes on counting for a while if
// its client was turned away lately. Callers hold the lock of the stripe.
func (t *table) end(s *stripe, index int) {
	e := &t.entries[index]
	l := &t.limits[e.limit]
	over := e.open+e.held+e.counted >= l.quota.Load()
	if l.admission && over {
		t.remember(s, index)
	}
	if e.pressed != forgotten && t.holdDown > 0 {
		t.hold(s, index)
	}
	e.open--
	t.publish(index)
}

// hold has what has ended count for a while. Callers hold the lock of the stripe.
func (t *table) hold(s *stripe, index int) {
	now := time.Now()
	t.entries[index].held++
	s.held = append(s.held, waitingSlot{index, now.Add(t.holdDown)})
	t.schedule(s, now)
}

// remember notes that a client is at its quota. Callers hold the lock of the stripe.
func (t *table) remember(s *stripe, index int) {
	e := &t.entries[index]
	if e.proven == forgotten {
		now := time.Now()
		s.proven = append(s.proven, waitingSlot{index, now.Add(provenFor)})
		t.schedule(s, now)
	}
	e.proven = fresh
	if e.turnedAway || t.slots[index].state.Load()>>droppedShift != 0 {
		e.pressed = fresh
	}
}

// schedule sets the timer of a stripe for what is due next. Callers hold its lock.
func (t *table) schedule(s *stripe, now time.Time) {
	var next time.Time
	for _, list := range [][]waitingSlot{s.held, s.failed, s.proven} {
		if len(list) > 0 && (next.IsZero() || list[0].until.Before(next)) {
			next = list[0].until
		}
	}
	switch {
	case next.IsZero() || next.Equal(s.next):
	case s.timer == nil:
		s.timer = time.AfterFunc(next.Sub(now), func() { t.wake(s) })
	default:
		s.timer.Reset(next.Sub(now))
	}
	s.next = next
}

// wake does what is due in a stripe: it takes away what was held down for long
// enough, and forgets clients.
func (t *table) wake(s *stripe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	now := time.Now()
	for len(s.held) > 0 && !s.held[0].until.After(now) {
		index := s.held[0].index
		s.held = rest(s.held)
		t.entries[index].held--
		t.publish(index)
	}
	for len(s.failed) > 0 && !s.failed[0].until.After(now) {
		index := s.failed[0].index
		s.failed = rest(s.failed)
		t.entries[index].unvalidated--
		t.unvalidated.Add(-1)
		t.publish(index)
	}
	for len(s.proven) > 0 && !s.proven[0].until.After(now) {
		index := s.proven[0].index
		s.proven = rest(s.proven)
		e := &t.entries[index]
		e.proven.age()
		e.pressed.age()
		if e.proven == forgotten {
			t.publish(index)
		} else {
			s.proven = append(s.proven, waitingSlot{index, now.Add(provenFor)})
		}
	}
	s.next = time.Time{}
	t.schedule(s, now)
}

// rest is a list without its first. An empty one keeps no memory.
func rest(list []waitingSlot) []waitingSlot {
	if len(list) == 1 {
		return nil
	}
	return list[1:]
}
