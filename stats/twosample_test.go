package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/equic-bench/equic-bench/stats"
)

func TestRatiosOfSamples(t *testing.T) {
	tests := []struct {
		name                string
		with, without       []float64
		nWith, nWithout     int
		ratio, low, high, p float64
	}{
		{
			"samples that do not overlap have the least p",
			[]float64{1, 1.1, 1.2, 1.3},
			[]float64{2, 2, 2, 2},
			4, 4,
			math.Sqrt(1.1*1.2) / 2, 0.5, 0.65, 2.0 / 70,
		},
		{"the same value throughout is no difference", []float64{5, 5, 5, 5}, []float64{5, 5, 5, 5}, 4, 4, 1, 1, 1, 1},
		{"one value of each has a ratio, but no interval", []float64{3}, []float64{2}, 1, 1, 1.5, nan, nan, 1},
		{"only zeros do not differ", []float64{0, 0, 0, 0}, []float64{0, 0, 0, 0}, 4, 4, 1, 1, 1, 1},
		{"only infinities do not differ", []float64{inf, inf, inf, inf}, []float64{inf, inf, inf, inf}, 4, 4, 1, 1, 1, 1},
		{"nothing left is a ratio of zero", []float64{0, 0, 0, 0}, []float64{1, 2, 3, 4}, 4, 4, 0, 0, 0, 2.0 / 70},
		{"something from nothing has no bound", []float64{1, 2, 3, 4}, []float64{0, 0, 0, 0}, 4, 4, inf, inf, inf, 2.0 / 70},
		{"one zero makes an interval without end", []float64{2, 2, 2, 2}, []float64{1, 1, 1, 0}, 4, 4, 2, 2, inf, 2.0 / 70},
		{"the middle of nothing left and no difference is nothing left", []float64{0, 1}, []float64{1}, 2, 1, 0, nan, nan, 1},
		{"zeros in both are no difference", []float64{0, 1}, []float64{0, 1}, 2, 2, 1, nan, nan, 1},
		{"unbounded both ways has no typical ratio", []float64{0, inf}, []float64{1}, 2, 1, nan, nan, nan, 1},
		{"unknown and negative values are left out", []float64{nan, 3, -1}, []float64{2, nan}, 1, 1, 1.5, nan, nan, 1},
		{"nothing to compare with", []float64{1, 2, 3, 4}, nil, 4, 0, nan, nan, nan, nan},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := stats.SampleRatios(tt.with, tt.without, 0.95)
			if got.With != tt.nWith || got.Without != tt.nWithout {
				t.Errorf("%d and %d values, want %d and %d", got.With, got.Without, tt.nWith, tt.nWithout)
			}
			for what, v := range map[string][2]float64{
				"ratio": {got.Ratio, tt.ratio}, "p": {got.P, tt.p},
				"low end": {got.Interval.Low, tt.low}, "high end": {got.Interval.High, tt.high},
			} {
				if !equal(v[0], v[1]) {
					t.Errorf("%s %v, want %v", what, v[0], v[1])
				}
			}
		})
	}
}

func TestRatiosOfSamplesReadTheSameUpsideDown(t *testing.T) {
	with, without := []float64{3, 1, 4, 1, 5, 9, 2}, []float64{2, 7, 1, 8, 2}
	up, down := stats.SampleRatios(with, without, 0.95), stats.SampleRatios(without, with, 0.95)
	if !equal(up.Ratio, 1/down.Ratio) || !equal(up.Interval.Low, 1/down.Interval.High) || !equal(up.P, down.P) {
		t.Errorf("%+v is not %+v upside down", up, down)
	}
}

func TestEqualValuesAreNoChangeToTheLastBit(t *testing.T) {
	next := math.Nextafter(0.3, 1)
	u := stats.SampleRatios([]float64{next, 0.3, 0.3, next}, []float64{0.3, 0.3, next, 0.3}, 0.95)
	if u.Ratio != 1 || u.Interval.Low != 1 || u.Interval.High != 1 || u.P != 1 {
		t.Errorf("%+v, want no change", u)
	}
	if s := stats.Shift([]float64{next}, []float64{0.3}); s != 0 {
		t.Errorf("shift %.17g, want 0", s)
	}
}

// docs/method/statistics.md lists the numbers of trials that are enough.
func TestSamplesThatAreEnoughForAnInterval(t *testing.T) {
	tests := []struct {
		name   string
		m, n   int
		enough bool
	}{
		{"three and four are too few", 3, 4, false},
		{"four and four are enough", 4, 4, true},
		{"three and five are enough", 3, 5, true},
		{"two and seven are too few", 2, 7, false},
		{"two and eight are enough", 2, 8, true},
		{"one and 38 are too few", 1, 38, false},
		{"one and 39 are enough", 1, 39, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := stats.ShiftInterval(ascending(tt.m), ascending(tt.n), 0.95)
			if i.Exists() != tt.enough {
				t.Errorf("interval %+v, want one: %v", i, tt.enough)
			}
			if significant := stats.LeastRankSum(tt.m, tt.n) <= 0.05+1e-12; significant != tt.enough {
				t.Errorf("a p-value of 0.05 or less is possible: %v, an interval: %v", significant, tt.enough)
			}
		})
	}
}

func ascending(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(i)
	}
	return x
}

func TestIntervalAndTestOfSamplesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	apart, all := 0, 0
	for m := 4; m <= 14; m += 2 {
		for n := 4; n <= 14; n += 5 {
			for range 50 {
				u := stats.SampleRatios(scattered(rng, m, 0.3), scattered(rng, n, 0), 0.95)
				if u.Interval.Excludes(1) != (u.P <= 0.05+1e-12) {
					t.Errorf("%d and %d values: interval %v to %v, p %v", m, n, u.Interval.Low, u.Interval.High, u.P)
				}
				all++
				if u.Interval.Excludes(1) {
					apart++
				}
			}
		}
	}
	if apart < all/10 || apart > all*9/10 {
		t.Errorf("%d of %d exclude no change: both outcomes are to be seen often", apart, all)
	}
}

func scattered(rng *rand.Rand, n int, shift float64) []float64 {
	var x []float64
	for range n {
		x = append(x, math.Exp(shift+0.4*rng.NormFloat64()))
	}
	return x
}

func TestShiftOfUnknownsIsUnknown(t *testing.T) {
	for name, got := range map[string]float64{
		"nothing":                   stats.Shift(nil, six),
		"an unknown":                stats.Shift(six, []float64{1, nan}),
		"infinities of either sign": stats.Shift([]float64{inf, -inf}, []float64{0}),
	} {
		if !math.IsNaN(got) {
			t.Errorf("shift of %s is %v, want none", name, got)
		}
	}
	if i := stats.ShiftInterval([]float64{1, 2, 3, nan}, six, 0.95); i.Exists() {
		t.Errorf("an unknown value has the interval %+v", i)
	}
}
