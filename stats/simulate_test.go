package stats_test

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/equic-bench/equic-bench/stats"
)

var simulate = flag.Bool("simulate", false,
	"10,000 synthetic experiments of each kind, and the table of docs/method/statistics.md (minutes), instead of 2,000")

// experiments returns the number of experiments of each kind.
func experiments() int {
	switch {
	case *simulate:
		return 10_000
	case testing.Short():
		return 500
	}
	return 2000
}

// slack returns four standard errors of a share near 95 % for that number of
// experiments.
func slack() float64 { return 4 * math.Sqrt(0.05*0.95/float64(experiments())) }

// world generates the two figures of one block. The logarithm of their ratio has this
// pseudo-median, median and mean in the population of blocks.
type world struct {
	name                       string
	pseudoMedian, median, mean float64
	pair                       func(*rand.Rand) (with, without float64)
	symmetric                  bool
}

// alike returns a world in which the trials of both variants have the same scatter, and
// the first has ratio times the second's figure. Blocks differ by a factor that both
// share.
func alike(name string, ratio float64, log func(*rand.Rand) float64) world {
	truth := math.Log(ratio)
	return world{
		name: name, pseudoMedian: truth, median: truth, mean: truth, symmetric: true,
		pair: func(rng *rand.Rand) (float64, float64) {
			block := 100 * math.Exp(rng.NormFloat64())
			return block * ratio * math.Exp(log(rng)), block * math.Exp(log(rng))
		},
	}
}

func lognormal(rng *rand.Rand) float64 { return 0.1 * rng.NormFloat64() }

func sometimesFarOff(rng *rand.Rand) float64 {
	if rng.IntN(10) == 0 {
		return rng.NormFloat64()
	}
	return lognormal(rng)
}

func skewed(rng *rand.Rand) float64 { return 0.3 * rng.ExpFloat64() }

func worlds(ratio float64) []world {
	return []world{
		alike("log-normal", ratio, lognormal),
		alike("one trial in ten far off", ratio, sometimesFarOff),
		alike("skewed, both alike", ratio, skewed),
	}
}

// lopsided returns a world in which only the second variant scatters, and only to one
// side. The mean of two exponential values is gamma-distributed with shape 2 and scale
// 1/2, which gives the pseudo-median.
func lopsided() world {
	half := distuv.Gamma{Alpha: 2, Beta: 2}.Quantile(0.5)
	return world{
		name: "skewed, one variant only", pseudoMedian: -0.3 * half, median: -0.3 * math.Ln2, mean: -0.3,
		pair: func(rng *rand.Rand) (float64, float64) { return 100, 100 * math.Exp(skewed(rng)) },
	}
}

// experiment returns the figures of two variants in n blocks.
func (w *world) experiment(rng *rand.Rand, n int) (with, without []float64) {
	for range n {
		a, b := w.pair(rng)
		with, without = append(with, a), append(without, b)
	}
	return with, without
}

// share returns the share of experiments of n blocks for which is returns true.
func (w *world) share(n int, is func(with, without []float64) bool) float64 {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	count := 0
	for range experiments() {
		if is(w.experiment(rng, n)) {
			count++
		}
	}
	return float64(count) / float64(experiments())
}

// covered returns the share of intervals that cover exp(truth).
func (w *world) covered(n int, truth float64, interval func(with, without []float64) stats.Interval) float64 {
	return w.share(n, func(with, without []float64) bool {
		i := interval(with, without)
		return i.Exists() && !i.Excludes(math.Exp(truth))
	})
}

func signedRanks(with, without []float64) stats.Interval {
	return stats.PairRatios(with, without, 0.95).Interval
}

func TestPairedIntervalCoversTheTruthAsOftenAsItSays(t *testing.T) {
	for _, w := range worlds(0.7) {
		for _, n := range []int{6, 8, 10, 12, 13, 15, 20} {
			says := signedRanks(w.experiment(rand.New(rand.NewPCG(2, 2)), n)).Coverage
			if n >= 10 && !(says >= 0.95 && says < 0.9605) {
				t.Errorf("%d blocks: the interval says that it covers %.4f, want 0.95 to 0.96", n, says)
			}
			got := w.covered(n, w.pseudoMedian, signedRanks)
			t.Logf("%s, %d blocks: says %.4f, covers %.4f", w.name, n, says, got)
			if math.Abs(got-says) > slack() {
				t.Errorf("%s, %d blocks: the interval covers %.4f, says %.4f", w.name, n, got, says)
			}
		}
	}
}

