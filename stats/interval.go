package stats

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a confidence interval, with what it was made by.
type Interval struct {
	// Low and High are its ends; both are NaN where there is no interval.
	Low, High float64
	// Coverage is the share of repetitions, in 0..1, in which such an interval
	// covers the truth. It is exact for the methods that are, which reach at
	// least what was asked for.
	Coverage float64
	// Method says how it was made; "" where there is none.
	Method Method
}

// Method is a way to make an interval.
type Method string

// The methods.
const (
	OrderStatistics Method = "order statistics" // of the values: QuantileInterval
	SignedRanks     Method = "signed ranks"     // Walsh averages: PseudoMedianInterval
	RankSums        Method = "rank sums"        // differences: ShiftInterval
)

// noInterval is the interval of a sample that is too small for one.
func noInterval() Interval {
	return Interval{Low: math.NaN(), High: math.NaN(), Coverage: math.NaN()}
}

// Exists reports whether there is an interval. Its ends may be infinite.
func (i Interval) Exists() bool { return i.Method != "" }

// Excludes reports whether there is an interval and x is outside of it.
func (i Interval) Excludes(x float64) bool { return i.Exists() && (x < i.Low || x > i.High) }

// QuantileInterval is a two-sided interval for the p-quantile of the population
// from which the sorted values were drawn independently. Its ends are the order
// statistics that leave at most (1-confidence)/2 on either side by the binomial
// distribution, so it holds for every distribution. There is none where the
// values are too few: at 95 % the median needs 6 of them, and p99 needs 368.
//
// Source: David and Nagaraja, Order Statistics, 3rd ed. (2003), section 7.1.
func QuantileInterval(sorted []float64, p, confidence float64) Interval {
	low, high, coverage := QuantileOrders(len(sorted), p, confidence)
	if low == 0 {
		return noInterval()
	}
	return Interval{Low: sorted[low-1], High: sorted[high-1], Coverage: coverage, Method: OrderStatistics}
}

// QuantileOrders is which order statistics of n values, counted from 1, end the
// interval of QuantileInterval, and the coverage that they reach; zeros where
// there is no interval.
func QuantileOrders(n int, p, confidence float64) (low, high int, coverage float64) {
	if n == 0 || !(p > 0 && p < 1) || !(confidence > 0 && confidence < 1) {
		return 0, 0, 0
	}
	below := distuv.Binomial{N: float64(n), P: p} // how many values are below the quantile
	tail := (1-confidence)/2 + 1e-12              // room for rounding
	low = sort.Search(n, func(k int) bool { return below.CDF(float64(k)) > tail })
	high = 1 + sort.Search(n, func(k int) bool { return 1-below.CDF(float64(k)) <= tail })
	if low == 0 || high == n+1 {
		return 0, 0, 0
	}
	return low, high, below.CDF(float64(high-1)) - below.CDF(float64(low-1))
}
