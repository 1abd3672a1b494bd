package stats

import (
	"math"
	"sort"
)

// Quantile returns the p-quantile of sorted values, 0 <= p <= 1, by linear
// interpolation between the order statistics around (n-1)p: type 7 of Hyndman and Fan
// (1996), the default of R and NumPy. It is NaN if there are no values or p is out of
// range.
func Quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	h := float64(len(sorted)-1) * p
	low := int(math.Floor(h))
	if low == len(sorted)-1 || h == float64(low) {
		return sorted[low]
	}
	if sorted[low] == sorted[low+1] {
		return sorted[low] // the difference of two infinities is NaN
	}
	return sorted[low] + (h-float64(low))*(sorted[low+1]-sorted[low])
}

// beyond is how many values must be expected beyond a percentile before it is printed:
// 441 values at p99 (docs/method/statistics.md, Quantiles and histograms). The binomial
// bound for a two-sided 95 % interval with equal tails requires 3.7, so this is on the
// safe side.
const beyond = 4.41

// Needed returns the smallest sample size for which the p-quantile is printed: 441 for
// p99, 89 for p95, 9 for the median.
func Needed(p float64) int {
	return int(math.Ceil(beyond/math.Min(p, 1-p) - 1e-9))
}

// QuantileIfSupported returns Quantile, or NaN if the sample is smaller than Needed(p).
func QuantileIfSupported(sorted []float64, p float64) float64 {
	if len(sorted) < Needed(p) {
		return math.NaN()
	}
	return Quantile(sorted, p)
}

// Step is one step of an empirical distribution function.
type Step struct {
	X     float64 // a value of the sample
	Share float64 // of the sample at or below X, in 0..1
}

// ECDF returns the empirical distribution function of sorted values: one step for each
// distinct value, the last with share 1. Nothing is fitted or smoothed.
func ECDF(sorted []float64) []Step {
	var steps []Step
	for i, x := range sorted {
		if i+1 < len(sorted) && sorted[i+1] == x {
			continue
		}
		steps = append(steps, Step{X: x, Share: float64(i+1) / float64(len(sorted))})
	}
	return steps
}

// Thin leaves out steps that are less than 1/most above the last one kept. So at most
// most+2 steps are kept, and the error of the share is at most 1/most everywhere. The
// first and the last step are kept. If len(steps) is not above most, they are
// returned unchanged.
func Thin(steps []Step, most int) []Step {
	if len(steps) <= most {
		return steps
	}
	thin := []Step{steps[0]}
	for _, s := range steps[1:] {
		if s.Share-thin[len(thin)-1].Share >= 1/float64(most) {
			thin = append(thin, s)
		}
	}
	if last := steps[len(steps)-1]; thin[len(thin)-1] != last {
		thin = append(thin, last)
	}
	return thin
}

// ShareBelow returns the share, in 0..1, of sorted values that are less than x, or NaN
// if there are none.
func ShareBelow(sorted []float64, x float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return float64(sort.SearchFloat64s(sorted, x)) / float64(len(sorted))
}
