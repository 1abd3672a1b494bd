package equic

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// hashKey is the random key of a table's hash.
type hashKey [2]uint64

// newHashKey is a key that nobody can guess.
func newHashKey() (k hashKey) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hashKey{binary.NativeEndian.Uint64(b[:8]), binary.NativeEndian.Uint64(b[8:])}
}

// hash is SipHash-1-3 of a client's address, as hash_of in bpf/equic.bpf.c
// computes it; never zero. Two clients have the same hash with a probability of
// 2^-64, and nobody without the key can choose addresses that do.
func (k hashKey) hash(c clientKey) uint64 {
	high, low := binary.NativeEndian.Uint64(c.Prefix[:8]), binary.NativeEndian.Uint64(c.Prefix[8:])
	port := uint64(c.Port)
	s := sip{
		k[0] ^ 0x736f6d6570736575, k[1] ^ port ^ 0x646f72616e646f6d,
		k[0] ^ 0x6c7967656e657261, k[1] ^ port ^ 0x7465646279746573,
	}
	s[3] ^= high
	s.round()
	s[0] ^= high
	s[3] ^= low
	s.round()
	s[0] ^= low
	s[2] ^= 0xff
	s.round()
	s.round()
	s.round()
	return max(1, s[0]^s[1]^s[2]^s[3])
}

// sip is the state of SipHash (Aumasson and Bernstein, 2012).
type sip [4]uint64

func (s *sip) round() {
	s[0] += s[1]
	s[1] = bits.RotateLeft64(s[1], 13) ^ s[0]
	s[0] = bits.RotateLeft64(s[0], 32)
	s[2] += s[3]
	s[3] = bits.RotateLeft64(s[3], 16) ^ s[2]
	s[0] += s[3]
	s[3] = bits.RotateLeft64(s[3], 21) ^ s[0]
	s[2] += s[1]
	s[1] = bits.RotateLeft64(s[1], 17) ^ s[2]
	s[2] = bits.RotateLeft64(s[2], 32)
}
