package analysis

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/results"
)

func TestBoundsAroundAnAttackThatCouldNotBeTried(t *testing.T) {
	trial := func(strength Number, v results.Verdict) AttackTrial {
		a := AttackTrial{Strength: strength, ScheduledPerS: 100 * strength, AchievedPerS: Unknown(), Kept: 0.5, Verdict: v}
		if v == results.AttackBroke {
			a.Broken = []string{CriterionThroughput}
		}
		return a
	}
	held, limited, invalid, broke := results.AttackHeld, results.AttackLimited, results.AttackInvalid, results.AttackBroke
	tests := map[string]struct {
		trials []AttackTrial
		want   string
		fails  Number
		why    string
	}{
		"a stronger one broke it": {
			[]AttackTrial{trial(2, held), trial(3, limited), trial(8, broke)},
			"2x", 8,
			"throughput at 50.00 %; before: the clients cannot start more requests",
		},
		"no stronger one was tried": {
			[]AttackTrial{trial(2, held), trial(2.4, limited)}, "more than 2x", 2.4, "the clients cannot start more requests",
		},
		"a stronger one was withstood": {
			[]AttackTrial{trial(1, invalid), trial(2, held), trial(2.4, broke)}, "2x", 2.4, "throughput at 50.00 %",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := BreakingPoint{Trials: test.trials}
			b.bracket(&results.Experiment{Search: &results.Search{Factor: 1.25}})
			if b.Strength() != test.want || b.Fails != test.fails || !strings.HasPrefix(b.Why, test.why) {
				t.Errorf("%s, fails at %v, %s; want %s, %v, %s", b.Strength(), b.Fails, b.Why, test.want, test.fails, test.why)
			}
		})
	}
}
