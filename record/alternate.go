package record

// MeasuredStretch reports whether the server is measured in a stretch of a trial
// that measures it half of the time (Experiment.AlternateNS). Stretch 0 begins at
// the epoch; before it the server is measured as ever.
//
// Of each pair (2k, 2k+1) one is measured, so that what drifts is in both halves
// alike. Which one follows from k alone, by a hash: a fixed order, whatever it is,
// is in step with something (that of Thue and Morse with all that comes back every
// third time).
func MeasuredStretch(n int64) bool {
	if n < 0 {
		return true
	}
	first := mixed(uint64(n)/2)&1 == 1
	return first == (n%2 == 0)
}

// mixed is the first output of the generator SplitMix64 (Steele, Lea, Flood, 2014)
// with the seed n.
func mixed(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