// Without symmetry the coverage is no longer exact.
func TestPairedIntervalOfLopsidedRatiosStillCovers(t *testing.T) {
	w := lopsided()
	for _, n := range []int{10, 12, 15, 20} {
		got := w.covered(n, w.pseudoMedian, signedRanks)
		t.Logf("%s, %d blocks: covers %.4f", w.name, n, got)
		if got < 0.94-slack() || got > 0.96+slack() {
			t.Errorf("%d blocks: the interval covers %.4f, want 0.94 to 0.96", n, got)
		}
	}
}

func TestIdenticalVariantsAreSeldomCalledDifferent(t *testing.T) {
	whole := alike("whole seconds, many equal", 1, lognormal)
	whole.pair = func(rng *rand.Rand) (float64, float64) {
		return math.Round(3 + rng.NormFloat64()), math.Round(3 + rng.NormFloat64())
	}
	for _, w := range append(worlds(1), whole) {
		for _, n := range []int{6, 10, 20} {
			apart := w.share(n, func(with, without []float64) bool { return signedRanks(with, without).Excludes(1) })
			low := w.share(n, func(with, without []float64) bool { return stats.PairRatios(with, without, 0.95).P <= 0.05 })
			t.Logf("%s, %d blocks: called different %.4f, p at most 0.05 %.4f", w.name, n, apart, low)
			if apart > 0.05+slack() || low > 0.05+slack() {
				t.Errorf("%s, %d blocks: called different in %.4f by interval, %.4f by p; want at most 0.05", w.name, n, apart, low)
			}
		}
	}
}

// Seven identical metrics at once: Holm keeps the probability of any false alarm at
// that of a single test.
func TestHolmKeepsFalseAlarmsOfAllClaimsTogetherBelowFivePerCent(t *testing.T) {
	w := alike("", 1, lognormal)
	rng := rand.New(rand.NewPCG(3, 3))
	alarms, uncorrected := 0, 0
	for range experiments() {
		var p []float64
		for range 7 {
			with, without := w.experiment(rng, 12)
			p = append(p, stats.PairRatios(with, without, 0.95).P)
		}
		if stats.Min(p) <= 0.05 {
			uncorrected++
		}
		if stats.Min(stats.Holm(p)) <= 0.05 {
			alarms++
		}
	}
	t.Logf("of %d experiments %d give a false alarm, %d uncorrected", experiments(), alarms, uncorrected)
	if got := float64(alarms) / float64(experiments()); got > 0.05+slack() || uncorrected <= alarms {
		t.Errorf("false alarms in %.4f, want at most 0.05, and more without Holm: %d", got, uncorrected)
	}
}

// The table in docs/method/statistics.md that justifies the report's choice of interval.
func TestCoverageOfOtherIntervals(t *testing.T) {
	if !*simulate {
		t.Skip("takes minutes: run with -simulate")
	}
	t.Logf("| blocks | trials scatter | signed ranks | order statistics | Student's t |")
	for _, n := range []int{6, 10, 20} {
		for _, w := range append(worlds(0.7), lopsided()) {
			t.Logf("| %d | %s | %.1f | %.1f | %.1f |", n, w.name,
				100*w.covered(n, w.pseudoMedian, signedRanks), 100*w.covered(n, w.median, orderStatistics),
				100*w.covered(n, w.mean, student))
		}
	}
}

func orderStatistics(with, without []float64) stats.Interval {
	var ratios []float64
	for i := range with {
		ratios = append(ratios, with[i]/without[i])
	}
	return stats.QuantileInterval(stats.Sorted(ratios), 0.5, 0.95)
}

// student returns Student's interval for the mean of the logarithms.
func student(with, without []float64) stats.Interval {
	var logs []float64
	for i := range with {
		logs = append(logs, math.Log(with[i]/without[i]))
	}
	mean, squares, n := stats.Arithmetic(logs), 0.0, float64(len(logs))
	for _, l := range logs {
		squares += (l - mean) * (l - mean)
	}
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * math.Sqrt(squares/(n-1)/n)
	return stats.Interval{Low: math.Exp(mean - half), High: math.Exp(mean + half), Method: "Student's t"}
}
