package stats

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a confidence interval and the method that made it.
type Interval struct {
	// Low and High are its ends. Both are NaN if there is no interval.
	Low, High float64
	// Coverage is the probability, in 0..1, that such an interval covers the true
	// value. It is exact for the exact methods, for which it is at least the requested
	// confidence.
	Coverage float64
	// Method is how the interval was made, or "" if there is none.
	Method Method
}

// Method is a method to make an interval.
type Method string

// The methods.
const (
	OrderStatistics Method = "order statistics" // of the values: QuantileInterval
	SignedRanks     Method = "signed ranks"     // Walsh averages: PseudoMedianInterval
	RankSums        Method = "rank sums"        // differences: ShiftInterval
)

// noInterval returns the result for a sample that is too small for an interval.
func noInterval() Interval {
	return Interval{Low: math.NaN(), High: math.NaN(), Coverage: math.NaN()}
}

// Exists reports whether there is an interval. Its ends may be infinite.
func (i Interval) Exists() bool { return i.Method != "" }

// Excludes reports whether there is an interval and x is outside of it.
func (i Interval) Excludes(x float64) bool { return i.Exists() && (x < i.Low || x > i.High) }

// QuantileInterval returns a two-sided interval for the p-quantile of the population
// from which the sorted values were drawn independently. Its ends are the order
// statistics that leave at most (1-confidence)/2 on either side, by the binomial
// distribution. So it is valid for every distribution. There is none if there are too
// few values: at 95 % the median needs 6, and p99 needs 368.
//
// Source: David and Nagaraja, Order Statistics, 3rd ed. (2003), section 7.1.
func QuantileInterval(sorted []float64, p, confidence float64) Interval {
	low, high, coverage := QuantileOrders(len(sorted), p, confidence)
	if low == 0 {
		return noInterval()
	}
	return Interval{Low: sorted[low-1], High: sorted[high-1], Coverage: coverage, Method: OrderStatistics}
}

// QuantileOrders returns the order statistics of n values, counted from 1, that are the
// ends of the interval of QuantileInterval, and its coverage. It returns zeros if there
// is no interval.
func QuantileOrders(n int, p, confidence float64) (low, high int, coverage float64) {
	if n == 0 || !(p > 0 && p < 1) || !(confidence > 0 && confidence < 1) {
		return 0, 0, 0
	}
	below := distuv.Binomial{N: float64(n), P: p} // of the number of values below the quantile
	tail := (1-confidence)/2 + 1e-12              // tolerance for rounding
	low = sort.Search(n, func(k int) bool { return below.CDF(float64(k)) > tail })
	high = 1 + sort.Search(n, func(k int) bool { return 1-below.CDF(float64(k)) <= tail })
	if low == 0 || high == n+1 {
		return 0, 0, 0
	}
	return low, high, below.CDF(float64(high-1)) - below.CDF(float64(low-1))
}
