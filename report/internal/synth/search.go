package synth

import (
	"fmt"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Search returns a search by bisection, made several times. no-block holds against 0.595 times
// the capacity and not against 0.738, userspace-block not even against 0.25. userspace-early
// holds against 1.76, beyond which the clients are the limit, and xdp-block against all of 8.
func Search(repetitions int) *Run {
	s := OneBlock()
	s.Experiment.Variants = []string{"no-block", "userspace-block", "userspace-early", "xdp-block"}
	s.Experiment.Sequential = results.Load{Clients: 4, Requests: 300, RatePerSecond: 10, MaxInFlight: 1}
	s.Experiment.Parallel = results.Load{
		Clients: 4, DurationNS: 15 * Second, RatePerSecond: 20, Strength: 8, DelayNS: 15 * Second, MaxInFlight: 64,
	}
	s.Experiment.Search = &results.Search{From: 0.25, To: 8, Factor: 1.25, Keep: 0.99, P99: 3, Repetitions: repetitions}
	s.Trials = nil
	for block := range repetitions {
		for _, found := range []struct {
			variant string
			edge    float64
			tried   []float64
		}{
			{"no-block", 0.6, []float64{0.25, 8, 1.41, 0.595, 0.917, 0.738}},
			{"userspace-block", 0.1, []float64{0.25}},
			{"userspace-early", 2, []float64{0.25, 8, 1.41, 3.36, 2.18, 1.76}},
			{"xdp-block", 8, []float64{0.25, 8}},
		} {
			for _, strength := range found.tried {
				t := Trial{Variant: found.variant, Block: block + 1, strength: strength, Request: steady(strength > found.edge)}
				if found.variant == "userspace-early" && strength > found.edge {
					t.rule, t.Invalid = results.GeneratorRule, fmt.Sprintf("the clients were the limit at %gx", strength)
				}
				s.Trials = append(s.Trials, t)
			}
		}
	}
	return s
}

// steady makes each sequential request take 9 ms, or 45 ms from the attack on if it is
// felt.
func steady(felt bool) func(role string, q *record.Request) {
	return func(role string, q *record.Request) {
		if role != results.RoleSequential {
			return
		}
		q.Outcome, q.EndNS = record.OK, 9e6
		if felt && q.ScheduledNS >= 15*Second {
			q.EndNS = 45e6
		}
	}
}
