package equic

import "time"

// How a client's recent behaviour counts against it for a while.

// provenFor is the least time for which a client that was at its quota is remembered.
// It is forgotten within twice that time. See Handshake.
const provenFor = 10 * time.Second

// memory is a fact about a client that expires. A timer fires every provenFor; at its
// second firing without a new note the fact is forgotten. So noting it needs no clock.
type memory uint8

const (
	forgotten memory = iota
	old              // noted before the last firing
	fresh            // noted since then
)

func (m *memory) age() { *m -= min(*m, 1) }

// waiting is a client for which something is due at a time. Lists are ordered by time.
type waiting struct {
	hash  uint64
	until time.Time
}

// end removes a connection that has ended. If packets or handshakes of its client were
// refused recently, it continues to count for a while. Callers hold the lock of the
// stripe.
func (t *table) end(s *stripe, index int) {
	e := &t.entries[index]
	l := &t.limits[e.limit]
	over := e.connections()+e.counted >= t.quota(e.limit, &e.key)
	if l.admission && over {
		t.remember(s, index)
	}
	if e.pressed != forgotten && t.holdDown > 0 {
		t.hold(s, index)
	}
	e.open--
	t.publish(index)
}

// hold makes an ended connection count for a while. Callers hold the lock of the
// stripe.
func (t *table) hold(s *stripe, index int) {
	now := time.Now()
	t.entries[index].held++
	s.held = append(s.held, waiting{t.slot(index).hash.Load(), now.Add(t.holdDown)})
	t.schedule(s, now)
}

// remember notes that a client is at its quota. Callers hold the lock of the stripe.
func (t *table) remember(s *stripe, index int) {
	e := &t.entries[index]
	if e.proven == forgotten {
		now := time.Now()
		s.proven = append(s.proven, waiting{t.slot(index).hash.Load(), now.Add(provenFor)})
		t.schedule(s, now)
	}
	e.proven = fresh
	if e.turnedAway || t.slot(index).state.Load()>>droppedShift != 0 {
		e.pressed = fresh
	}
}

// schedule sets the timer of a stripe to what is due next. Callers hold the stripe's
// lock.
func (t *table) schedule(s *stripe, now time.Time) {
	var next time.Time
	for _, list := range [][]waiting{s.held, s.failed, s.proven} {
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

// wake does what is due in a stripe: it removes the connections and handshakes whose
// hold-down is over, and forgets clients.
func (t *table) wake(s *stripe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	now := time.Now()
	for len(s.held) > 0 && !s.held[0].until.After(now) {
		index := t.find(s.held[0].hash)
		s.held = rest(s.held)
		t.entries[index].held--
		t.publish(index)
	}
	for len(s.failed) > 0 && !s.failed[0].until.After(now) {
		index := t.find(s.failed[0].hash)
		s.failed = rest(s.failed)
		t.entries[index].unvalidated--
		t.unvalidated.Add(-1)
		t.publish(index)
	}
	for len(s.proven) > 0 && !s.proven[0].until.After(now) {
		index := t.find(s.proven[0].hash)
		s.proven = rest(s.proven)
		e := &t.entries[index]
		e.proven.age()
		e.pressed.age()
		if e.proven == forgotten {
			t.publish(index)
		} else {
			s.proven = append(s.proven, waiting{t.slot(index).hash.Load(), now.Add(provenFor)})
		}
	}
	s.next = time.Time{}
	t.schedule(s, now)
}

// rest returns a list without its first element. An empty list keeps no memory.
func rest(list []waiting) []waiting {
	if len(list) == 1 {
		return nil
	}
	return list[1:]
}
