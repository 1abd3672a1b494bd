package analysis

import (
	"github.com/equic-bench/equic-bench/stats"
)

const (
	secondNS = int64(1e9)
	// paperBinNS is the width of the paper's bins (section VIII).
	paperBinNS = 5 * secondNS

	// Band is the band around the median before the attack. A throughput has recovered
	// if it stays in the band for five bins (steady) of 1 s (docs/method.md, recovery).
	Band   = 0.10
	steady = 5
)

// completions counts the completed requests in each second from the epoch on.
type completions struct {
	all     int   // including those outside of the window
	endNS   int64 // of the window; zero if it is known only after reading all
	seconds []int
}

func (c *completions) add(atNS int64) {
	c.all++
	if atNS < 0 || c.endNS > 0 && atNS >= c.endNS {
		return
	}
	second := int(atNS / secondNS)
	if missing := second + 1 - len(c.seconds); missing > 0 {
		c.seconds = append(c.seconds, make([]int, missing)...)
	}
	c.seconds[second]++
}

// rates returns rates per second, in bins of the given width, whole seconds. Empty bins
// are kept; a remainder at the end that does not fill a bin is left out.
func (c *completions) rates(widthNS, endNS int64) []float64 {
	bins := make([]float64, max(0, endNS/widthNS))
	width := int(widthNS / secondNS)
	for i, n := range c.seconds {
		if bin := i / width; bin < len(bins) {
			// One at a time: n/width would round differently, and change the last digit
			// of existing reports.
			for range n {
				bins[bin] += 1 / float64(width)
			}
		}
	}
	return bins
}

func (r *reading) throughput() Throughput {
	if r.experiment.Sequential.Clients == 0 {
		u := Unknown()
		return Throughput{u, u, u, u, u, u, u, u, u, u}
	}
	fine := r.done.rates(secondNS, r.endNS)
	paper := r.done.rates(paperBinNS, r.endNS)
	load := r.experiment.Sequential
	return Throughput{
		Harmonic:       Number(stats.Harmonic(fine)),
		Arithmetic:     Number(stats.Arithmetic(fine)),
		Min:            Number(stats.Min(fine)),
		ZeroBins:       zeros(fine),
		Paper:          Number(stats.HarmonicNonZero(paper)),
		PaperZeroBins:  zeros(paper),
		MedianBefore:   Number(stats.Median(r.before(fine, secondNS))),
		ScheduledPerS:  scheduledRate(load),
		CompletedShare: Ratio(float64(r.done.all), float64(load.Clients*load.Requests)),
		TotalS:         r.total(),
	}
}

// total returns when the last sequential request ended, from the epoch; unknown without one.
func (r *reading) total() Number {
	if r.sequentialEndNS == 0 {
		return Unknown()
	}
	return Number(Seconds(r.sequentialEndNS))
}

func zeros(bins []float64) Number {
	var n Number
	for _, v := range bins {
		if v == 0 {
			n++
		}
	}
	return n
}

// before returns the bins that end before the attack starts; all bins without an attack.
func (r *reading) before(bins []float64, widthNS int64) []float64 {
	if r.attack.empty() {
		return bins
	}
	return bins[:min(int64(len(bins)), max(0, r.attack.fromNS/widthNS))]
}
