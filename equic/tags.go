package equic

import (
	"math"
	"math/bits"
	"sync/atomic"
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

// setTag changes the tag of a slot. Callers hold the lock of its stripe.
func (t *table) setTag(index int, tag uint64) {
	word, shift := &t.tags[index/bucketSlots], index%bucketSlots*8
	word.Store(word.Load()&^(0xff<<shift) | tag<<shift)
}

// freeSlot returns a free slot of a client's bucket, negative if it is full, and the number
// of used slots.
func (t *table) freeSlot(p *place, bucket int) (free, used int) {
	zeros := bytesEqual(t.tags[bucket].Load(), 0)
	if zeros == 0 {
		return -1, bucketSlots
	}
	used = bucketSlots - bits.OnesCount64(zeros)
	line := uint64(math.MaxUint32) << (p.hash >> 6 & 1 * 32)
	if zeros&line != 0 {
		zeros &= line
	}
	return bucket*bucketSlots + bits.TrailingZeros64(zeros)/8, used
}
