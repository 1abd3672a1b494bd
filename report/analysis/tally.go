package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/equic-bench/equic-bench/stats"
)

const (
	// exactBelow is the number from which durations are counted in a histogram instead
	// of being kept (docs/method/statistics.md, Quantiles and histograms).
	exactBelow = 1_000_000
	// significantDigits of the histogram: 1024 buckets for each power of two.
	significantDigits = 3
	// histogramErrorPercent is how much too high a quantile from the histogram can be,
	// as it is the upper end of a bucket: 1/1024, rounded up.
	histogramErrorPercent = 0.1
)

// tally collects durations of one kind: all of them, or from exactBelow on their
// histogram. The means and the largest stay exact.
type tally struct {
	values []int64 // ns; nil once there is a histogram
	counts *hdrhistogram.Histogram

	n                int
	sum, reciprocals float64 // of ns, and of 1/ns
	largest          int64
	negative         bool // one of them is negative: a clock went backwards
}

func (t *tally) add(ns int64) {
	t.n++
	if t.counts == nil {
		if t.values = append(t.values, ns); t.n == exactBelow {
			t.toHistogram()
		}
		return
	}
	t.count(ns)
}

func (t *tally) toHistogram() {
	t.counts = hdrhistogram.New(1, math.MaxInt64, significantDigits)
	for _, ns := range t.values {
		t.count(ns)
	}
	t.values = nil
}

func (t *tally) count(ns int64) {
	t.sum += float64(ns)
	t.reciprocals += 1 / float64(ns)
	t.largest = max(t.largest, ns)
	if err := t.counts.RecordValue(ns); err != nil {
		t.negative = true // the histogram supports all other values
	}
}

// sorted returns all durations in a unit given in ns, while they are kept.
func (t *tally) sorted(unitNS float64) []float64 {
	slices.Sort(t.values)
	x := make([]float64, len(t.values))
	for i, ns := range t.values {
		x[i] = float64(ns) / unitNS
	}
	return x
}

// statistics returns values in ms.
func (t *tally) statistics() Statistics {
	const unitNS = 1e6
	if t.counts == nil {
		return statistics(t.sorted(unitNS))
	}
	return Statistics{
		Count:      Number(t.n),
		Harmonic:   t.harmonic(unitNS),
		Arithmetic: Number(t.sum / float64(t.n) / unitNS),
		P50:        t.quantile(0.50, unitNS),
		P95:        t.quantile(0.95, unitNS),
		P99:        t.quantile(0.99, unitNS),
		Max:        Number(float64(t.largest) / unitNS),
	}
}

// meanAndMedian returns values in us.
func (t *tally) meanAndMedian() (mean, median Number) {
	const unitNS = 1e3
	if t.counts == nil {
		sorted := t.sorted(unitNS)
		return Number(stats.Arithmetic(sorted)), Number(stats.QuantileIfSupported(sorted, 0.5))
	}
	return Number(t.sum / float64(t.n) / unitNS), t.quantile(0.5, unitNS)
}

// harmonic returns the harmonic mean; zero if one duration is zero, as in stats.Harmonic.
func (t *tally) harmonic(unitNS float64) Number {
	if t.negative {
		return Unknown()
	}
	return Number(float64(t.n) / t.reciprocals / unitNS)
}

// quantile returns the histogram's quantile. The histogram has no negative durations,
// so if there is one, no rank is known.
func (t *tally) quantile(p, unitNS float64) Number {
	if t.negative {
		return Unknown()
	}
	return Number(float64(t.counts.ValueAtPercentile(100*p)) / unitNS)
}

// histogramWarning warns that the quantiles of trials are from a histogram.
func histogramWarning(trials []string) string {
	return fmt.Sprintf("%d of the trials have a million durations of one kind or more (%s first): their median, p95 "+
		"and p99 are read from a histogram and are up to %g %% too high; means and the largest are exact",
		len(trials), trials[0], histogramErrorPercent)
}
