package analysis

import (
	"fmt"

	"github.com/equic-bench/equic-bench/results"
)

// TrialsNote describes what that many trials of each variant allow.
func TrialsNote(n int) string {
	switch {
	case n == 0:
		return "no valid trial"
	case n == 1:
		return "one trial, no interval"
	case n < FewestBlocks:
		return fmt.Sprintf("median of %d trials, too few for a 95 %% interval", n)
	}
	return fmt.Sprintf("median of %d trials", n)
}

// LeastTrials returns the smallest number of valid trials of a variant, among those
// that have at least the given number.
func (s *Summary) LeastTrials(fewest int) int {
	least := s.Blocks
	for _, v := range s.Measured() {
		if v.Trials >= fewest {
			least = min(least, v.Trials)
		}
	}
	return least
}

// trialsNote describes what the trials of all variants together allow.
func (s *Summary) trialsNote() string { return rangeNote(s.LeastTrials(1), s.Blocks) }

// rangeNote is TrialsNote for variants with different numbers of valid trials.
func rangeNote(least, most int) string {
	if least == most {
		return TrialsNote(most)
	}
	note := fmt.Sprintf("median of %d to %d trials", least, most)
	if least < FewestBlocks {
		note += fmt.Sprintf(", too few for a 95 %% interval where there are fewer than %d", FewestBlocks)
	}
	return note
}

// noTrials returns the error of a run with nothing to report.
func noTrials(s *Summary) error {
	var invalid []Trial
	for _, t := range s.Trials {
		if t.Arm == results.Plain && !t.Valid {
			invalid = append(invalid, t)
		}
	}
	if len(invalid) == 0 && len(s.Trials) > 0 {
		return fmt.Errorf("%w: the run ended before its first plain trial (only A/A or cost trials); continue it with "+
			"`equic-bench run --resume %s`", ErrNoTrials, s.Run)
	}
	if len(invalid) == 0 {
		return fmt.Errorf("%w: the run has no whole trial at all; repeat it with `equic-bench run`", ErrNoTrials)
	}
	err := fmt.Errorf("%w: all %d are invalid", ErrNoTrials, len(invalid))
	for _, t := range invalid {
		err = fmt.Errorf("%w; %s: %s", err, t.Name, t.Reasons[0])
	}
	return err
}
