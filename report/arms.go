package report

import "github.com/equic-bench/equic-bench/results"

// compareArms sets each variant against itself in the other arms of the run.
// Those are in no other figure or table.
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
			s.Cost = s.cost(others)
		}
	}
	return nil
}

// armSections are those on the other arms of the run; their tables are empty
// where it has none.
func armSections(s *Summary) []section {
	cost := section{titled: costTable(s), after: []string{"Each variant ran twice in each block: with its server under the probe, which samples it and counts its system calls, and with nothing around it. The change is that of ratios paired by block, from the latter to the former. The goal is reached where the whole interval is within 1 % of no change. Clients run under their probes in both, so what that costs is in neither. Without a probe nobody knows how busy the server was: the rules that ask for that are not asked. The trials without it are in no other figure or table."}}
	noise := section{titled: noiseTable(s)}
	if s.Noise != nil {
		noise.after = []string{"Each variant ran twice in each block, as if it were two: what differs is noise. The change is paired by block, by the figure of each claim; its interval and p are those of the other tables, and p is not corrected. This run: " + s.Noise.note() + ". A change between two variants that is no larger than the largest of a block here may be nothing. The second trials of a block are in no other figure or table."}
	}
	return []section{cost, noise}
}
