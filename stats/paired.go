package stats

import (
	"math"
	"slices"
)

// PseudoMedian returns the median of all means of two values, including each value with
// itself: the estimate of Hodges and Lehmann. It estimates the median of the population
// if that is symmetric. Of all values, the signed-rank test rejects this one least. It
// is infinite if half of the means are. It is NaN if x is empty, or contains a NaN or
// infinities of both signs.
//
// Source: Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963).
func PseudoMedian(x []float64) float64 {
	means := walsh(x)
	if len(means) == 0 || slices.ContainsFunc(means, math.IsNaN) {
		return math.NaN()
	}
	return middle(means[(len(means)-1)/2], means[len(means)/2])
}

// PseudoMedianInterval returns the interval for the pseudo-median from the exact
// signed-rank test: the values that the test does not reject. For every symmetric
// distribution, its coverage is that of the test. There is no interval if the test
// can't reject at that level: 95 % needs 6 values.
//
// Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd
// ed. (2014), section 3.3.
func PseudoMedianInterval(x []float64, confidence float64) Interval {
	means := walsh(x)
	cut, tail := signedRankCut(len(x), (1-confidence)/2)
	if cut == 0 || slices.ContainsFunc(means, math.IsNaN) {
		return noInterval()
	}
	return Interval{Low: means[cut-1], High: means[len(means)-cut], Coverage: 1 - 2*tail, Method: SignedRanks}
}

// walsh returns the means of every two values of x, and of each with itself, ascending.
func walsh(x []float64) []float64 {
	means := make([]float64, 0, len(x)*(len(x)+1)/2)
	for i, a := range x {
		for _, b := range x[i:] {
			means = append(means, middle(a, b))
		}
	}
	slices.Sort(means)
	return means
}

// middle returns the mean of a and b. It is zero if they cancel except for rounding, as
// the logarithms of 10/11 and 11/10 do. Otherwise an interval would end just beside no
// change.
func middle(a, b float64) float64 {
	if equal(a, -b) && !math.IsInf(a, 0) {
		return 0
	}
	return a/2 + b/2
}

// signedRankCut returns how many sums of ranks, from zero on, the signed-rank test of n
// values rejects on one side at a level, and their probability.
func signedRankCut(n int, level float64) (cut int, tail float64) {
	ranks := make([]int, n)
	for i := range ranks {
		ranks[i] = i + 1
	}
	for _, p := range subsetSums(ranks) {
		if tail+p > level+1e-12 {
			break
		}
		tail += p
		cut++
	}
	return cut, tail
}

// Paired compares two variants that were run in the same blocks.
type Paired struct {
	// Blocks is the number of pairs with both values.
	Blocks int
	// Ratio is the first over the second, as a typical value over the blocks: the
	// exponential of the pseudo-median of the logarithms.
	Ratio float64
	// Interval is the interval for Ratio. It agrees with P: without ties it excludes 1
	// if P is at most 1 - confidence.
	Interval Interval
	// P is the p-value of the exact signed-rank test of the hypothesis that the two do
	// not differ.
	P float64
}

// PairRatios compares with[i] to without[i] over all blocks i. It uses the logarithms
// of the ratios, so swapping the two only inverts the result. Two zeros are no
// difference. A pair is left out if one of the two is NaN or negative, or both are
// infinite. It panics if the lengths differ.
func PairRatios(with, without []float64, confidence float64) Paired {
	if len(with) != len(without) {
		panic("stats: pairs of unequal length")
	}
	var logs []float64
	for i := range with {
		if l := logRatio(with[i], without[i]); !math.IsNaN(l) {
			logs = append(logs, l)
		}
	}
	p := Paired{
		Blocks:   len(logs),
		Ratio:    math.Exp(PseudoMedian(logs)),
		Interval: PseudoMedianInterval(logs, confidence),
		P:        SignedRank(logs),
	}
	p.Interval.Low, p.Interval.High = math.Exp(p.Interval.Low), math.Exp(p.Interval.High)
	return p
}

// logRatio returns the logarithm of a/b. It is infinite if one of the two is zero.
func logRatio(a, b float64) float64 {
	switch {
	case a < 0 || b < 0:
		return math.NaN()
	case a == 0 && b == 0:
		return 0
	}
	return math.Log(a / b)
}
