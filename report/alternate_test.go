package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// alternating measures the server of each trial in half of its stretches, in which
// a request takes that share longer.
func alternating(s *synth, cost float64) *synth {
	s.experiment.AlternateNS = second / 2
	for i := range s.trials {
		s.trials[i].request = func(role string, q *record.Request) {
			if role == results.RoleSequential && record.MeasuredStretch(q.StartNS/s.experiment.AlternateNS) {
				q.EndNS = int64(float64(q.EndNS) * (1 + cost))
			}
		}
		s.trials[i].server = func(line *record.Line) {
			if line.Probe != nil {
				line.Probe.SyscallCounter = false
			}
		}
	}
	return s
}

func TestReportOfAnAlternationIsAsKept(t *testing.T) {
	dir := alternating(closed(10), 0.004).write(t)
	s := write(t, dir)
	var text, brief bytes.Buffer
	must(t, Text(&text, s, 0))
	must(t, Brief(&brief, s, 80))
	numbers, err := json.MarshalIndent(map[string]any{"cost": s.Cost, "warnings": s.Warnings}, "", "  ")
	must(t, err)
	asKept(t, "alternation", map[string][]byte{
		"text.txt": text.Bytes(), "brief.txt": brief.Bytes(), "report.md": reported(t, dir, "report.md"), "cost.json": append(numbers, '\n'),
	})
}

func TestAnAlternationFindsWhatMeasuringCosts(t *testing.T) {
	tests := map[string]struct {
		cost float64
		want Goal
	}{
		"nothing":   {0, GoalReached},
		"a little":  {0.004, GoalReached},
		"too much":  {0.05, GoalMissed},
		"much more": {0.5, GoalMissed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := alternating(closed(10), test.cost)
			s.experiment.Sequential.Requests = 6000
			for _, l := range summarise(t, s.write(t)).Cost.Lines {
				want := 100 * test.cost
				if strings.HasPrefix(l.Metric, "throughput") {
					want = 100 * (1/(1+test.cost) - 1)
				}
				if math.Abs(float64(l.Change)-want) > 0.3 {
					t.Errorf("%s: %+.2f %%, want %+.2f", l.Metric, float64(l.Change), want)
				}
				if l.Goal != "" && l.Goal != test.want {
					t.Errorf("%s: %q, want %q", l.Metric, l.Goal, test.want)
				}
			}
		})
	}
}

// What comes before a stretch has settled, after the first client's end, or in half
// a pair is in neither half.
func TestAnAlternationLeavesOutWhatIsInNeitherHalf(t *testing.T) {
	const ms = second / 1000
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
			a.take(&record.Line{Request: &record.Request{StartNS: test.doneMS*ms - 10*ms, EndNS: 10 * ms, Outcome: test.outcome}})
			if got := a.measured.done + a.unmeasured.done; got != test.want {
				t.Errorf("%d completions, want %d", got, test.want)
			}
		})
	}
}

func TestATrialThatEndsInItsFirstStretchesHasNoCost(t *testing.T) {
	s := alternating(closed(6), 0)
	s.experiment.Sequential.Requests = 10
	for _, l := range summarise(t, s.write(t)).Cost.Lines {
		if l.Change.known() || l.Measured.known() || l.Goal == GoalReached {
			t.Errorf("%+v of trials without one pair of stretches", l)
		}
	}
}
