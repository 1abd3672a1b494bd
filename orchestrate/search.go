package orchestrate

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// Verdicts are the results of a search's trials, by their index in the plan. A trial
// that was not run, or has attempts left, has none.
type Verdicts map[int]results.Verdict

// JudgeAttack judges whether the server withstood the attack of a finished trial of a search.
type JudgeAttack func(run *results.Run, t *results.Trial) (results.Verdict, error)

// errUnjudged is the error of a search without Options.JudgeAttack.
var errUnjudged = errors.New("a search needs a judgement of its trials")

// PlanAfter returns the plan of a scenario whose first trials have these verdicts: all
// trials that are known so far, and the maximum number of trials. Without a search it is
// Plan. PlanAfter is pure: the same scenario, seed and verdicts give the same trials.
func PlanAfter(s *scenarios.Scenario, seed uint64, verdicts Verdicts) (plan []results.PlannedTrial, most int) {
	if s.Search == nil {
		plan = Plan(s, seed)
		return plan, len(plan)
	}
	return planSearch(experiments(s), seed, verdicts)
}

// planSearch makes rounds. Each has one trial of every cell and variant that is not decided yet, in
// an order drawn from the seed. A block begins when the previous one is decided.
func planSearch(cells []results.Cell, seed uint64, verdicts Verdicts) (plan []results.PlannedTrial, most int) {
	random := rand.New(rand.NewPCG(seed, 0))
	repetitions := cells[0].Experiment.Search.Repetitions
	for block := 1; block <= repetitions; block++ {
		searches := newBisections(cells, block)
		for {
			round, open := playRound(searches, random, len(plan), verdicts)
			if plan = append(plan, round...); open {
				return plan, len(plan) + left(searches) - len(round) + (repetitions-block)*left(newBisections(cells, block))
			}
			if len(round) == 0 {
				break
			}
		}
	}
	return plan, len(plan)
}

// playRound returns the next trial of each search that is not decided. If all of them
// have a verdict, the searches advance; otherwise the round is still open.
func playRound(
	searches []*bisection, random *rand.Rand, before int, verdicts Verdicts,
) (round []results.PlannedTrial, open bool) {
	var trying []*bisection
	for _, i := range random.Perm(len(searches)) {
		if searches[i].decided() {
			continue
		}
		p := searches[i].trial()
		p.Index = before + len(round) + 1
		round, trying = append(round, p), append(trying, searches[i])
		open = open || verdicts[p.Index] == ""
	}
	if !open {
		for i, b := range trying {
			b.take(verdicts[round[i].Index])
		}
	}
	return round, open
}

// left returns how many trials the searches still need at most.
func left(searches []*bisection) int {
	n := 0
	for _, b := range searches {
		n += b.left()
	}
	return n
}

// bisection looks for the breaking point of one variant in a cell, over a grid of
// strengths: at its first, at its last, and then halfway between the bounds.
type bisection struct {
	of   results.PlannedTrial // without index and strength
	grid []float64
	// The server held against low, and not against high. They are -1 and len(grid) if that is not
	// known.
	low, high int
}

func newBisections(cells []results.Cell, block int) []*bisection {
	var all []*bisection
	for _, c := range cells {
		steps := strengths(&c.Experiment)
		for _, v := range c.Experiment.Variants {
			of := results.PlannedTrial{Block: block, Cell: c.Name, Variant: v}
			all = append(all, &bisection{of: of, grid: steps, low: -1, high: len(steps)})
		}
	}
	return all
}

// strengths returns the strengths that a search may try: from the first to the last by the
// same factor. The factor is at most that of the search, and no strength is beyond what the
// clients can start. They have three digits, for readability.
func strengths(e *results.Experiment) []float64 {
	s := e.Search
	const rounding = 1e-9
	steps := max(1, math.Ceil(math.Log(s.To/s.From)/math.Log(s.Factor)-rounding))
	var all []float64
	for i := 0.0; i <= steps; i++ {
		strength := threeDigits(s.From * math.Pow(s.To/s.From, i/steps))
		if strength <= threeDigits(e.Parallel.Strongest()) || len(all) == 0 {
			all = append(all, strength)
		}
	}
	return slices.Compact(all)
}

func threeDigits(v float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64) // it is a valid number
	return rounded
}

// next returns the index of the strength to try.
func (b *bisection) next() int {
	switch {
	case b.low < 0:
		return 0
	case b.high == len(b.grid):
		return b.high - 1
	}
	return (b.low + b.high) / 2
}

func (b *bisection) decided() bool { return b.high == 0 || b.high-b.low == 1 && b.low >= 0 }

func (b *bisection) trial() results.PlannedTrial {
	p := b.of
	p.Strength = b.grid[b.next()]
	return p
}

