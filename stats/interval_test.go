package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/equic-bench/equic-bench/stats"
)

var (
	inf  = math.Inf(1)
	five = []float64{1.1, 1.2, 1.3, 1.4, 1.5}
	six  = append(slices.Clone(five), 1.6)
)

func ones(n int) []float64 { return slices.Repeat([]float64{1}, n) }

func TestBelowSixValuesThereIsNoInterval(t *testing.T) {
	for name, f := range map[string]func([]float64) stats.Interval{
		"order statistics": func(x []float64) stats.Interval { return stats.QuantileInterval(x, 0.5, 0.95) },
		"signed ranks":     func(x []float64) stats.Interval { return stats.PseudoMedianInterval(x, 0.95) },
		"paired ratios": func(x []float64) stats.Interval {
			return stats.PairRatios(x, ones(len(x)), 0.95).Interval
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, x := range [][]float64{nil, five[:1], five} {
				if i := f(x); i.Exists() || !math.IsNaN(i.Low) || !math.IsNaN(i.High) || i.Excludes(99) {
					t.Errorf("%d values give %+v", len(x), i)
				}
			}
			if i := f(six); !i.Exists() || !(i.Low >= 1.1 && i.Low < i.High && i.High <= 1.6+1e-12) {
				t.Errorf("6 values give %+v", i)
			}
		})
	}
}

func TestMedianIntervalOfSixIsItsRange(t *testing.T) {
	want := stats.Interval{Low: 1.1, High: 1.6, Coverage: 1 - 2.0/64, Method: stats.OrderStatistics}
	if diff := cmp.Diff(want, stats.QuantileInterval(six, 0.5, 0.95), cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestQuantileOrdersRefuseWhatMakesNoSense(t *testing.T) {
	for _, c := range [][2]float64{{0, 0.95}, {1, 0.95}, {0.5, 0}, {0.5, 1}, {nan, 0.95}} {
		if low, high, _ := stats.QuantileOrders(100, c[0], c[1]); low != 0 || high != 0 {
			t.Errorf("p %v at %v: orders %d and %d, want none", c[0], c[1], low, high)
		}
	}
}

func TestPairedRatios(t *testing.T) {
	tests := []struct {
		name          string
		with, without []float64
		blocks        int
		ratio, p      float64
	}{
		{"half in every block is half", []float64{1, 2, 3, 4, 5, 6}, []float64{2, 4, 6, 8, 10, 12}, 6, 0.5, 2.0 / 64},
		{"the same in every block is no difference", six, six, 6, 1, 1},
		{"half and double cancel", []float64{1, 2}, []float64{2, 1}, 2, 1, 1},
		{"two zeros are no difference", []float64{0, 0, 0}, []float64{0, 0, 0}, 3, 1, 1},
		{"nothing left is a ratio of zero", []float64{0, 0, 0}, []float64{1, 2, 3}, 3, 0, 0.25},
		{"something from nothing has no bound", []float64{1, 2, 3}, []float64{0, 0, 0}, 3, inf, 0.25},
		{"a pair with an unknown value is left out", []float64{1, nan, 3}, []float64{2, 4, nan}, 1, 0.5, 1},
		{"a negative value has no ratio", []float64{-1, 2}, []float64{2, 4}, 1, 0.5, 1},
		{"unbounded both ways has no typical ratio", []float64{1, 0}, []float64{0, 1}, 2, nan, 1},
		{"nothing to compare", nil, nil, 0, nan, nan},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := stats.PairRatios(tt.with, tt.without, 0.95)
			if got.Blocks != tt.blocks || !equal(got.Ratio, tt.ratio) || !equal(got.P, tt.p) {
				t.Errorf("%d blocks, ratio %v, p %v; want %d, %v, %v", got.Blocks, got.Ratio, got.P, tt.blocks, tt.ratio, tt.p)
			}
		})
	}
}

