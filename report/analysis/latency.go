package analysis

import "github.com/equic-bench/equic-bench/stats"

// latencies are response times by the intended start, in bins of 5 s from the epoch.
// These are the paper's bins; at 18 requests/s and above, each has enough requests for
// a p95.
type latencies struct {
	n     int
	endNS int64 // of the window; zero if it is known only after reading all
	bins  []tally
}

func (l *latencies) add(atNS, ns int64) {
	if atNS < 0 || l.endNS > 0 && atNS >= l.endNS {
		return
	}
	bin := int(atNS / paperBinNS)
	if missing := bin + 1 - len(l.bins); missing > 0 {
		l.bins = append(l.bins, make([]tally, missing)...)
	}
	l.bins[bin].add(ns)
	// Like a tally of all of them, they use bounded memory.
	switch l.n++; {
	case l.n == exactBelow:
		for i := range l.bins {
			l.bins[i].compact()
		}
	case l.n > exactBelow:
		l.bins[bin].compact()
	}
}

// compact makes a histogram of the durations, if that takes less memory.
func (t *tally) compact() {
	const histogramBytes = 450_000 // 54 powers of two of 1,024 buckets
	if t.counts == nil && len(t.values)*8 >= histogramBytes {
		t.toHistogram()
	}
}

// quantiles returns the quantile of each whole bin in the window, in ms; NaN if its
// sample does not support it.
func (l *latencies) quantiles(p float64, endNS int64) []float64 {
	all := make([]float64, max(0, endNS/paperBinNS))
	for i := range all {
		var t tally
		if i < len(l.bins) {
			t = l.bins[i]
		}
		all[i] = float64(t.quantileIfSupported(p, 1e6))
	}
	return all
}

// quantileIfSupported returns the quantile in a unit given in ns; NaN if the sample is
// too small for it.
func (t *tally) quantileIfSupported(p, unitNS float64) Number {
	switch {
	case t.n < stats.Needed(p):
		return Unknown()
	case t.counts == nil:
		return Number(stats.Quantile(t.sorted(unitNS), p))
	}
	return t.quantile(p, unitNS)
}
