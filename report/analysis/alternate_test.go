package analysis

import (
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/internal/synth"
)

// Completions before a stretch has settled, after the first client's end, or in half a
// pair are in neither half.
func TestAnAlternationLeavesOutWhatIsInNeitherHalf(t *testing.T) {
	const ms = synth.Second / 1000
	a := &alternation{stretchNS: 500 * ms, pairs: 2}
	for name, test := range map[string]struct {
		doneMS  int64
		outcome record.Outcome
		want    int
	}{
		"in the first stretch":           {400, record.OK, 1},
		"at the end of what is left out": {100, record.OK, 1},
		"before that":                    {99, record.OK, 0},
		"at the begin of a later one":    {1599, record.OK, 0},
		"in the last whole pair":         {1999, record.OK, 1},
		"after it":                       {2100, record.OK, 0},
		"before the epoch":               {-100, record.OK, 0},
		"not served":                     {400, record.Timeout, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a.measured, a.unmeasured = half{}, half{}
			a.take(&record.Line{Request: &record.Request{
				StartNS: test.doneMS*ms - 10*ms, EndNS: 10 * ms,
				Outcome: test.outcome,
			}})
			if got := a.measured.done + a.unmeasured.done; got != test.want {
				t.Errorf("%d completions, want %d", got, test.want)
			}
		})
	}
}
