package stats_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/equic-bench/equic-bench/stats"
)

var nan = math.NaN()

// equal compares with a tolerance for rounding only. NaN equals NaN.
func equal(got, want float64) bool {
	return cmp.Equal(got, want, cmpopts.EquateApprox(1e-12, 0), cmpopts.EquateNaNs())
}

func TestMeans(t *testing.T) {
	tests := []struct {
		name                                 string
		x                                    []float64
		harmonic, nonZero, arithmetic, least float64
	}{
		// 3/(1/40 + 1/60 + 1/120) = 3/(6/120) = 60
		{"three speeds give the harmonic mean of the textbook", []float64{40, 60, 120}, 60, 60, 220.0 / 3, 40},
		// 2/(1/1 + 1/4) = 1.6
		{"one and four give 1.6 and 2.5", []float64{1, 4}, 1.6, 1.6, 2.5, 1},
		{"equal values are their own mean", []float64{7, 7, 7}, 7, 7, 7, 7},
		// as in the paper's code: 2/(1/10 + 1/30) = 15
		{"a zero makes the harmonic mean zero, and is dropped by the paper's", []float64{10, 0, 30}, 0, 15, 40.0 / 3, 0},
		{"only zeros leave the paper's way with nothing", []float64{0, 0}, 0, nan, 0, 0},
		{"nothing has no mean", nil, nan, nan, nan, nan},
		{"a negative value has no harmonic mean", []float64{-1, 1}, nan, nan, 0, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for what, v := range map[string][2]float64{
				"Harmonic":        {stats.Harmonic(tt.x), tt.harmonic},
				"HarmonicNonZero": {stats.HarmonicNonZero(tt.x), tt.nonZero},
				"Arithmetic":      {stats.Arithmetic(tt.x), tt.arithmetic},
				"Min":             {stats.Min(tt.x), tt.least},
			} {
				if !equal(v[0], v[1]) {
					t.Errorf("%s(%v) = %v, want %v", what, tt.x, v[0], v[1])
				}
			}
		})
	}
}

func TestQuantileIsType7(t *testing.T) {
	ten := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	tests := []struct {
		name   string
		sorted []float64
		p      float64
		want   float64
	}{
		// h = 3 * 0.5 = 1.5, between 2 and 3
		{"the median of 1 to 4 is 2.5", []float64{1, 2, 3, 4}, 0.5, 2.5},
		// h = 9 * 0.25 = 2.25, between 3 and 4
		{"the lower quartile of 1 to 10 is 3.25", ten, 0.25, 3.25},
		// h = 9 * 0.9 = 8.1
		{"the 0.9-quantile of 1 to 10 is 9.1", ten, 0.9, 9.1},
		{"the 0-quantile is the minimum", ten, 0, 1},
		{"the 1-quantile is the maximum", ten, 1, 10},
		{"one value is every quantile", []float64{3}, 0.99, 3},
		{"infinity is not interpolated into NaN", []float64{1, math.Inf(1)}, 0, 1},
		{"nothing has no quantile", nil, 0.5, nan},
		{"p above 1 is refused", ten, 1.1, nan},
		{"p that is NaN is refused", ten, nan, nan},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := stats.Quantile(tt.sorted, tt.p); !equal(got, tt.want) {
				t.Errorf("Quantile(%v, %v) = %v, want %v", tt.sorted, tt.p, got, tt.want)
			}
		})
	}
}

func TestMedianSortsACopy(t *testing.T) {
	x := []float64{9, 1, 5}
	if got := stats.Median(x); got != 5 {
		t.Errorf("Median(%v) = %v, want 5", x, got)
	}
	if want := []float64{9, 1, 5}; !cmp.Equal(x, want) {
		t.Errorf("Median changed its argument to %v", x)
	}
}

