package record

// MeasuredStretch reports whether the server is measured in stretch n. It is for a
// trial that measures it half of the time (Experiment.AlternateNS). Stretch 0 begins at
// the epoch. Before that, the server is measured as usual.
//
// One stretch of each pair (2k, 2k+1) is measured, so drift affects both halves
// equally. A hash of k selects which one. Any fixed pattern would be in step with some
// periodic effect (the Thue-Morse sequence, for example, with every effect of period
// three).
func MeasuredStretch(n int64) bool {
	if n < 0 {
		return true
	}
	first := mixed(uint64(n)/2)&1 == 1
	return first == (n%2 == 0)
}

// mixed returns the first output of the generator SplitMix64 (Steele, Lea, Flood, 2014)
// with the seed n.
func mixed(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
