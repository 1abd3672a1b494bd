package stats

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// close9 fails the test if got differs from want by more than 1e-9, relative to its
// size.
func close9(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*math.Max(1, math.Abs(want))) {
		t.Errorf("%s is %.17g, want %.17g", what, got, want)
	}
}

// reference reads one list of testdata/reference.json, which reference.py made.
func reference[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(all[name], &cases); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(cases) == 0 {
		t.Fatalf("reference.json has no %s", name)
	}
	return cases
}

func TestMeansAreThoseOfSciPy(t *testing.T) {
	type example struct {
		X                            []float64
		Arithmetic, Harmonic, Median float64
	}
	for _, c := range reference[example](t, "means") {
		close9(t, "arithmetic mean", Arithmetic(c.X), c.Arithmetic)
		close9(t, "harmonic mean", Harmonic(c.X), c.Harmonic)
		close9(t, "median", Median(c.X), c.Median)
	}
}

func TestQuantilesAreThoseOfNumPy(t *testing.T) {
	type example struct {
		X       []float64
		P, Want float64
	}
	for _, c := range reference[example](t, "quantiles") {
		close9(t, "quantile", Quantile(Sorted(c.X), c.P), c.Want)
	}
}

func TestQuantileOrdersAreThoseOfTheBinomialDistribution(t *testing.T) {
	type example struct {
		N, Low, High            int
		P, Confidence, Coverage float64
	}
	for _, c := range reference[example](t, "orders") {
		low, high, coverage := QuantileOrders(c.N, c.P, c.Confidence)
		if low != c.Low || high != c.High {
			t.Errorf("n %d, p %v, %v: orders %d and %d, want %d and %d", c.N, c.P, c.Confidence, low, high, c.Low, c.High)
		}
		close9(t, "coverage", coverage, c.Coverage)
	}
}

func TestSignedRankIsExact(t *testing.T) {
	type example struct {
		D []float64
		P float64
	}
	for _, c := range reference[example](t, "signed_ranks") {
		close9(t, "p", SignedRank(c.D), c.P)
	}
}

func TestRankSumIsExact(t *testing.T) {
	type example struct {
		X, Y []float64
		P    float64
	}
	for _, c := range reference[example](t, "rank_sums") {
		close9(t, "p", RankSum(c.X, c.Y), c.P)
		close9(t, "p with the samples swapped", RankSum(c.Y, c.X), c.P)
	}
}

func TestPseudoMedianOfInfinities(t *testing.T) {
	inf := math.Inf(1)
	for name, c := range map[string]struct {
		x    []float64
		want float64
	}{
		"nothing":                                 {nil, math.NaN()},
		"half of the means are without bound":     {[]float64{inf, 1, 1}, inf},
		"and the same upside down":                {[]float64{-inf, -1, -1}, -inf},
		"fewer than half of them are":             {[]float64{inf, 1, 1, 1}, 1},
		"all are":                                 {[]float64{inf, inf}, inf},
		"infinities of both signs have no middle": {[]float64{inf, -inf, 1}, math.NaN()},
	} {
		if got := PseudoMedian(c.x); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestPseudoMedianAndItsIntervalInvertTheTest(t *testing.T) {
	type example struct {
		X                             []float64
		Estimate, Low, High, Coverage float64
		Exists                        bool
	}
	for _, c := range reference[example](t, "pseudo_medians") {
		close9(t, "estimate", PseudoMedian(c.X), c.Estimate)
		i := PseudoMedianInterval(c.X, 0.95)
		if i.Exists() != c.Exists {
			t.Errorf("%d values: interval %+v, want one: %v", len(c.X), i, c.Exists)
		}
		if !c.Exists {
			continue
		}
		close9(t, "low end", i.Low, c.Low)
		close9(t, "high end", i.High, c.High)
		close9(t, "coverage", i.Coverage, c.Coverage)
	}
}

func TestShiftAndItsIntervalInvertTheTest(t *testing.T) {
	type example struct {
		X, Y                          []float64
		Estimate, Low, High, Coverage float64
		Exists                        bool
	}
	for _, c := range reference[example](t, "shifts") {
		close9(t, "estimate", Shift(c.X, c.Y), c.Estimate)
		close9(t, "estimate with the samples swapped", Shift(c.Y, c.X), -c.Estimate)
		i := ShiftInterval(c.X, c.Y, 0.95)
		if i.Exists() != c.Exists {
			t.Errorf("%d and %d values: interval %+v, want one: %v", len(c.X), len(c.Y), i, c.Exists)
		}
		if !c.Exists {
			continue
		}
		close9(t, "low end", i.Low, c.Low)
		close9(t, "high end", i.High, c.High)
		close9(t, "coverage", i.Coverage, c.Coverage)
	}
}

func TestLeastRankSumIsThatOfSamplesThatDoNotOverlap(t *testing.T) {
	type example struct {
		M, N int
		P    float64
	}
	for _, c := range reference[example](t, "least_rank_sums") {
		close9(t, "p", LeastRankSum(c.M, c.N), c.P)
	}
}

func TestHolmIsClosedTestingWithBonferroni(t *testing.T) {
	type example struct{ P, Want []float64 }
	for _, c := range reference[example](t, "holms") {
		got := Holm(c.P)
		for i := range c.Want {
			close9(t, "adjusted p", got[i], c.Want[i])
		}
	}
}

func TestScoresAreThoseOfTheMedianAbsoluteDeviation(t *testing.T) {
	type example struct{ X, Want []float64 }
	for _, c := range reference[example](t, "scores") {
		got := Scores(c.X)
		for i := range c.Want {
			close9(t, "score", got[i], c.Want[i])
		}
	}
}
