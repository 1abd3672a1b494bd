package synth

import (
	"math/rand/v2"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Blocks returns three variants in each of n blocks, in an order drawn for each. The
// machine is slower in some blocks, for all variants alike.
func Blocks(n int) *Run {
	s := OneBlock()
	s.Trials = nil
	rng := rand.New(rand.NewPCG(11, 12))
	for b := range n {
		factor := 0.9 + 0.2*rng.Float64()
		variants := PaperVariants()
		rng.Shuffle(len(variants), func(i, j int) { variants[i], variants[j] = variants[j], variants[i] })
		for _, v := range variants {
			s.Trials = append(s.Trials, Trial{Variant: v, Block: b + 1, Request: slowed(factor), Server: Grown(factor)})
		}
	}
	return s
}

// ShortBlocks returns Blocks with trials of 20 s, which are quicker to write and read.
func ShortBlocks(n int) *Run {
	s := Blocks(n)
	s.Experiment.Sequential.Requests, s.Experiment.Parallel.Requests = 200, 40
	s.Experiment.Parallel.DelayNS = 10 * Second
	return s
}

// slowed multiplies the duration of each served request.
func slowed(factor float64) func(string, *record.Request) {
	return func(_ string, q *record.Request) {
		if q.Outcome == record.OK {
			q.EndNS = int64(float64(q.EndNS) * factor)
		}
	}
}

// Grown multiplies memory and the costs of turning away.
func Grown(factor float64) func(*record.Line) {
	times := func(n int64) int64 { return int64(float64(n) * factor) }
	return func(line *record.Line) {
		switch {
		case line.Sample != nil:
			line.Sample.RSSBytes = times(line.Sample.RSSBytes)
		case line.Refusal != nil:
			line.Refusal.CPUNS, line.Refusal.WallNS = times(line.Refusal.CPUNS), times(line.Refusal.WallNS)
		case line.Gateway != nil:
			line.Gateway.DropNS *= factor
		}
	}
}

// Find returns the index of a variant's trial in a block.
func (s *Run) Find(variant string, block int) int {
	return slices.IndexFunc(s.Trials, func(t Trial) bool { return t.Variant == variant && t.Block == block })
}

// WithArm returns a run in which each block has every variant a second time, in another
// arm, faster or slower by chance, and by a factor.
func WithArm(s *Run, arm results.Arm, factor float64) *Run {
	s.Experiment.Arms = append(s.Experiment.Arms, arm)
	rng := rand.New(rand.NewPCG(21, 22))
	for _, t := range slices.Clone(s.Trials) {
		if t.arm != results.Plain {
			continue
		}
		t.arm = arm
		by, block := factor*(0.995+0.01*rng.Float64()), t.Request
		t.Request = func(role string, q *record.Request) {
			if block != nil {
				block(role, q)
			}
			slowed(by)(role, q)
		}
		s.Trials = append(s.Trials, t)
	}
	return s
}

// Unattacked returns blocks of the variants in a closed loop, without an attack.
func Unattacked(n int) *Run {
	s := ShortBlocks(n)
	s.Experiment.Sequential.RatePerSecond, s.Experiment.Sequential.Requests = 0, 900
	s.Experiment.Parallel = results.Load{}
	return s
}

// Closed returns blocks of one variant in a closed loop, without an attack.
func Closed(n int) *Run {
	s := Unattacked(n)
	s.Experiment.Variants = []string{"xdp-block"}
	s.Trials = slices.DeleteFunc(s.Trials, func(t Trial) bool { return t.Variant != "xdp-block" })
	return s
}

// Alternating measures the server of each trial in half of its stretches. In these, a request takes longer by
// cost, a share of its duration.
func Alternating(s *Run, cost float64) *Run {
	s.Experiment.AlternateNS = Second / 2
	for i := range s.Trials {
		s.Trials[i].Request = func(role string, q *record.Request) {
			if role == results.RoleSequential && record.MeasuredStretch(q.StartNS/s.Experiment.AlternateNS) {
				q.EndNS = int64(float64(q.EndNS) * (1 + cost))
			}
		}
		s.Trials[i].Server = func(line *record.Line) {
			if line.Probe != nil {
				line.Probe.SyscallCounter = false
			}
		}
	}
	return s
}

// FiveVariants returns short trials of five variants in each of n blocks.
func FiveVariants(n int) *Run {
	s := ShortBlocks(n)
	s.Experiment.Variants = record.VariantNames()[:5]
	for b := range n {
		factor := 1 + 0.01*float64(b)
		for _, v := range []string{"userspace-early", "xdp-block-new"} {
			s.Trials = append(s.Trials, Trial{Variant: v, Block: b + 1, Request: slowed(factor), Server: Grown(factor)})
		}
	}
	return s
}

// RunsToDraw returns runs that differ in what their figures show.
func RunsToDraw() map[string]*Run {
	closed := OneBlock()
	closed.Experiment.Sequential.RatePerSecond, closed.Experiment.Parallel, closed.Experiment.ServerMemoryBytes = 0,
		results.Load{}, 0
	failing := OneBlock()
	failing.Trials[2].Request = func(role string, q *record.Request) {
		if role == results.RoleSequential && q.ScheduledNS > 20*Second {
			q.Outcome = record.Timeout
		}
	}
	return map[string]*Run{
		"a search": Search(1), "three searches": Search(3),
		"one trial each": OneBlock(), "three blocks of five variants": FiveVariants(3),
		"six blocks of five variants": FiveVariants(6),
		"no attack, no memory limit":  closed, "a variant that does not recover": failing,
	}
}

// Served returns a run in which the attack has no effect on the sequential clients, and
// some variants serve it.
func Served(s *Run, by ...string) *Run {
	for i := range s.Trials {
		whole := slices.Contains(by, s.Trials[i].Variant)
		s.Trials[i].Request = func(role string, q *record.Request) {
			if role == results.RoleSequential || whole {
				q.Outcome, q.EndNS = record.OK, 9e6
			}
		}
	}
	return s
}

// TwoLoads returns the paper's two experiments, each variant once: sequential clients
// in a closed loop with a pace and an attack, and the attackers alone.
func TwoLoads() *Run {
	s := OneBlock()
	s.Experiment.Sequential = results.Load{Clients: 4, Requests: 400, PaceNS: Second / 10, MaxInFlight: 1}
	alone := s.Experiment
	alone.Sequential = results.Load{}
	alone.Parallel.DelayNS = 0
	s.Cells = []results.Cell{
		{Name: "mixed", Load: "mixed", Experiment: s.Experiment},
		{Name: "parallel", Load: "parallel", Experiment: alone},
	}
	s.Trials = nil
	for _, c := range s.Cells {
		for _, v := range s.Experiment.Variants {
			s.Trials = append(s.Trials, Trial{Variant: v, Cell: c.Name, Block: 1})
		}
	}
	return s
}