// take moves a bound to the strength that was tried.
func (b *bisection) take(v results.Verdict) {
	if v == results.AttackHeld {
		b.low = b.next()
	} else {
		b.high = b.next()
	}
}

// left returns how many trials the search still needs at most.
func (b *bisection) left() int {
	n, low := 0, b.low
	if low < 0 && !b.decided() {
		n, low = 1, 0
	}
	if b.high == len(b.grid) && low < b.high-1 {
		n++
		return n + halvings(b.high-1-low)
	}
	return n + halvings(b.high-low)
}

// halvings returns how often a range of n steps is halved until one is left.
func halvings(n int) int { return bits.Len(uint(max(1, n) - 1)) }

// judgeAttacks sets the verdict of each finished trial of a search, from the run's records
// in a directory.
func (r *runner) judgeAttacks(dir string) (err error) {
	if r.scenario.Search == nil {
		return nil
	}
	if r.options.JudgeAttack == nil {
		return errUnjudged
	}
	run := &results.Run{Dir: dir, Manifest: *r.manifest}
	for _, p := range r.plan {
		if _, over := r.tried(p); !over || r.verdicts[p.Index] != "" {
			continue
		}
		if r.verdicts[p.Index], err = r.options.JudgeAttack(run, r.last(p)); err != nil {
			return fmt.Errorf("judge the attack of trial %d: %w", p.Index, err)
		}
		r.emit(Event{Trial: p, Phase: PhaseDone, Message: fmt.Sprintf("attack of %s the capacity: %s",
			results.StrengthLabel(p.Strength), r.verdicts[p.Index])})
	}
	return nil
}

// replan continues a search with the verdicts of its trials, and returns whether the plan has
// grown.
func (r *runner) replan(dir string) (grown bool, err error) {
	if r.scenario.Search == nil {
		return false, nil
	}
	if err := r.judgeAttacks(dir); err != nil {
		return false, err
	}
	before := len(r.plan)
	r.plan, r.most = PlanAfter(r.scenario, r.manifest.Seed, r.verdicts)
	r.manifest.Plan = r.plan
	return len(r.plan) > before, nil
}

// grow is replan for a run in progress. If the plan has grown, it writes the plan before the
// run continues, so that every trial is in the plan before it runs.
func (r *runner) grow() (bool, error) {
	grown, err := r.replan(r.writer.Dir)
	if err != nil || !grown {
		return false, err
	}
	return true, r.writer.WriteManifest(r.manifest)
}

// VerifySearch checks that the trials of a search follow from their verdicts.
func VerifySearch(run *results.Run, judge JudgeAttack) results.Finding {
	m := &run.Manifest
	const means = "the bounds of its breaking points may be wrong"
	for _, c := range cellsOf(m) {
		if s := c.Experiment.Search; s == nil || !(s.From > 0 && s.From <= s.To && s.Factor > 1 && !math.IsInf(s.To, 1)) {
			fault := results.Fault{File: results.ManifestFile, Fault: fmt.Sprintf("the search of cell %q is none", c.Name)}
			return results.NewFinding("search", "", []results.Fault{fault}, "cells have no search that can be repeated", means)
		}
	}
	verdicts, faults := verdictsOf(run, judge)
	plan, _ := planSearch(cellsOf(m), m.Seed, verdicts)
	for i, p := range m.Plan {
		if i >= len(plan) || plan[i] != p {
			faults = append(faults, results.Fault{
				File:  results.ManifestFile,
				Fault: fmt.Sprintf("trial %d, %s, does not follow from the trials before it", p.Index, p.Label()),
			})
			break
		}
	}
	evidence := fmt.Sprintf("each of its %d trials follows from those before it", len(m.Plan))
	return results.NewFinding("search", evidence, faults,
		"of its trials do not follow from those before them", means)
}

// verdictsOf judges the last attempt at each finished trial.
func verdictsOf(run *results.Run, judge JudgeAttack) (verdicts Verdicts, faults []results.Fault) {
	verdicts = Verdicts{}
	for _, t := range run.Trials {
		if !t.Valid && t.Attempt < Attempts {
			continue
		}
		v, err := judge(run, t)
		if err != nil {
			faults = append(faults, results.Fault{File: results.TrialsDir + "/" + t.Name(), Fault: err.Error()})
		}
		verdicts[t.Index] = v
	}
	return verdicts, faults
}

// cellsOf returns the cells of a run, with one for a run without loads and matrix.
func cellsOf(m *results.Manifest) []results.Cell {
	if len(m.Cells) > 0 {
		return m.Cells
	}
	return []results.Cell{{Experiment: m.Experiment}}
}
