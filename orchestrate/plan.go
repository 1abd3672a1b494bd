package orchestrate

import (
	"math/rand/v2"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// Plan lists the trials of a scenario in randomised complete blocks. Each of its
// Repetitions is one block, with every variant once in each cell and arm, in an order
// drawn from the seed. For a search, Plan lists the first round (PlanAfter). Plan is
// pure: the same scenario and seed give the same trials.
func Plan(s *scenarios.Scenario, seed uint64) []results.PlannedTrial {
	if s.Search != nil {
		plan, _ := PlanAfter(s, seed, nil)
		return plan
	}
	random := rand.New(rand.NewPCG(seed, 0))
	var block []results.PlannedTrial
	for _, c := range s.Cells() {
		for _, v := range c.Variants {
			for _, a := range append([]results.Arm{results.Plain}, arms(s)...) {
				block = append(block, results.PlannedTrial{Cell: c.Cell, Variant: string(v), Arm: a})
			}
		}
	}
	plan := make([]results.PlannedTrial, 0, s.Repetitions*len(block))
	for b := 1; b <= s.Repetitions; b++ {
		for _, i := range random.Perm(len(block)) {
			p := block[i]
			p.Index, p.Block = len(plan)+1, b
			plan = append(plan, p)
		}
	}
	return plan
}

// arms returns the arms of a scenario besides the plain one.
func arms(s *scenarios.Scenario) []results.Arm {
	if s.Again {
		return []results.Arm{results.Again}
	}
	return nil
}
