package stats

import (
	"math"
	"slices"
)

// PseudoMedian is the median of all means of two values, a value with itself
// included: the estimate of Hodges and Lehmann. It is the median of the
// population where that is symmetric, and the one value that the signed-rank
// test rejects least. It is infinite where half of the means are, and NaN where
// x is empty, or holds a NaN or infinities of both signs.
//
// Source: Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963).
func PseudoMedian(x []float64) float64 {
	means := walsh(x)
	if len(means) == 0 || slices.ContainsFunc(means, math.IsNaN) {
		return math.NaN()
	}
	return middle(means[(len(means)-1)/2], means[len(means)/2])
}

// PseudoMedianInterval is the interval for the pseudo-median that the exact
// signed-rank test makes: the values that it does not reject. Its coverage is
// that of the test, whatever the distribution, where that is symmetric. There is
// none where the test can't reject at that level: 95 % needs 6 values.
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

// walsh is the mean of every two of x and of each with itself, ascending.
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

// middle is the mean of a and b, and zero where they cancel but for rounding:
// the logarithms of 10/11 and 11/10 do, and else an interval would end just
// beside no change.
func middle(a, b float64) float64 {
	if equal(a, -b) && !math.IsInf(a, 0) {
		return 0
	}
	return a/2 + b/2
}

// signedRankCut is how many sums of ranks, from zero on, the signed-rank test of
// n values rejects on one side at a level, and their probability.
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
	// Blocks is how many pairs have both values.
	Blocks int
	// Ratio is the first over the second, typical over the blocks: the
	// pseudo-median of the logarithms, taken back.
	Ratio float64
	// Interval is that of Ratio. It and P agree: without ties it excludes 1
	// where P is at most 1 - confidence.
	Interval Interval
	// P is the p-value of the exact signed-rank test that the two do not differ.
	P float64
}

// PairRatios compares with[i] to without[i] over all blocks i. Ratios are taken
// as logarithms, so that it makes no difference which of the two is on top. Two
// zeros are no difference. A pair is left out where one of the two is NaN or
// negative, or both are infinite. It panics where the lengths differ.
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

// logRatio is the logarithm of a/b; infinite where one of the two is zero.
func logRatio(a, b float64) float64 {
	switch {
	case a < 0 || b < 0:
		return math.NaN()
	case a == 0 && b == 0:
		return 0
	}
	return math.Log(a / b)
}
