package compare

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// Busy time above that of the quiet time can be negative. A ratio of the other values
// would use only those that noise increased.
func TestFiguresBelowZeroHaveNoRatio(t *testing.T) {
	tests := []struct {
		name        string
		base, fresh []float64
		reason      string
	}{
		{
			"all of one run",
			[]float64{500, 510, 520, 515},
			[]float64{-20, -21, -22, -19},
			"below zero in 4 of 8 trials, so there is no ratio",
		},
		{"some of both", []float64{5, -1, 3, 4}, []float64{-2, 6, 2, 3}, "below zero in 2 of 8 trials, so there is no ratio"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRow(&analysis.Metric{ID: "turn-away"}, "xdp-block", tt.base, tt.fresh)
			c := Comparison{Rows: []Row{r}}
			c.judge(1.05)
			if got := c.Rows[0]; got.State != Unsure || got.Reason != tt.reason || got.BaseTrials != 4 || got.NewTrials != 4 {
				t.Errorf("%+v; want it unsure: %s", got, tt.reason)
			}
			if c.Verdict != Undecided {
				t.Errorf("verdict %q, want %q", c.Verdict, Undecided)
			}
		})
	}
}

func TestALowerBoundIsNoValue(t *testing.T) {
	same := []float64{70, 70, 70, 70, 70, 70}
	tests := map[string]struct {
		base, fresh               []float64
		censoredBase, censoredNew int
		want                      State
	}{
		"in both, at the same time": {same, same, 6, 6, Unsure},
		"in one, near the bound":    {[]float64{68, 69, 68, 69, 68, 69}, same, 0, 6, Unsure},
		"far beyond the others":     {[]float64{20, 21, 20, 22, 21, 20}, same, 0, 6, Changed},
		"of what became less":       {same, []float64{20, 21, 20, 22, 21, 20}, 6, 0, Changed},
		"and it may have become less": {
			[]float64{20, 21, 20, 22, 21, 20}, []float64{30, 31, 30, 32, 31, 33}, 1, 0, Unsure,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRow(&analysis.Metric{ID: "recovery"}, "xdp-block", test.base, test.fresh)
			r.censoredBase, r.censoredNew = test.censoredBase, test.censoredNew
			c := Comparison{Rows: []Row{r}}
			c.judge(1.05)
			got := c.Rows[0]
			if got.State != test.want || (got.State == Unsure) != strings.HasPrefix(got.Reason, "only a lower bound in") {
				t.Errorf("%s, because %s; want %s", got.State, got.Reason, test.want)
			}
		})
	}
}
