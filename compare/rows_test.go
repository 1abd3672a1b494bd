package compare

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// A harmonic mean is zero if one second is empty, whatever the others are.
func TestTwoZerosWithoutASizeAreNotTheSame(t *testing.T) {
	zeros := make([]float64, 10)
	for metric, want := range map[string]State{"throughput": Unsure, "syscall-errors": NotChanged} {
		m := analysis.MetricByID(metric)
		r := newRow(m, "xdp-block", zeros, zeros)
		r.judge(1.05)
		if r.State != want || (want == Unsure) != strings.Contains(r.Reason, "need not be equal") {
			t.Errorf("%s: %s, %q; want %s", metric, r.State, r.Reason, want)
		}
	}
}
