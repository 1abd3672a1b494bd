package analysis

import (
	"github.com/equic-bench/equic-bench/results"
)

// compareArms compares each variant with itself: in the other arms of the run, which
// are in no other figure or table, and in the halves of an alternation.
func (s *Summary) compareArms(run *results.Run) error {
	for _, arm := range run.Manifest.Experiment.Arms {
		var others []Variant
		for _, name := range run.Manifest.Experiment.Variants {
			v, _, err := s.readVariant(run, name, arm)
			if err != nil {
				return err
			}
			others = append(others, v)
		}
		switch arm {
		case results.Again:
			s.Noise = s.noise(others)
		case results.Unmeasured:
			s.Cost = s.costOfArms(others)
		}
	}
	if run.Manifest.Experiment.AlternateNS == 0 {
		return nil
	}
	s.Warnings = append(s.Warnings, alternationWarning(run.Manifest.Experiment.AlternateNS))
	if run.Manifest.Experiment.Sequential.Clients == 0 {
		return nil // the cost is measured by these clients
	}
	cost, err := s.costOfAlternation(run)
	s.Cost = cost
	return err
}
