package equic

import "slices"

// Many short bursts, of which we take the median: an interrupt then spoils only a few
// of them. A single long run would include every interrupt in its mean. The kernel
// takes about 20 ms to prepare each burst (it patches its XDP dispatcher), which the
// time that it reports does not include.
const (
	bursts       = 15 // odd, so that the median is one of the bursts
	runsPerBurst = 1000
)

// median returns the median of an odd number of values. It sorts them in place.
func median(sample []float64) float64 {
	slices.Sort(sample)
	return sample[len(sample)/2]
}

// openingDatagram returns the start of a QUIC version 1 Initial, padded as a client
// must. Both policies drop it.
func openingDatagram() []byte {
	d := make([]byte, quicMinInitialBytes)
	copy(d, []byte{0xc0, 0, 0, 0, 1, quicMinClientChosen}) // RFC 9000, 17.2.2
	return d
}
