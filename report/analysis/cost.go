package analysis

import (
	"math"
)

// goalPercent is the change that measuring may make, up or down.
const goalPercent = 1

// Goal is the result for the goal that measuring changes a figure by less than 1 %.
type Goal string

// The verdicts on the goal.
const (
	GoalReached Goal = "reached"                            // the whole interval is within 1 %
	GoalWider   Goal = "under 1 %, but the interval is not" // the estimate is within
	GoalUnsure  Goal = "inconclusive"                       // the estimate is not, a part of the interval is
	GoalMissed  Goal = "missed"                             // the whole interval is beyond 1 %
	GoalTooFew  Goal = "too few blocks"
)

// Cost is how much measuring changes the server. Every variant with the server under
// probe and system-call counter is compared with the same without them. The two are in
// separate trials (an arm) or in stretches of the same trial (an alternation).
type Cost struct {
	Lines []CostLine `json:"lines"`
}

// CostLine is one figure of one variant, with and without measuring.
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
	// Goal is empty if there is none for the figure.
	Goal Goal `json:"goal,omitempty"`
}

// bothWays is one variant with its server measured and not measured.
type bothWays struct{ with, without *Variant }

// costOfArms compares the variants of the unmeasured arm with the plain ones.
func (s *Summary) costOfArms(unmeasured []Variant) *Cost {
	var all []bothWays
	for i := range unmeasured {
		all = append(all, bothWays{s.Variant(unmeasured[i].Name), &unmeasured[i]})
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
		for _, m := range MetricsWhere(func(m *Metric) bool { return m.Cost != "" }) {
			l := CostLine{
				Variant: v.without.Name, Metric: m.Cost, Unit: m.Unit,
				Unmeasured: m.Value(v.without.Metrics), Measured: m.Value(v.with.Metrics),
			}
			l.Change, l.Evidence = PairedChange(v.with, v.without, m)
			if m.Goal {
				l.Goal = goal(l.Change, &l.Evidence)
			}
			c.Lines = append(c.Lines, l)
		}
		for i := range c.Lines[first:] {
			tests = append(tests, &c.Lines[first+i].Evidence)
		}
		ApplyHolm(tests)
	}
	return c
}

// goal compares a change with the goal.
func goal(change Number, e *Evidence) Goal {
	switch {
	case !e.HasInterval():
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
