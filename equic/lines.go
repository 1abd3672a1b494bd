package equic

import (
	"math/bits"
	"sync/atomic"
)

const (
	lineSlots  = 4  // of a cache line
	groupLines = 16 // their tags are one cache line
	groupSlots = groupLines * lineSlots
	mostMoves  = 2 // of other clients, to make room for one
)

// group is a part of a table, in the kernel's format (struct group in bpf/maps.h).
type group struct {
	tags  [groupLines]atomic.Uint32 // a byte for each slot of the line, zero if it is free
	slots [groupSlots]slot
}

// slot is a client's place in the table, in the kernel's format (struct slot in
// bpf/maps.h).
type slot struct {
	hash  atomic.Uint64 // zero if the slot is free
	state atomic.Uint64 // connections (32 bits), ports (24), dropped (8)
}

// slot returns a slot by its number in the whole table.
func (t *table) slot(index int) *slot { return &t.groups[index/groupSlots].slots[index%groupSlots] }

// tags returns the tags of a line, which has the slots from line*lineSlots on.
func (t *table) tags(line int) *atomic.Uint32 {
	return &t.groups[line/groupLines].tags[line%groupLines]
}

func (t *table) groupOf(hash uint64) int { return int(hash>>16) & (len(t.groups) - 1) }

// linesOf returns the two lines of a client, in the order in which the program looks into
// them. Both are in one group.
func (t *table) linesOf(hash uint64) [2]int {
	first, apart := int(hash%groupLines), int(hash>>4%groupLines|1)
	group := t.groupOf(hash) * groupLines
	return [2]int{group + first, group + first ^ apart}
}

// tagOf returns the tag of a client. It is never zero.
func tagOf(hash uint64) uint32 { return uint32(max(1, hash>>56)) }

// tagged returns the highest bit of each byte of the tags of a line that is equal to tag.
func (t *table) tagged(line int, tag uint32) uint32 {
	const everyByte, low = 0x01010101, 0x7f7f7f7f
	differs := t.tags(line).Load() ^ tag*everyByte
	return ^(differs&low + low | differs | low)
}

// find returns the slot of a client, negative if it has none.
func (t *table) find(hash uint64) int {
	for _, line := range t.linesOf(hash) {
		for left := t.tagged(line, tagOf(hash)); left != 0; left &= left - 1 {
			if i := line*lineSlots + bits.TrailingZeros32(left)/8; t.slot(i).hash.Load() == hash {
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
			if i := t.makeRoom(hash, line, moves); i >= 0 {
				return i
			}
		}
	}
	return -1
}

// makeRoom returns a free slot for a client in one of its lines, or a negative number. If the
// line is full, it moves a client to its other line, for which it may move another one in the
// same way.
func (t *table) makeRoom(hash uint64, line, moves int) int {
	slot := -1
	if free := t.tagged(line, 0); free != 0 {
		slot = line*lineSlots + bits.TrailingZeros32(free)/8
	}
	for i := line * lineSlots; slot < 0 && moves > 0 && i < (line+1)*lineSlots; i++ {
		other := t.slot(i).hash.Load()
		if tagOf(other) == tagOf(hash) { // in two lines, one could hide the other
			continue
		}
		lines := t.linesOf(other)
		if to := t.makeRoom(other, lines[0]^lines[1]^line, moves-1); to >= 0 {
			t.move(i, to)
			slot = i
		}
	}
	if slot >= 0 && !t.fits(hash, line) {
		return -1
	}
	return slot
}

// fits reports whether the program would find a client in a line, and would still find all
// others there. It looks into a client's second line only if no slot of the first has its tag.
func (t *table) fits(hash uint64, line int) bool {
	own, group := t.linesOf(hash)[0], line/groupLines*groupLines
	for l := group; l < group+groupLines; l++ {
		for left := t.tagged(l, tagOf(hash)); left != 0 && l != line; left &= left - 1 {
			other := t.slot(l*lineSlots + bits.TrailingZeros32(left)/8).hash.Load()
			if other != hash && (l == own || t.linesOf(other)[0] == line) {
				return false
			}
		}
	}
	return true
}

// fill gives a client a free slot.
func (t *table) fill(index int, hash, state uint64, e entry) {
	t.entries[index] = e
	t.slot(index).state.Store(state) // the program may have marked it after it was free
	t.slot(index).hash.Store(hash)
	t.setTag(index, tagOf(hash))
}

// clear makes a slot free.
func (t *table) clear(index int) {
	t.setTag(index, 0)
	t.slot(index).hash.Store(0)
	t.slot(index).state.Store(0)
	t.entries[index] = entry{}
}

// move moves a client to a free slot. A packet that the program judges at this moment may be
// judged as one of a client without connections, or of the one that gets the old slot.
func (t *table) move(from, to int) {
	t.fill(to, t.slot(from).hash.Load(), t.slot(from).state.Load(), t.entries[from])
	t.slot(to).state.Or(t.slot(from).state.Load() >> droppedShift << droppedShift) // since then
	t.clear(from)
}

func (t *table) setTag(index int, tag uint32) {
	tags, shift := t.tags(index/lineSlots), index%lineSlots*8
	tags.Store(tags.Load()&^(0xff<<shift) | tag<<shift)
}
