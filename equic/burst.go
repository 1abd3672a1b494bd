package equic

import "slices"

// A burst is short, so that an interrupt spoils few of them and the median
// passes them over; one long run would average everything in. The kernel takes
// about 20 ms to prepare each (it patches its XDP dispatcher), which is not in
// the time that it reports.
const (
	bursts       = 15 // odd, so that the median is one of them
	runsPerBurst = 1000
)

// median of an odd number of values; it sorts them.
func median(sample []float64) float64 {
	slices.Sort(sample)
	return sample[len(sample)/2]
}

// openingDatagram is the start of a QUIC version 1 Initial, padded as a client must: it
// is dropped under either policy.
func openingDatagram() []byte {
	d := make([]byte, quicMinInitialBytes)
	copy(d, []byte{0xc0, 0, 0, 0, 1, quicMinClientChosen}) // RFC 9000, 17.2.2
	return d
}
