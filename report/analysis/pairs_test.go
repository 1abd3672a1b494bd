package analysis

import (
	"math"
	"testing"
)

func TestDirectionAndReachOfPairs(t *testing.T) {
	none, inf := NoEvidence(), Number(math.Inf(1))
	none.Blocks = 8
	of := func(blocks int, low, high Number) *Evidence {
		return &Evidence{Blocks: blocks, Method: "signed ranks", Low: low, High: high}
	}
	tests := []struct {
		name     string
		change   Number
		e        *Evidence
		want     Verdict
		interval string
	}{
		{"all above no change", 20, of(8, 10, 30), More, "+10.0 % to +30.0 %"},
		{"all below no change", -20, of(8, -30, -10), Less, "-30.0 % to -10.0 %"},
		{"no change inside", 5, of(8, -1, 12), Unsure, "-1.0 % to +12.0 %"},
		{"no change at the end", 5, of(8, 0, 12), Unsure, "+0.0 % to +12.0 %"},
		{"some from zero", 20, of(8, 10, inf), More, "+10.0 % or more"},
		{"all from zero", inf, of(8, inf, inf), More, "from zero"},
		{"some from zero, some to zero", Unknown(), &none, Unsure, "–"},
		{"five blocks", 20, &Evidence{Blocks: 5}, TooFew, "–"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := direction(tt.change, tt.e); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := tt.e.Interval(); got != tt.interval {
				t.Errorf("interval %q, want %q", got, tt.interval)
			}
		})
	}
}
