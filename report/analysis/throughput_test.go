package analysis

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestRatesKeepEmptyBinsAndLeaveThePartialOneOut(t *testing.T) {
	var done completions
	for _, at := range []int64{3_500_000_000, -1, 0, 999_999_999, 1_000_000_000, 4_200_000_000} {
		done.add(at)
	}
	if done.all != 6 {
		t.Errorf("%d in all, want 6", done.all)
	}
	for width, want := range map[int64][]float64{secondNS: {2, 1, 0, 1}, 2 * secondNS: {1.5, 0.5}, paperBinNS: {}} {
		if got := done.rates(width, 4_500_000_000); !cmp.Equal(got, want) {
			t.Errorf("bins of %d ns: %v, want %v", width, got, want)
		}
	}
}

func TestFirstSteady(t *testing.T) {
	tests := []struct {
		name string
		bins []float64
		from int
		want int
	}{
		{"undisturbed throughput has recovered at once", []float64{40, 40, 40, 40, 40, 40}, 1, 1},
		{"ten per cent off is still within", []float64{40, 36, 44, 36, 44, 36}, 1, 1},
		{"just over ten per cent off is not", []float64{40, 35, 40, 40, 40, 40, 40}, 1, 2},
		{"a catch-up burst is not recovered", []float64{40, 5, 80, 40, 40, 40, 40, 40}, 1, 3},
		{"four good bins are too few", []float64{40, 5, 40, 40, 40, 40, 5, 40, 40, 40, 40, 40}, 1, 7},
		{"never is said so", []float64{40, 5, 5, 40, 40, 40, 40}, 1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := firstSteady(tt.bins, tt.from, 40, steady); got != tt.want {
				t.Errorf("bin %d, want %d", got, tt.want)
			}
		})
	}
}

// The counter increases by 10 per 100 ms, and by 50 during the attack from 1 s to 2 s.
func TestRatesAreOfTheSamplesWithinEachPart(t *testing.T) {
	r := &reading{endNS: 4e9, attack: span{fromNS: 1e9, toNS: 2e9}}
	var calls uint64
	for at := int64(-1e9); at <= 5e9; at += 1e8 {
		r.samples = append(r.samples, record.Sample{AtNS: at, Syscalls: calls})
		calls += 10
		if at >= 1e9 && at < 2e9 {
			calls += 40
		}
	}
	counter := func(s *record.Sample) int64 { return int64(s.Syscalls) }
	if got, want := r.rates(counter), (Split{100, 500, 100}); got != want {
		t.Errorf("rates %+v, want %+v", got, want)
	}
	r.attack = span{fromNS: 1, toNS: 0}
	if got := r.rates(counter); got.Before != 200 || got.During.Known() || got.After.Known() {
		t.Errorf("without an attack %+v, want all of it before", got)
	}
}

func TestALoadOfADurationHasNoShareOfItsRequests(t *testing.T) {
	r := &reading{
		experiment: &results.Experiment{Sequential: results.Load{Clients: 4, DurationNS: 24e9}},
		attack:     span{fromNS: 1}, endNS: 24e9, done: completions{all: 900},
	}
	if got := r.throughput().CompletedShare; !math.IsNaN(float64(got)) {
		t.Errorf("share %v of an unknown number", float64(got))
	}
}
