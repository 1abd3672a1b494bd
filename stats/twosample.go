package stats

import (
	"math"
	"slices"
)

// Shift returns how much larger the values of x typically are than those of y: the
// median of all differences of a value of x and one of y, the estimate of Hodges and
// Lehmann. Of all shifts, the rank-sum test rejects this one least. Equal infinities do
// not differ. It is NaN if a sample is empty or contains a NaN, or if the middle is
// between infinities of both signs.
//
// Source: Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963).
func Shift(x, y []float64) float64 {
	d := differences(x, y)
	if len(d) == 0 || slices.ContainsFunc(d, math.IsNaN) {
		return math.NaN()
	}
	return middle(d[(len(d)-1)/2], d[len(d)/2])
}

// ShiftInterval returns the interval for Shift from the exact rank-sum test: the shifts
// that the test does not reject. Its coverage is that of the test if y has the
// distribution of x except for a shift, and there are no ties. Ties make the coverage
// larger. There is no interval if the test can't reject at that level: 95 % needs
// samples of 4 and 4, 3 and 5, 2 and 8, or 1 and 39.
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

// differences returns every value of x minus every value of y, ascending.
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

// difference returns a minus b. It is zero if they are equal except for rounding;
// otherwise an interval would end just beside no change. Equal infinities are equal.
func difference(a, b float64) float64 {
	if equal(a, b) {
		return 0
	}
	return a - b
}

// rankSumCut returns how many rank sums, from the least on, the rank-sum test of m and
// n values without ties rejects on one side at a level, and their probability.
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

// LeastRankSum returns the least p-value that RankSum gives to samples of m and n
// values, which is that of samples that do not overlap: 2/C(m+n, m). It is 1 if a
// sample is empty.
func LeastRankSum(m, n int) float64 {
	ways := 1.0
	for i := 1; i <= m; i++ {
		ways *= float64(n+i) / float64(i)
	}
	return min(1, 2/ways)
}

// Unpaired compares two independent samples.
type Unpaired struct {
	// With and Without are the numbers of values in each.
	With, Without int
	// Ratio is the first over the second, as a typical value over all pairs of a value
	// of each: the exponential of the shift of the logarithms.
	Ratio float64
	// Interval is the interval for Ratio. It agrees with P: without ties it excludes 1
	// if P is at most 1 - confidence.
	Interval Interval
	// P is the p-value of the exact rank-sum test of the hypothesis that the two do not
	// differ.
	P float64
}

// SampleRatios compares two samples that are not paired. It uses the logarithms of the
// ratios, so swapping the two only inverts the result. Two zeros, or two infinities,
// are no difference. A zero on one side is a ratio of zero, or an infinite one. Values
// that are NaN or negative are left out.
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

// logs returns the logarithms of the values that have one, including that of zero.
func logs(x []float64) []float64 {
	var of []float64
	for _, v := range x {
		if v >= 0 {
			of = append(of, math.Log(v))
		}
	}
	return of
}
