package analysis

import (
	"fmt"
	"math"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// SkippedNS is how much of the beginning of each stretch is left out, in ns. During that time the measuring
// programs are attached or detached, and requests that began earlier end.
const SkippedNS = int64(100e6)

// half is one half of the stretches of a trial: those in which the server was measured,
// or the others.
type half struct {
	done     int // ok sequential requests that were completed in this half
	response tally
}

// alternation divides the completions of one trial between its two halves.
type alternation struct {
	stretchNS int64
	pairs     int64 // of stretches in which every client has requests left

	measured, unmeasured half
}

// readAlternation reads the sequential requests of a trial, twice: only after the first
// pass is it known when the first client had none left.
func readAlternation(run *results.Run, trial *results.Trial) (*alternation, error) {
	a := &alternation{stretchNS: run.Manifest.Experiment.AlternateNS}
	endNS := int64(math.MaxInt64)
	for i := range trial.Nodes {
		if trial.Nodes[i].Role != results.RoleSequential {
			continue
		}
		last := int64(0)
		if err := run.Lines(trial, &trial.Nodes[i], func(line *record.Line) error {
			if q := line.Request; q != nil {
				last = max(last, q.StartNS+q.EndNS)
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("trial %s: %w", trial.Name(), err)
		}
		endNS = min(endNS, last)
	}
	a.pairs = endNS / (2 * a.stretchNS)
	if err := readNodes(run, trial, results.RoleSequential, a.take); err != nil {
		return nil, fmt.Errorf("trial %s: %w", trial.Name(), err)
	}
	return a, nil
}

func (a *alternation) take(line *record.Line) {
	q := line.Request
	if q == nil || q.Outcome != record.OK {
		return
	}
	done := q.StartNS + q.EndNS
	n := done / a.stretchNS
	if done < 0 || n >= 2*a.pairs || done%a.stretchNS < SkippedNS {
		return
	}
	of := &a.unmeasured
	if record.MeasuredStretch(n) {
		of = &a.measured
	}
	of.done++
	of.response.add(q.ResponseNS())
}

// metrics returns the metrics of one half that measuring may change; the others are zero.
func (a *alternation) metrics(h *half) *Metrics {
	m := new(Metrics)
	m.Throughput.Arithmetic = Ratio(float64(h.done), float64(a.pairs)*Seconds(a.stretchNS-SkippedNS))
	m.Duration.Statistics = h.response.statistics()
	return m
}

// costOfAlternation compares the two halves of each valid trial.
func (s *Summary) costOfAlternation(run *results.Run) (*Cost, error) {
	var all []bothWays
	for _, name := range run.Manifest.Experiment.Variants {
		with, without := &Variant{Name: name}, &Variant{Name: name}
		for _, t := range run.Trials {
			if !t.Valid || t.Variant != name || t.Arm != results.Plain {
				continue
			}
			a, err := readAlternation(run, t)
			if err != nil {
				return nil, err
			}
			with.addTrial(a.metrics(&a.measured), t)
			without.addTrial(a.metrics(&a.unmeasured), t)
		}
		with.Summarise()
		without.Summarise()
		all = append(all, bothWays{with, without})
	}
	return s.cost(all), nil
}

// alternationWarning describes what the other figures of such a run include.
func alternationWarning(stretchNS int64) string {
	return fmt.Sprintf("the server was measured in only half of the stretches of %g s, to find the cost of "+
		"measuring: CPU and memory are from that half, and system calls are not reported", Seconds(stretchNS))
}
