package record

import (
	"math"
	"testing"
)

func TestOfEachPairOfStretchesOneIsMeasured(t *testing.T) {
	for n := int64(0); n < 1<<12; n += 2 {
		if a, b := MeasuredStretch(n), MeasuredStretch(n+1); a == b {
			t.Fatalf("stretches %d and %d are both %v", n, n+1, a)
		}
	}
}

// An effect that recurs every few stretches falls into both halves as often as with a
// coin toss. So does drift.
func TestNoRhythmIsInOneHalfOfTheStretches(t *testing.T) {
	const all = 1 << 12
	for every := int64(2); every <= 100; every++ {
		for phase := range every {
			more, times := 0, 0
			for n := phase; n < all; n += every {
				times++
				if MeasuredStretch(n) {
					more++
				} else {
					more--
				}
			}
			if limit := 4.5 * math.Sqrt(float64(times)); math.Abs(float64(more)) > limit {
				t.Errorf("of %d times, every %d stretches from %d on, %d more are in one half", times, every, phase, more)
			}
		}
	}
}

// The second implementation (report/testdata/recompute.py) uses the same order.
func TestTheOrderOfStretchesIsAsKept(t *testing.T) {
	const want = "X.X..XX..X.X.XX..X.X.XX.X.X..XX."
	got := make([]byte, len(want))
	for n := range got {
		got[n] = '.'
		if MeasuredStretch(int64(n)) {
			got[n] = 'X'
		}
	}
	if string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBeforeTheEpochTheServerIsMeasured(t *testing.T) {
	for _, n := range []int64{-1, -2, -100} {
		if !MeasuredStretch(n) {
			t.Errorf("stretch %d is not measured", n)
		}
	}
}
