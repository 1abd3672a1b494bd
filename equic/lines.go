package equic

import "sync/atomic"

const (
	lineSlots  = 4 // of a cache line
	groupLines = 16
	groupSlots = groupLines * lineSlots
	mostMoves  = 2 // of other clients, so that one has a slot
)

// Every hash of a client has the first bit and not the second (HASH_USED and HASH_AWAY in
// bpf/maps.h).
const (
	hashUsed = 1 << 15
	hashAway = 1 << 14
)

// group is a part of a table, in the kernel's format (struct group in bpf/maps.h).
type group struct{ slots [groupSlots]slot }

// slot is a client's place in the table, in the kernel's format (struct slot in
// bpf/maps.h).
type slot struct {
	hash  atomic.Uint64 // see client; the first slot of a line has hashAway, too
	state atomic.Uint64 // connections (32 bits), ports (24), dropped (8)
}

// client returns the hash of the slot's client, zero if it is free.
func (s *slot) client() uint64 { return s.hash.Load() &^ hashAway }

func (s *slot) setClient(hash uint64) { s.hash.Store(hash | s.hash.Load()&hashAway) }

// slot returns a slot by its number in the whole table.
func (t *table) slot(index int) *slot { return &t.groups[index/groupSlots].slots[index%groupSlots] }

func (t *table) groupOf(hash uint64) int { return int(hash>>16) & (len(t.groups) - 1) }

// linesOf returns the cache line that a client belongs in, and its second one. Line n has the
// slots from n*lineSlots on. Both are in one group.
func (t *table) linesOf(hash uint64) [2]int {
	first, apart := int(hash%groupLines), int(hash>>4%groupLines|1)
	group := t.groupOf(hash) * groupLines
	return [2]int{group + first, group + first ^ apart}
}

// find returns the slot of a client, negative if it has none.
func (t *table) find(hash uint64) int {
	for _, line := range t.linesOf(hash) {
		for i := line * lineSlots; i < (line+1)*lineSlots; i++ {
			if t.slot(i).client() == hash {
				return i
			}
		}
	}
	return -1
}

// What follows is for holders of the lock of the stripe.

// slotFor returns a free slot for a client, or a negative number. Other clients may have to move.
func (t *table) slotFor(hash uint64) int {
	for _, moves := range [...]int{0, mostMoves} {
		for _, line := range t.linesOf(hash) {
			if i := t.makeRoom(line, moves); i >= 0 {
				return i
			}
		}
	}
	return -1
}

// makeRoom returns a free slot of a line, or a negative number. If the line is full, it moves a
// client to its other line, for which it may move another one in the same way.
func (t *table) makeRoom(line, moves int) int {
	for i := line * lineSlots; i < (line+1)*lineSlots; i++ {
		if t.slot(i).client() == 0 {
			return i
		}
	}
	if moves == 0 {
		return -1
	}
	for i := line * lineSlots; i < (line+1)*lineSlots; i++ {
		lines := t.linesOf(t.slot(i).client())
		if to := t.makeRoom(lines[0]^lines[1]^line, moves-1); to >= 0 {
			t.move(i, to)
			return i
		}
	}
	return -1
}

// fill gives a client a free slot.
func (t *table) fill(index int, hash, state uint64, e entry) {
	t.entries[index] = e
	t.slot(index).state.Store(state) // the program may have marked it after it was free
	t.slot(index).setClient(hash)
	t.noteIn(index, hash)
}

// clear makes a slot free.
func (t *table) clear(index int) {
	hash := t.slot(index).client()
	t.slot(index).setClient(0)
	t.slot(index).state.Store(0)
	t.entries[index] = entry{}
	t.noteIn(index, hash)
}

// move moves a client to a free slot. A packet that the program judges at this moment may be
// judged as one of a client without connections.
func (t *table) move(from, to int) {
	t.fill(to, t.slot(from).client(), t.slot(from).state.Load(), t.entries[from])
	t.slot(to).state.Or(t.slot(from).state.Load() >> droppedShift << droppedShift) // since then
	t.clear(from)
}

// away returns the slot of a client that belongs in a line, but is in another, or a negative
// number.
func (t *table) away(line int) int {
	group := line / groupLines * groupSlots
	for i := group; i < group+groupSlots; i++ {
		if hash := t.slot(i).client(); hash != 0 && i/lineSlots != line && t.linesOf(hash)[0] == line {
			return i
		}
	}
	return -1
}

// noteIn calls noteAway after a change of a client's slot, if that is in its second line.
func (t *table) noteIn(index int, hash uint64) {
	if first := t.linesOf(hash)[0]; index/lineSlots != first {
		t.noteAway(first)
	}
}

// noteAway tells the program whether it has to look into a second line for some clients that
// belong in a line.
func (t *table) noteAway(line int) {
	s := t.slot(line * lineSlots)
	if t.away(line) >= 0 {
		s.hash.Store(s.hash.Load() | hashAway)
	} else {
		s.hash.Store(s.hash.Load() &^ hashAway)
	}
}

// bringHome moves clients that belong in a line back into its free slots, and does the same
// with the lines that they leave.
func (t *table) bringHome(line int) {
	for t.slot(line*lineSlots).hash.Load()&hashAway != 0 {
		to := t.makeRoom(line, 0)
		if to < 0 {
			return
		}
		from := t.away(line)
		t.move(from, to)
		t.bringHome(from / lineSlots)
	}
}