func TestPairedRatiosReadTheSameUpsideDown(t *testing.T) {
	with, without := []float64{3, 1, 4, 1, 5, 9, 2, 6}, []float64{2, 7, 1, 8, 2, 8, 1, 8}
	up, down := stats.PairRatios(with, without, 0.95), stats.PairRatios(without, with, 0.95)
	if !equal(up.Ratio, 1/down.Ratio) || !equal(up.Interval.Low, 1/down.Interval.High) || !equal(up.P, down.P) {
		t.Errorf("%+v is not %+v upside down", up, down)
	}
}

func TestRatiosThatCancelAreNoChangeToTheLastBit(t *testing.T) {
	p := stats.PairRatios([]float64{10, 11, 7, 13, 10, 11}, []float64{11, 10, 13, 7, 11, 10}, 0.95)
	if p.Ratio != 1 {
		t.Errorf("ratio %.17g, want 1", p.Ratio)
	}
}

// The interval contains the values that the test does not reject, so the two never
// contradict each other if there are no ties.
func TestIntervalAndTestAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	apart := 0
	for n := 6; n <= 25; n++ {
		for range 50 {
			var with []float64
			for range n {
				with = append(with, math.Exp(0.2+0.4*rng.NormFloat64()))
			}
			p := stats.PairRatios(with, ones(n), 0.95)
			if p.Interval.Excludes(1) != (p.P <= 0.05) {
				t.Errorf("%d blocks: interval %v to %v, p %v", n, p.Interval.Low, p.Interval.High, p.P)
			}
			if p.Interval.Excludes(1) {
				apart++
			}
		}
	}
	if apart < 100 || apart > 900 {
		t.Errorf("%d of 1000 exclude no change: both outcomes are to be seen often", apart)
	}
}

func TestInfiniteRatiosMakeAnIntervalWithoutEnd(t *testing.T) {
	p := stats.PairRatios([]float64{2, 2.2, 2.4, 2.6, 2.8, 3}, []float64{1, 1, 1, 1, 1, 0}, 0.95)
	if p.Interval.Low != 2 || p.Interval.High != inf {
		t.Errorf("interval %+v, want from 2 without end", p.Interval)
	}
}

func TestUnequalLengthsPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	stats.PairRatios(ones(2), ones(3), 0.95)
}

func TestRankTestsOfNothing(t *testing.T) {
	for name, p := range map[string]float64{
		"signed rank of nothing":      stats.SignedRank(nil),
		"signed rank of an unknown":   stats.SignedRank([]float64{1, nan}),
		"rank sum with nothing":       stats.RankSum(nil, six),
		"rank sum against an unknown": stats.RankSum(six, []float64{nan}),
	} {
		if !math.IsNaN(p) {
			t.Errorf("%s: p is %v, want none", name, p)
		}
	}
}

func TestRoundingBreaksNoTies(t *testing.T) {
	next := math.Nextafter(0.3, 1) // the constant 0.1+0.2 would be 0.3: Go adds constants exactly
	if got, want := stats.SignedRank([]float64{next, -0.3, 0.3, 5}),
		stats.SignedRank([]float64{3, -3, 3, 50}); got != want {
		t.Errorf("p is %v, want %v", got, want)
	}
}

func TestHolmCountsTheUnknown(t *testing.T) {
	got := stats.Holm([]float64{nan, 0.04, 0.01})
	if diff := cmp.Diff([]float64{nan, 0.08, 0.03}, got, cmpopts.EquateNaNs(),
		cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestOutliers(t *testing.T) {
	tests := []struct {
		name string
		x    []float64
		want []int
	}{
		{"one far from the others is named", []float64{10, 11, 9, 10.5, 60, 9.5}, []int{4}},
		{"a spread without gaps has none", []float64{1, 2, 3, 4, 5, 6}, nil},
		{"equal values have none", ones(9), nil},
		{"one that differs from equal ones is named", append(ones(9), 2), []int{9}},
		{"nothing has none", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, stats.Outliers(tt.x)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
