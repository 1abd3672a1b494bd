package compare

import (
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
