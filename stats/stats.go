// Package stats is the mathematics of the report: means, quantiles, empirical
// distributions, intervals and tests.
//
// It is pure: no I/O, no clock, and the same arguments always give the same result. It
// is the last but one in the pipeline: report gives it the values of one trial, or one
// value of each of several trials. NaN means "no such number", as for the mean of an
// empty sample.
package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Arithmetic returns the sum of x over its length, or NaN if x is empty.
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

// Harmonic returns the length of x over the sum of the reciprocals. One zero makes it
// zero: zeros are part of the sample and are not dropped. It is NaN if x is empty or
// contains a negative number, for which the harmonic mean is not defined.
func Harmonic(x []float64) float64 {
	if len(x) == 0 || slices.ContainsFunc(x, func(v float64) bool { return v < 0 || math.IsNaN(v) }) {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range x {
		sum += 1 / v // 1/0 is +Inf, and n/+Inf is 0, as required
	}
	return float64(len(x)) / sum
}

// HarmonicNonZero returns the harmonic mean of the values that are not zero: the
// estimator of the paper's public code, which deletes empty bins first. It is NaN if no
// value is left.
func HarmonicNonZero(x []float64) float64 {
	return Harmonic(slices.DeleteFunc(slices.Clone(x), func(v float64) bool { return v == 0 }))
}

// NormalQuantile returns the p-quantile, 0 < p < 1, of the normal distribution with the
// mean and the standard deviation (of the population: over n) of x. The paper's public
// code plots this instead of the distribution of x. It is NaN if x is empty.
func NormalQuantile(x []float64, p float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	mean, variance := stat.PopMeanVariance(x, nil)
	return mean + math.Sqrt(variance)*distuv.UnitNormal.Quantile(p)
}

// FitNormal returns the normal distribution with the mean and the standard deviation
// (of the sample: over n-1) of x. Sigma, and everything computed from it, is NaN if x
// has fewer than two values or all are equal: the paper's public code stops with an
// error then.
func FitNormal(x []float64) distuv.Normal {
	fitted := distuv.Normal{Mu: Arithmetic(x), Sigma: math.NaN()}
	if _, deviation := stat.MeanStdDev(x, nil); deviation > 0 {
		fitted.Sigma = deviation
	}
	return fitted
}

// Min returns the smallest of x, or NaN if x is empty.
func Min(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return slices.Min(x)
}

// Max returns the largest of x, or NaN if x is empty.
func Max(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return slices.Max(x)
}

// Median returns the middle of x, or the mean of the middle two, or NaN if x is empty.
// The order of x does not matter, and x is not changed.
func Median(x []float64) float64 { return Quantile(Sorted(x), 0.5) }

// Sorted returns a copy of x in ascending order.
func Sorted(x []float64) []float64 { return slices.Sorted(slices.Values(x)) }
