package report

import (
	"math"

	"github.com/equic-bench/equic-bench/stats"
)

const (
	secondNS = int64(1e9)
	// paperBinNS is the width of the paper's bins (section VIII).
	paperBinNS = 5 * secondNS

	// Recovered is: within band of the median before the attack, for steady
	// bins of 1 s (docs/method.md, recovery).
	band   = 0.10
	steady = 5
)

// completions counts what was done in each second from the epoch on.
type completions struct {
	all     int   // those outside of the window too
	endNS   int64 // of the window; zero where it is not known before all is read
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

// rates are per second, in bins of the given width, whole seconds. Empty bins
// are kept; a rest at the end that does not fill a bin is left out.
func (c *completions) rates(widthNS, endNS int64) []float64 {
	bins := make([]float64, max(0, endNS/widthNS))
	width := int(widthNS / secondNS)
	for i, n := range c.seconds {
		if bin := i / width; bin < len(bins) {
			// One at a time: n/width would round otherwise, and change the last
			// digit of reports that are kept.
			for range n {
				bins[bin] += 1 / float64(width)
			}
		}
	}
	return bins
}

func (r *reading) throughput() Throughput {
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
		CompletedShare: Number(float64(r.done.all) / float64(load.Clients*load.Requests)),
	}
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

// before is the bins that end before the attack starts; all without an attack.
func (r *reading) before(bins []float64, widthNS int64) []float64 {
	if r.attack.empty() {
		return bins
	}
	return bins[:min(int64(len(bins)), max(0, r.attack.fromNS/widthNS))]
}

func (r *reading) recovery() Recovery {
	none := Recovery{OnsetS: unknown(), Recovered: unknown(), ObservedS: unknown(), BelowS: unknown(), PaperBin: unknown()}
	fine := r.done.rates(secondNS, r.endNS)
	usual := stats.Median(r.before(fine, secondNS))
	if r.attack.empty() || math.IsNaN(usual) || usual == 0 || r.attack.fromNS >= r.endNS {
		return none
	}
	onset := max(0, r.attack.fromNS)
	rec := Recovery{
		OnsetS:    Number(math.Inf(1)),
		ObservedS: tenths(r.endNS - onset),
		PaperBin:  r.paperRecovery(),
	}
	for _, rate := range fine[onset/secondNS:] {
		if rate < usual*(1-band) {
			rec.BelowS++
		}
	}
	if bin := firstSteady(fine, int(onset/secondNS), usual, steady); bin >= 0 {
		rec.OnsetS = max(0, tenths(int64(bin)*secondNS-onset))
		rec.Recovered = 1
	}
	return rec
}

// tenths is a time in s, to a tenth: bins are of a second, so how many ms after
// its schedule the attack's first request started must make no difference.
func tenths(ns int64) Number { return Number(math.Round(seconds(ns)*10) / 10) }

// paperRecovery is the number of the first 5 s bin from the attack on that is
// within the band again, counted from the start of the run; +Inf where none is.
func (r *reading) paperRecovery() Number {
	bins := r.done.rates(paperBinNS, r.endNS)
	usual := stats.Median(r.before(bins, paperBinNS))
	if math.IsNaN(usual) || usual == 0 {
		return unknown()
	}
	bin := firstSteady(bins, int(max(0, r.attack.fromNS)/paperBinNS), usual, 1)
	if bin < 0 {
		return Number(math.Inf(1))
	}
	return Number(bin)
}

// firstSteady is the first bin at or after from that begins n bins within the
// band around usual; -1 where there is none.
func firstSteady(bins []float64, from int, usual float64, n int) int {
	run := 0
	for i := from; i < len(bins); i++ {
		if math.Abs(bins[i]-usual) > usual*band+1e-9 {
			run = 0
			continue
		}
		if run++; run == n {
			return i - n + 1
		}
	}
	return -1
}
