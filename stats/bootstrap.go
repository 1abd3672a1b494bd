package stats

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// resamples is how many samples the bootstrap draws: with 9,999 the ends of
	// a 95 % interval are at whole ranks, and drawing anew moves them by about a
	// hundredth of its width.
	resamples = 9999
	// fewest is the smallest sample that is given a bootstrap interval.
	fewest = 6
	// bcaFrom is the smallest sample for BCa: its correction for skewness is
	// estimated by leaving out one value at a time, which takes some values.
	bcaFrom = 10
)

// Bootstrap is a two-sided interval for a statistic of independent values, from
// the statistic of samples drawn from them with return. From 10 values on it is
// bias-corrected and accelerated (BCa), else it is made of percentiles; Method
// says which. Below 6 values there is none. The seed decides every draw.
//
// Its coverage is approximate, and in small samples too small (docs/method.md):
// it is for statistics that have no exact interval.
//
// Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section
// 14.3.
func Bootstrap(x []float64, statistic func([]float64) float64, confidence float64, seed uint64) Interval {
	if len(x) < fewest {
		return noInterval()
	}
	rng := rand.New(rand.NewPCG(seed, uint64(len(x))))
	replicates, sample := make([]float64, resamples), make([]float64, len(x))
	for r := range replicates {
		for i := range sample {
			sample[i] = x[rng.IntN(len(x))]
		}
		replicates[r] = statistic(sample)
	}
	slices.Sort(replicates)
	if len(x) >= bcaFrom {
		if i := bcaInterval(x, statistic, replicates, confidence); i.Exists() {
			return i
		}
	}
	return percentileInterval(replicates, confidence)
}

func percentileInterval(sorted []float64, confidence float64) Interval {
	tail := (1 - confidence) / 2
	return Interval{Low: Quantile(sorted, tail), High: Quantile(sorted, 1-tail), Coverage: confidence, Method: Percentile}
}

// bcaInterval is the BCa interval from sorted replicates. There is none where
// the statistic does not vary, or all replicates are on one side of it.
func bcaInterval(x []float64, statistic func([]float64) float64, sorted []float64, confidence float64) Interval {
	normal := distuv.UnitNormal
	bias := normal.Quantile(shareAround(sorted, statistic(x)))
	acceleration := skewness(jackknife(x, statistic)) / 6
	if math.IsInf(bias, 0) || math.IsNaN(acceleration) {
		return noInterval()
	}
	level := func(z float64) float64 {
		return normal.CDF(bias + (bias+z)/(1-acceleration*(bias+z)))
	}
	z := normal.Quantile((1 - confidence) / 2)
	return Interval{
		Low: Quantile(sorted, level(z)), High: Quantile(sorted, level(-z)),
		Coverage: confidence, Method: BCa,
	}
}

// shareAround is the share of sorted values below v, with half of those at it.
func shareAround(sorted []float64, v float64) float64 {
	below := ShareBelow(sorted, v)
	notAbove := ShareBelow(sorted, math.Nextafter(v, math.Inf(1)))
	return (below + notAbove) / 2
}

// jackknife is how far the statistic without each value in turn is below the
// mean of all of these.
func jackknife(x []float64, statistic func([]float64) float64) []float64 {
	without := make([]float64, len(x))
	for i := range x {
		without[i] = statistic(slices.Concat(x[:i], x[i+1:]))
	}
	mean := Arithmetic(without)
	for i := range without {
		without[i] = mean - without[i]
	}
	return without
}

// skewness is the sum of the cubes of deviations over the 3/2-th power of the
// sum of their squares; NaN where they are all zero.
func skewness(deviations []float64) float64 {
	squares, cubes := 0.0, 0.0
	for _, d := range deviations {
		squares += d * d
		cubes += d * d * d
	}
	return cubes / math.Pow(squares, 1.5)
}
