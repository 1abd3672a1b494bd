package stats

import (
	"math"
	"slices"
)

// Shift is how much larger the values of x typically are than those of y: the
// median of all differences of a value of x and one of y, the estimate of
// Hodges and Lehmann. It is the one shift that the rank-sum test rejects least.
// Equal infinities do not differ. It is NaN where a sample is empty or holds a
// NaN, and where the middle is between infinities of both signs.
//
// Source: Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963).
func Shift(x, y []float64) float64 {
	d := differences(x, y)
	if len(d) == 0 || slices.ContainsFunc(d, math.IsNaN) {
		return math.NaN()
	}
	return middle(d[(len(d)-1)/2], d[len(d)/2])
}

// ShiftInterval is the interval for Shift that the exact rank-sum test makes:
// the shifts that it does not reject. Its coverage is that of the test, whatever
// the distribution, where y has that of x but for a shift, and nothing ties;
// ties make it cover more. There is none where the test can't reject at that
// level: 95 % needs samples of 4 and 4, 3 and 5, 2 and 8, or 1 and 39.
//
// Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd
// ed. (2014), section 4.3.
func ShiftInterval(x, y []float64, confidence float64) Interval {
	d := differences(x, y)
	cut, tail := rankSumCut(len(x), len(y), (1-confidence)/2)
	if cut == 0 || slices.ContainsFunc(d, math.IsNaN) {
		return noInterval()
	}
	return Interval{Low: d[cut-1], High: d[len(d)-cut], Coverage: 1 - 2*tail, Method: RankSums}
}

// differences is every value of x less every value of y, ascending.
func differences(x, y []float64) []float64 {
	all := make([]float64, 0, len(x)*len(y))
	for _, a := range x {
		for _, b := range y {
			all = append(all, difference(a, b))
		}
	}
	slices.Sort(all)
	return all
}

// difference is a less b, and zero where they are equal but for rounding: else
// an interval would end just beside no change. Equal infinities are equal.
func difference(a, b float64) float64 {
	if equal(a, b) {
		return 0
	}
	return a - b
}

// rankSumCut is how many rank sums, from the least on, the rank-sum test of m
// and n values without ties rejects on one side at a level, and their
// probability.
func rankSumCut(m, n int, level float64) (cut int, tail float64) {
	if m == 0 || n == 0 {
		return 0, 0
	}
	ranks := make([]int, m+n)
	for i := range ranks {
		ranks[i] = i + 1
	}
	for _, p := range sumsOf(m, ranks)[m*(m+1)/2:] {
		if tail+p > level+1e-12 {
			break
		}
		tail += p
		cut++
	}
	return cut, tail
}

// LeastRankSum is the least p-value that RankSum gives to samples of m and n
// values, where they do not overlap at all: 2/C(m+n, m). It is 1 where a sample
// is empty.
func LeastRankSum(m, n int) float64 {
	ways := 1.0
	for i := 1; i <= m; i++ {
		ways *= float64(n+i) / float64(i)
	}
	return min(1, 2/ways)
}

// Unpaired compares two independent samples.
type Unpaired struct {
	// With and Without are how many values each has.
	With, Without int
	// Ratio is the first over the second, typical over all pairs of a value of
	// each: the shift of the logarithms, taken back.
	Ratio float64
	// Interval is that of Ratio. It and P agree: without ties it excludes 1
	// where P is at most 1 - confidence.
	Interval Interval
	// P is the p-value of the exact rank-sum test that the two do not differ.
	P float64
}

// SampleRatios compares two samples that are not paired. Ratios are taken as
// logarithms, so that it makes no difference which of the two is on top. Two
// zeros, and two infinities, are no difference; a zero on one side is a ratio of
// zero, or one without bound. A value that is NaN or negative is left out.
func SampleRatios(with, without []float64, confidence float64) Unpaired {
	a, b := logs(with), logs(without)
	u := Unpaired{
		With: len(a), Without: len(b),
		Ratio:    math.Exp(Shift(a, b)),
		Interval: ShiftInterval(a, b, confidence),
		P:        RankSum(a, b),
	}
	u.Interval.Low, u.Interval.High = math.Exp(u.Interval.Low), math.Exp(u.Interval.High)
	return u
}

// logs is the logarithms of the values that have one, that of zero included.
func logs(x []float64) []float64 {
	var of []float64
	for _, v := range x {
		if v >= 0 {
			of = append(of, math.Log(v))
		}
	}
	return of
}
