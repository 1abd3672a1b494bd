package orchestrate

import (
	"math/rand/v2"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// Plan lists the trials of a scenario in randomised complete blocks: each of
// its Repetitions is one block, and holds every variant once, in an order drawn
// from the seed. Plan is pure: the same scenario and seed give the same trials.
func Plan(s *scenarios.Scenario, seed uint64) []results.PlannedTrial {
	random := rand.New(rand.NewPCG(seed, 0))
	plan := make([]results.PlannedTrial, 0, s.Repetitions*len(s.Variants))
	for block := 1; block <= s.Repetitions; block++ {
		for _, i := range random.Perm(len(s.Variants)) {
			plan = append(plan, results.PlannedTrial{
				Index:   len(plan) + 1,
				Block:   block,
				Variant: string(s.Variants[i]),
			})
		}
	}
	return plan
}
