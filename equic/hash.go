package equic

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// hashKey is the random key of a table's hash.
type hashKey [2]uint64

// newHashKey returns a random key.
func newHashKey() (k hashKey) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hashKey{binary.NativeEndian.Uint64(b[:8]), binary.NativeEndian.Uint64(b[8:])}
}

// hash returns the SipHash-1-3 (Aumasson and Bernstein, 2012) of the words of a client's
// address that are not zero, with the port and which words they are as part of the key, as
// hash_of in bpf/verdict.h computes it. It is never zero. Two clients have the same hash
// with a probability of 2^-63. Without the key, an attacker cannot choose addresses that
// collide.
func (k *hashKey) hash(c *clientKey) uint64 {
	high, low := binary.NativeEndian.Uint64(c.Prefix[:8]), binary.NativeEndian.Uint64(c.Prefix[8:])
	what, last := uint64(c.Port), high|low
	if high != 0 {
		what |= 1 << 16
	}
	if low != 0 {
		what |= 1 << 17
	}
	v0, v1 := k[0]^0x736f6d6570736575, k[1]^what^0x646f72616e646f6d
	v2, v3 := k[0]^0x6c7967656e657261, k[1]^what^0x7465646279746573
	if high != 0 && low != 0 {
		v3 ^= high
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= high
		last = low
	}
	v3 ^= last
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= last
	v2 ^= 0xff
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	return (v0 ^ v1 ^ v2 ^ v3) | 1<<15
}

// sipRound is small enough for the compiler to inline it.
func sipRound(v0, v1, v2, v3 uint64) (_, _, _, _ uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32) + v3
	v2 += v1
	return v0, bits.RotateLeft64(v1, 17) ^ v2, bits.RotateLeft64(v2, 32), bits.RotateLeft64(v3, 21) ^ v0
}
