// Package stats is the mathematics of the report: means, quantiles, empirical
// distributions, intervals and tests.
//
// It is pure: no I/O, no clock, and the same arguments always give the same
// result. It stands last but
// one in the pipeline: report gives it the values of one trial, or one value of
// each of several trials. NaN stands for "no such number", as for the mean of
// nothing.
package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Arithmetic is the sum of x over its length; NaN where x is empty.
func Arithmetic(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// Harmonic is the length of x over the sum of the reciprocals. One zero makes
// it zero: zeros are part of the sample and are not dropped. It is NaN where x
// is empty or holds a negative number, for which it means nothing.
func Harmonic(x []float64) float64 {
	if len(x) == 0 || slices.ContainsFunc(x, func(v float64) bool { return v < 0 || math.IsNaN(v) }) {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range x {
		sum += 1 / v // 1/0 is +Inf, and n/+Inf is the 0 that is wanted
	}
	return float64(len(x)) / sum
}

// HarmonicNonZero is the harmonic mean of the values that are not zero: the
// estimator of the paper's public code, which deletes empty bins first. It is
// NaN where nothing is left.
func HarmonicNonZero(x []float64) float64 {
	return Harmonic(slices.DeleteFunc(slices.Clone(x), func(v float64) bool { return v == 0 }))
}

// NormalQuantile is the p-quantile, 0 < p < 1, of the normal distribution that has
// the mean and the standard deviation (of the population: over n) of x: what the
// paper's public code draws in place of the distribution of x. NaN where x is
// empty.
func NormalQuantile(x []float64, p float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	mean, variance := stat.PopMeanVariance(x, nil)
	return mean + math.Sqrt(variance)*distuv.UnitNormal.Quantile(p)
}

// FitNormal is the normal distribution that has the mean and the standard deviation
// (of the sample: over n-1) of x. Sigma is NaN, and with it all that follows from
// it, if x has fewer than two values or all are equal: the paper's public code
// stops with an error then.
func FitNormal(x []float64) distuv.Normal {
	fitted := distuv.Normal{Mu: Arithmetic(x), Sigma: math.NaN()}
	if _, deviation := stat.MeanStdDev(x, nil); deviation > 0 {
		fitted.Sigma = deviation
	}
	return fitted
}

// Min is the smallest of x; NaN where x is empty.
func Min(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return slices.Min(x)
}

// Max is the largest of x; NaN where x is empty.
func Max(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return slices.Max(x)
}

// Median is the middle of x, or the mean of the middle two; NaN where x is
// empty. The order of x does not matter, and x is not changed.
func Median(x []float64) float64 { return Quantile(Sorted(x), 0.5) }

// Sorted is a copy of x in ascending order.
func Sorted(x []float64) []float64 { return slices.Sorted(slices.Values(x)) }
