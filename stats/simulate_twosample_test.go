package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/equic-bench/equic-bench/stats"
)

// runs is a world of two runs whose trials are not paired. Except for scatter, the new
// run has ratio times the figures of the base.
type runs struct {
	name      string
	base, new func(*rand.Rand) float64 // the logarithm of a figure
	alike     bool                     // both have the same scatter
}

func pairsOfRuns() []runs {
	wider := func(rng *rand.Rand) float64 { return 3 * lognormal(rng) }
	return []runs{
		{name: "log-normal", base: lognormal, new: lognormal, alike: true},
		{name: "one trial in ten far off", base: sometimesFarOff, new: sometimesFarOff, alike: true},
		{name: "skewed, both alike", base: skewed, new: skewed, alike: true},
		{name: "log-normal, the new run three times as wide", base: lognormal, new: wider},
	}
}

// trials returns m figures of the new run and n of the base.
func (w *runs) trials(rng *rand.Rand, m, n int, ratio float64) (with, without []float64) {
	for range m {
		with = append(with, 100*ratio*math.Exp(w.new(rng)))
	}
	for range n {
		without = append(without, 100*math.Exp(w.base(rng)))
	}
	return with, without
}

// share returns the share of experiments for which is returns true.
func (w *runs) share(m, n int, ratio float64, is func(stats.Unpaired) bool) float64 {
	rng := rand.New(rand.NewPCG(uint64(m), uint64(n)))
	count := 0
	for range experiments() {
		with, without := w.trials(rng, m, n, ratio)
		if is(stats.SampleRatios(with, without, 0.95)) {
			count++
		}
	}
	return float64(count) / float64(experiments())
}

// sizes returns the numbers of trials of the new run and of the base.
func sizes() [][2]int {
	all := [][2]int{{4, 4}, {6, 6}, {10, 6}, {10, 10}}
	if *simulate {
		all = append(all, [2]int{6, 10}, [2]int{15, 20}) // slow
	}
	return all
}

func TestUnpairedIntervalCoversTheTruthAsOftenAsItSays(t *testing.T) {
	for _, w := range pairsOfRuns() {
		for _, size := range sizes() {
			var says float64
			covers := w.share(size[0], size[1], 0.7, func(u stats.Unpaired) bool {
				says = u.Interval.Coverage
				return u.Interval.Exists() && !u.Interval.Excludes(0.7)
			})
			t.Logf("%s, %d and %d trials: says %.4f, covers %.4f", w.name, size[0], size[1], says, covers)
			if w.alike && math.Abs(covers-says) > slack() {
				t.Errorf("%s, %d and %d trials: the interval covers %.4f, says %.4f", w.name, size[0], size[1], covers, says)
			}
			if covers < 0.90 {
				t.Errorf("%s, %d and %d trials: the interval covers %.4f only", w.name, size[0], size[1], covers)
			}
		}
	}
}

func TestIdenticalRunsAreSeldomCalledDifferent(t *testing.T) {
	whole := func(rng *rand.Rand) float64 { return math.Log(max(0, math.Round(3+rng.NormFloat64()))) }
	for _, w := range append(pairsOfRuns(),
		runs{name: "whole seconds, many equal", base: whole, new: whole, alike: true}) {
		for _, size := range sizes() {
			count := 0
			low := w.share(size[0], size[1], 1, func(u stats.Unpaired) bool {
				if u.Interval.Excludes(1) {
					count++
				}
				return u.P <= 0.05
			})
			apart := float64(count) / float64(experiments())
			t.Logf("%s, %d and %d trials: called different %.4f, p at most 0.05 %.4f", w.name, size[0], size[1], apart, low)
			if w.alike && (apart > 0.05+slack() || low > 0.05+slack()) {
				t.Errorf("%s, %d and %d trials: called different in %.4f by interval, %.4f by p; want at most 0.05", w.name,
					size[0], size[1], apart, low)
			}
		}
	}
}

// Twenty rows, like a comparison of a run of the paper's three variants.
func TestHolmKeepsFalseAlarmsOfAComparisonBelowFivePerCent(t *testing.T) {
	w := runs{base: lognormal, new: lognormal}
	rng := rand.New(rand.NewPCG(9, 9))
	alarms, uncorrected := 0, 0
	for range experiments() {
		var p []float64
		for range 20 {
			with, without := w.trials(rng, 8, 8, 1)
			p = append(p, stats.SampleRatios(with, without, 0.95).P)
		}
		if stats.Min(p) <= 0.05 {
			uncorrected++
		}
		if stats.Min(stats.Holm(p)) <= 0.05 {
			alarms++
		}
	}
	t.Logf("of %d comparisons %d give a false alarm, %d uncorrected", experiments(), alarms, uncorrected)
	if got := float64(alarms) / float64(experiments()); got > 0.05+slack() || uncorrected <= alarms {
		t.Errorf("false alarms in %.4f, want at most 0.05, and more without Holm: %d", got, uncorrected)
	}
}

// In at most 2.5 % of comparisons, a change of exactly the threshold is reported as no
// change: in those whose interval lies on the side of no change.
func TestIntervalSeldomCoversLessThanAChangeByTheThreshold(t *testing.T) {
	const threshold = 1.05
	narrow := func(rng *rand.Rand) float64 { return 0.01 * rng.NormFloat64() }
	w := runs{base: narrow, new: narrow}
	for _, size := range sizes() {
		missed := w.share(size[0], size[1], threshold, func(u stats.Unpaired) bool {
			return u.Interval.Low > 1/threshold && u.Interval.High < threshold
		})
		t.Logf("%d and %d trials: called not changed %.4f", size[0], size[1], missed)
		if missed > 0.025+slack() || missed == 0 {
			t.Errorf("%d and %d trials: a change by the threshold is called none in %.4f, want at most 0.025", size[0], size[1],
				missed)
		}
	}
}