func TestNeededSample(t *testing.T) {
	for p, want := range map[float64]int{0.99: 441, 0.95: 89, 0.5: 9} {
		if got := stats.Needed(p); got != want {
			t.Errorf("Needed(%v) = %d, want %d", p, got, want)
		}
		enough, few := make([]float64, want), make([]float64, want-1)
		if got := stats.QuantileIfSupported(enough, p); got != 0 {
			t.Errorf("%d values: quantile %v is %v, want 0", want, p, got)
		}
		if got := stats.QuantileIfSupported(few, p); !math.IsNaN(got) {
			t.Errorf("%d values: quantile %v is %v, want none", want-1, p, got)
		}
	}
}

func TestECDF(t *testing.T) {
	tests := []struct {
		name   string
		sorted []float64
		want   []stats.Step
	}{
		{"nothing has no steps", nil, nil},
		{"each value is a step of equal height", []float64{1, 3}, []stats.Step{{1, 0.5}, {3, 1}}},
		{"ties make one higher step", []float64{1, 2, 2, 5}, []stats.Step{{1, 0.25}, {2, 0.75}, {5, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, stats.ECDF(tt.sorted)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestThinKeepsTheShape(t *testing.T) {
	var sorted []float64
	for i := range 100_000 {
		sorted = append(sorted, float64(i))
	}
	sorted = append(sorted, slices.Repeat([]float64{100_000}, 50_000)...) // one high step
	sorted = append(sorted, 100_001, 100_002)
	all := stats.ECDF(sorted)
	const most = 300
	thin := stats.Thin(all, most)
	if len(thin) > most+2 || len(thin) < most/2 {
		t.Errorf("%d steps are left of %d, want about %d", len(thin), len(all), most)
	}
	if thin[0] != all[0] || thin[len(thin)-1] != all[len(all)-1] {
		t.Errorf("from %v to %v, want %v to %v", thin[0], thin[len(thin)-1], all[0], all[len(all)-1])
	}
	drawn := 0 // the last step of thin at or below a step of all
	for _, step := range all {
		for drawn+1 < len(thin) && thin[drawn+1].X <= step.X {
			drawn++
		}
		if off := step.Share - thin[drawn].Share; off < 0 || off >= 1./most {
			t.Fatalf("at %v the share is off by %v", step.X, off)
		}
	}
	if few := all[:most]; len(stats.Thin(few, most)) != most {
		t.Error("few steps are thinned too")
	}
}

func TestShareBelowLeavesTheValueItselfOut(t *testing.T) {
	sorted := []float64{10, 20, 40, 40, 50}
	for x, want := range map[float64]float64{5: 0, 40: 0.4, 41: 0.8, 60: 1} {
		if got := stats.ShareBelow(sorted, x); got != want {
			t.Errorf("ShareBelow(%v) = %v, want %v", x, got, want)
		}
	}
	if got := stats.ShareBelow(nil, 1); !math.IsNaN(got) {
		t.Errorf("ShareBelow of nothing = %v, want NaN", got)
	}
}

func TestTheMedianOfInfinitiesIsInfinite(t *testing.T) {
	never := math.Inf(1)
	if got := stats.Median([]float64{never, never}); got != never {
		t.Errorf("median %v, want +Inf", got)
	}
}

func TestFitNormalIsOfTheSample(t *testing.T) {
	// Squared deviations of 4 * 20^2, over 3.
	if got := stats.FitNormal([]float64{20, 60, 60, 20}); !equal(got.Mu, 40) || !equal(got.Sigma, math.Sqrt(1600.0/3)) {
		t.Errorf("normal distribution %+v, want mean 40 and deviation %v", got, math.Sqrt(1600.0/3))
	}
	for _, x := range [][]float64{nil, {7}, {7, 7}} {
		if got := stats.FitNormal(x); !math.IsNaN(got.Sigma) || !math.IsNaN(got.CDF(7)) {
			t.Errorf("%v has the normal distribution %+v, want none", x, got)
		}
	}
}
