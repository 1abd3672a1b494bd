package analysis

import (
	"math"
	"testing"
)

func TestTheLargestChangeCountsHalfLikeDouble(t *testing.T) {
	of := func(values ...float64) *Variant {
		v := new(Variant)
		for i, x := range values {
			v.TrialMetrics, v.Blocks = append(v.TrialMetrics, &Metrics{BlockTimeUS: Number(x)}), append(v.Blocks, i+1)
		}
		return v
	}
	inf := math.Inf(1)
	tests := map[string]struct {
		with, without []float64
		want          float64
	}{
		"more":              {[]float64{10, 12, 11}, []float64{10, 10, 10}, 20},
		"less":              {[]float64{10, 4, 20}, []float64{10, 10, 10}, -60},
		"two zeros":         {[]float64{0}, []float64{0}, 0},
		"to zero":           {[]float64{0, 99}, []float64{1, 1}, -100},
		"from zero":         {[]float64{1, 99}, []float64{0, 1}, inf},
		"none has a value":  {[]float64{math.NaN()}, []float64{1}, math.NaN()},
		"one has no value":  {[]float64{math.NaN(), 11}, []float64{1, 10}, 10},
		"one is not paired": {[]float64{11}, []float64{10, 1}, 10},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := float64(largest(of(test.with...), of(test.without...), MetricByID("block-time")))
			if got != test.want && math.Abs(got-test.want) > 1e-9 && !(math.IsNaN(got) && math.IsNaN(test.want)) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestTheGoalOfMeasuringIsHeldAgainstTheInterval(t *testing.T) {
	of := func(low, high Number) *Evidence {
		return &Evidence{Blocks: 10, Method: "signed ranks", Low: low, High: high}
	}
	none := NoEvidence()
	tests := map[string]struct {
		change Number
		e      *Evidence
		want   Goal
	}{
		"narrow around zero":        {0.1, of(-0.4, 0.6), GoalReached},
		"narrow beside zero":        {-0.6, of(-0.9, -0.2), GoalReached},
		"wide around zero":          {0.1, of(-2, 2), GoalWider},
		"to the goal itself":        {-0.5, of(-1, -0.1), GoalWider},
		"over it, with less inside": {-1.4, of(-2, -0.5), GoalUnsure},
		"a cost for sure":           {-3, of(-4, -2), GoalMissed},
		"a gain for sure":           {3, of(2, 4), GoalMissed},
		"no interval":               {0, &none, GoalTooFew},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := goal(test.change, test.e); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
