package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
)

func TestReportOfAnAlternationIsAsKept(t *testing.T) {
	dir := synth.Alternating(synth.Closed(10), 0.004).Write(t)
	s := write(t, dir)
	var text, brief bytes.Buffer
	testkit.Must(t, tables.Text(&text, s, 0))
	testkit.Must(t, tables.Brief(&brief, s, 80))
	numbers, err := json.MarshalIndent(map[string]any{"cost": s.Cost, "warnings": s.Warnings}, "", "  ")
	testkit.Must(t, err)
	golden.CheckAll(t, "alternation", map[string][]byte{
		"text.txt": text.Bytes(), "brief.txt": brief.Bytes(), "report.md": reported(t, dir, "report.md"),
		"cost.json": append(numbers, '\n'),
	})
}

func TestAnAlternationFindsWhatMeasuringCosts(t *testing.T) {
	testkit.Slow(t, "reads four runs of many trials")
	t.Parallel()
	tests := map[string]struct {
		cost float64
		want analysis.Goal
	}{
		"nothing":   {0, analysis.GoalReached},
		"a little":  {0.004, analysis.GoalReached},
		"too much":  {0.05, analysis.GoalMissed},
		"much more": {0.5, analysis.GoalMissed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := synth.Alternating(synth.Closed(10), test.cost)
			s.Experiment.Sequential.Requests = 6000
			for _, l := range summarise(t, s.Write(t)).Cost.Lines {
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

func TestATrialThatEndsInItsFirstStretchesHasNoCost(t *testing.T) {
	s := synth.Alternating(synth.Closed(6), 0)
	s.Experiment.Sequential.Requests = 10
	for _, l := range summarise(t, s.Write(t)).Cost.Lines {
		if l.Change.Known() || l.Measured.Known() || l.Goal == analysis.GoalReached {
			t.Errorf("%+v of trials without one pair of stretches", l)
		}
	}
}
