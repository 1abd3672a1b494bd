package report

import (
	"fmt"
	"math"

	"github.com/jedib0t/go-pretty/v6/table"
)

// goalPercent is the change that measuring may make, up or down.
const goalPercent = 1

// Goal is what became of the goal that measuring changes a figure by less than
// 1 %.
type Goal string

// The verdicts on the goal.
const (
	GoalReached Goal = "reached"                            // the whole interval is within 1 %
	GoalWider   Goal = "under 1 %, but the interval is not" // the estimate is within
	GoalUnsure  Goal = "inconclusive"                       // the estimate is not, a part of the interval is
	GoalMissed  Goal = "missed"                             // the whole interval is beyond 1 %
	GoalTooFew  Goal = "too few blocks"
)

// Cost is what measuring the server changes: every variant with the server
// under probe and system-call counter against the same without them, in trials of
// its own (an arm) or in stretches of the same trial (an alternation).
type Cost struct {
	Lines []CostLine `json:"lines"`
}

// CostLine is one figure of one variant with and without.
type CostLine struct {
	Variant string `json:"variant"`
	Metric  string `json:"metric"`
	Unit    string `json:"unit"`
	// The two figures, each the median over its valid trials.
	Unmeasured Number `json:"unmeasured"`
	Measured   Number `json:"measured"`
	// Change is from unmeasured to measured, in %, paired by block.
	Change Number `json:"change"`
	Evidence
	// Goal is empty where none is set.
	Goal Goal `json:"goal,omitempty"`
}

// costMetric is one figure that measuring may change.
type costMetric struct {
	name, unit string
	value      func(*Metrics) Number
	goal       bool
}

func costMetrics() []costMetric {
	return []costMetric{
		{"throughput, arithmetic mean", "requests/s", func(m *Metrics) Number { return m.Throughput.Arithmetic }, true},
		{"response time, median", "ms", func(m *Metrics) Number { return m.Duration.P50 }, true},
		{"response time, mean", "ms", func(m *Metrics) Number { return m.Duration.Arithmetic }, false},
		{"response time, p99", "ms", func(m *Metrics) Number { return m.Duration.P99 }, false},
	}
}

// bothWays is one variant with its server measured and without.
type bothWays struct{ with, without *Variant }

// costOfArms sets the variants of the arm that nothing measures against the plain.
func (s *Summary) costOfArms(unmeasured []Variant) *Cost {
	var all []bothWays
	for i := range unmeasured {
		all = append(all, bothWays{s.variant(unmeasured[i].Name), &unmeasured[i]})
	}
	return s.cost(all)
}

func (s *Summary) cost(variants []bothWays) *Cost {
	c := &Cost{Lines: []CostLine{}}
	for _, v := range variants {
		if v.with == nil || v.without.Trials == 0 {
			continue
		}
		var tests []*Evidence
		first := len(c.Lines)
		for _, m := range costMetrics() {
			l := CostLine{
				Variant: v.without.Name, Metric: m.name, Unit: m.unit,
				Unmeasured: m.value(v.without.Metrics), Measured: m.value(v.with.Metrics),
			}
			l.Change, l.Evidence = paired(v.with, v.without, quantity{value: m.value}, s.Seed)
			if m.goal {
				l.Goal = goal(l.Change, &l.Evidence)
			}
			c.Lines = append(c.Lines, l)
		}
		for i := range c.Lines[first:] {
			tests = append(tests, &c.Lines[first+i].Evidence)
		}
		correct(tests)
	}
	return c
}

// goal holds a change against the goal.
func goal(change Number, e *Evidence) Goal {
	switch {
	case !e.hasInterval():
		return GoalTooFew
	case e.Low > -goalPercent && e.High < goalPercent:
		return GoalReached
	case e.High <= -goalPercent || e.Low >= goalPercent:
		return GoalMissed
	case math.Abs(float64(change)) < goalPercent:
		return GoalWider
	}
	return GoalUnsure
}

// costTable is the cost of measuring.
func costTable(s *Summary) titled {
	t := newTable("Cost of measuring (the server with probe and system-call counter against without)", 2,
		"variant", "metric", "without", "with", "change", "95 % interval", "p", "goal: under 1 %")
	t.rightAlign(3, 7)
	if s.Cost == nil {
		return t
	}
	for i := range s.Cost.Lines {
		l := &s.Cost.Lines[i]
		reached := string(l.Goal)
		if reached == "" {
			reached = short(unknown())
		}
		t.AppendRow(table.Row{
			l.Variant, fmt.Sprintf("%s (%s)", l.Metric, l.Unit), short(l.Unmeasured), short(l.Measured),
			fine(l.Change), l.fineInterval(), probability(l.P), reached,
		})
	}
	if words := s.spareTime(); words != "" {
		t.below = []string{words}
	}
	return t
}

// fine is a change in % where a tenth of a percent matters.
func fine(change Number) string {
	if !change.known() {
		return bound(change)
	}
	return fmt.Sprintf("%+.2f %%", float64(change))
}

func (e *Evidence) fineInterval() string {
	if !e.Low.known() || !e.High.known() {
		return e.interval()
	}
	return fine(e.Low) + " to " + fine(e.High)
}
