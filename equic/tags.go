package equic

import (
	"math/bits"
	"sync/atomic"
)

const (
	bucketSlots  = 8 // in two cache lines
	lineSlots    = 4
	groupBuckets = 8 // their tags are one cache line
)

// tableMemory is what the kernel reads of a table.
type tableMemory struct {
	tags  []atomic.Uint64 // of each bucket: a byte for each slot, zero if it is free
	slots []slot
}

func newTableMemory(groups uint32) tableMemory {
	buckets := groups * groupBuckets
	return tableMemory{make([]atomic.Uint64, buckets), make([]slot, buckets*bucketSlots)}
}

// tagOf returns the tag of a client with a hash. It is never zero.
func tagOf(hash uint64) uint64 { return max(1, hash>>56) }

// bytesEqual returns the highest bit of each byte of tags that is equal to tag.
func bytesEqual(tags, tag uint64) uint64 {
	const everyByte, low = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f
	differs := tags ^ tag*everyByte
	return ^(differs&low + low | differs | low)
}

// path is the cache lines in which a client may have its slot, in the order in which the
// program looks: it goes no further than the first that has a slot with the client's tag.
// Line n has the slots from n*lineSlots on. The first two are of one bucket, the last two
// of another.
type path [4]int

// pathOf returns the path of a client with a hash. All of it is in one group.
func (t *table) pathOf(hash uint64) path {
	first := t.groupOf(hash)*groupBuckets + int(hash%groupBuckets)
	second := first ^ int(hash>>3%groupBuckets|1)
	return path{2 * first, 2*first + 1, 2 * second, 2*second + 1}
}

func (t *table) groupOf(hash uint64) int { return int(uint32(hash>>16) & (t.groups - 1)) }

// precedes reports whether a line comes before another that is on the path.
func (p path) precedes(line, other int) bool {
	for _, l := range p {
		if l == line || l == other {
			return l == line && line != other
		}
	}
	return false
}

// find returns the slot of a client with a hash, negative if it has none.
func (t *table) find(hash uint64) int {
	p := t.pathOf(hash)
	for _, bucket := range [...]int{p[0] / 2, p[2] / 2} {
		for left := bytesEqual(t.tags[bucket].Load(), tagOf(hash)); left != 0; left &= left - 1 {
			if i := bucket*bucketSlots + bits.TrailingZeros64(left)/8; t.slots[i].hash.Load() == hash {
				return i
			}
		}
	}
	return -1
}

// fits reports whether the program would find a client in a line of its path, and would still
// find all others. Callers hold the lock of the stripe.
func (t *table) fits(hash uint64, line int) bool {
	own, first := t.pathOf(hash), t.groupOf(hash)*groupBuckets
	for bucket := first; bucket < first+groupBuckets; bucket++ {
		for left := bytesEqual(t.tags[bucket].Load(), tagOf(hash)); left != 0; left &= left - 1 {
			i := bucket*bucketSlots + bits.TrailingZeros64(left)/8
			other := t.slots[i].hash.Load()
			if other == hash {
				continue // it is about to be moved
			}
			if own.precedes(i/lineSlots, line) || t.pathOf(other).precedes(line, i/lineSlots) {
				return false
			}
		}
	}
	return true
}

// freeSlot returns a free slot for a client, in the emptiest line that it fits in, or a
// negative number. Callers hold the lock of the stripe.
func (t *table) freeSlot(hash uint64) int {
	slot, most := -1, 0
	for _, line := range t.pathOf(hash) {
		free := bytesEqual(t.tags[line/2].Load(), 0) >> (line % 2 * 8 * lineSlots) & 0xffffffff
		if n := bits.OnesCount64(free); n > most && t.fits(hash, line) {
			slot, most = line*lineSlots+bits.TrailingZeros64(free)/8, n
		}
	}
	return slot
}

// makeRoom moves another client, and returns its slot for a client that has found no free one,
// or a negative number. Callers hold the lock of the stripe.
func (t *table) makeRoom(hash uint64) int {
	for _, line := range t.pathOf(hash) {
		if !t.fits(hash, line) {
			continue
		}
		for i := line * lineSlots; i < (line+1)*lineSlots; i++ {
			other := t.slots[i].hash.Load()
			if tagOf(other) == tagOf(hash) { // one could hide the other
				continue
			}
			if to := t.freeSlot(other); to >= 0 {
				t.move(i, to)
				return i
			}
		}
	}
	return -1
}

// move moves a client to a free slot. A packet that the program judges at this moment may be
// judged as one of a client without connections.
func (t *table) move(from, to int) {
	hash := t.slots[from].hash.Load()
	t.entries[to] = t.entries[from]
	t.slots[to].state.Store(t.slots[from].state.Load())
	t.slots[to].hash.Store(hash)
	t.setTag(to, tagOf(hash))
	t.clear(from)
}

// clear makes a slot free.
func (t *table) clear(index int) {
	t.setTag(index, 0)
	t.slots[index].hash.Store(0)
	t.slots[index].state.Store(0)
	t.entries[index] = entry{}
}

// setTag changes the tag of a slot. Callers hold the lock of its stripe.
func (t *table) setTag(index int, tag uint64) {
	word, shift := &t.tags[index/bucketSlots], index%bucketSlots*8
	word.Store(word.Load()&^(0xff<<shift) | tag<<shift)
}
