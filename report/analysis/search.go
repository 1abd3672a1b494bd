package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/results"
)

// leastAchieved is the share of its scheduled rate that an attack must reach, to show that
// the server withstands its strength.
const leastAchieved = 0.95

// The criteria for a server that holds, as AttackTrial.Broken names them.
const (
	CriterionThroughput = "throughput"
	CriterionLost       = "lost"
	CriterionP99        = "p99"
)

// BreakingPoint is the result of a search for one variant in a cell: the strongest attack
// that the server withstands (docs/method.md, The breaking point). Strengths are multiples
// of its capacity; rates are those of all attackers, as scheduled.
type BreakingPoint struct {
	Variant string `json:"variant"`
	Block   int    `json:"block"`
	// Holds is the strongest attack that the server withstood, and Fails the weakest that broke
	// it or, if none is known to, the weakest that could not be tried: null if there is none.
	Holds     Number `json:"holds"`
	HoldsPerS Number `json:"holds_per_s"`
	Fails     Number `json:"fails"`
	FailsPerS Number `json:"fails_per_s"`
	// FailsBy is the verdict on the attack that Fails.
	FailsBy results.Verdict `json:"fails_by,omitempty"`
	Bound   Bound           `json:"bound,omitempty"`
	// Why is what broke first, or why there is only a bound.
	Why    string        `json:"why"`
	Trials []AttackTrial `json:"trials"` // by strength
}

// Bound distinguishes a breaking point beyond the tried range from one between Holds and
// Fails, which is NotBound.
type Bound string

// The bounds.
const (
	NotBound      Bound = ""
	MoreThan      Bound = "more than" // Holds
	LessThan      Bound = "less than" // Fails
	UnknownBounds Bound = "unknown"
)

// AttackTrial is the effect on the sequential clients in one trial of a search.
type AttackTrial struct {
	Trial         string `json:"trial"`
	Strength      Number `json:"strength"`
	ScheduledPerS Number `json:"scheduled_per_s"`
	AchievedPerS  Number `json:"achieved_per_s"`
	// Kept is the throughput during the attack, and P99 the p99 of the response time, each as
	// a multiple of that before; Lost counts requests.
	Kept    Number          `json:"kept"`
	Lost    Number          `json:"lost"`
	P99     Number          `json:"p99"`
	Verdict results.Verdict `json:"verdict"`
	// Broken are the criteria that an attack breaks, or the rules that make a trial invalid.
	Broken []string `json:"broken,omitempty"`
}

// JudgeAttack judges whether the server withstood the attack of a finished trial of a search.
func JudgeAttack(run *results.Run, t *results.Trial) (results.Verdict, error) {
	e := run.Manifest.ExperimentOf(t.Cell)
	if e == nil || e.Search == nil {
		return "", fmt.Errorf("trial %s is of no search", t.Name())
	}
	cell := *run
	cell.Manifest.Experiment = *e
	a, err := readAttack(&cell, t)
	return a.Verdict, err
}

// readAttack reads a trial of a search, in the run of its cell.
func readAttack(run *results.Run, t *results.Trial) (AttackTrial, error) {
	u := Unknown()
	a := AttackTrial{
		Trial: t.Name(), Strength: Number(t.Strength), AchievedPerS: u, Kept: u, Lost: u, P99: u,
		ScheduledPerS: scheduledRate(run.Manifest.Experiment.At(t.PlannedTrial).Parallel),
	}
	if !t.Valid {
		a.Broken, a.Verdict = t.BrokenRules(), results.AttackInvalid
		if t.Limited() {
			a.Verdict = results.AttackLimited
		}
		return a, nil
	}
	r, err := read(run, t)
	if err != nil {
		return a, err
	}
	r.fillEffect(&a)
	a.judge(run.Manifest.Experiment.Search)
	return a, nil
}

func (r *reading) fillEffect(a *AttackTrial) {
	h := r.honest()
	a.AchievedPerS, a.Kept, a.P99, a.Lost = r.attackTotals().AchievedRPS, h.Kept, h.P99, h.Lost
}

// judge applies the criteria. One whose value is unknown is broken.
func (a *AttackTrial) judge(s *results.Search) {
	for _, c := range []struct {
		criterion string
		holds     bool
	}{
		{CriterionThroughput, a.Kept >= Number(s.Keep)},
		{CriterionLost, a.Lost <= Number(s.Lost)},
		{CriterionP99, a.P99 <= Number(s.P99)},
	} {
		if !c.holds {
			a.Broken = append(a.Broken, c.criterion)
		}
	}
	switch {
	case len(a.Broken) > 0:
		a.Verdict = results.AttackBroke
	case !(a.AchievedPerS >= leastAchieved*a.ScheduledPerS):
		a.Verdict = results.AttackLimited
	default:
		a.Verdict = results.AttackHeld
	}
}

// search fills in the summary of a search. Such a summary has breaking points, and no figures of variants,
// because each trial has an attack of a different strength.
func (s *Summary) search(run *results.Run) error {
	e := &run.Manifest.Experiment
	s.Blocks, s.Interval = e.Search.Repetitions, "a search: breaking points by bisection, no intervals"
	s.Pairs, s.Outliers = []Pair{}, []Outlier{}
	for _, name := range e.Variants {
		s.Variants = append(s.Variants, Variant{Name: name, Note: "a search: see breaking_points"})
		for block := range e.Search.Repetitions {
			b, err := breakingPoint(run, name, block+1)
			if err != nil {
				return err
			}
			s.BreakingPoints = append(s.BreakingPoints, *b)
		}
	}
	if !slices.ContainsFunc(run.Trials, func(t *results.Trial) bool { return t.Valid }) {
		return noTrials(s)
	}
	return nil
}

// breakingPoint reads the search for one variant's breaking point in a block.
func breakingPoint(run *results.Run, variant string, block int) (*BreakingPoint, error) {
	b := &BreakingPoint{Variant: variant, Block: block, Trials: []AttackTrial{}}
	for _, t := range lastAttempts(run.Trials) {
		unfinished := !t.Valid && t.Attempt < results.Attempts
		if t.Variant != variant || t.Block != block || unfinished {
			continue
		}
		a, err := readAttack(run, t)
		if err != nil {
			return nil, err
		}
		b.Trials = append(b.Trials, a)
	}
	slices.SortFunc(b.Trials, func(x, y AttackTrial) int { return cmp.Compare(x.Strength, y.Strength) })
	b.bracket(&run.Manifest.Experiment)
	return b, nil
}

// lastAttempts returns the last attempt at each trial of the plan.
func lastAttempts(trials []*results.Trial) []*results.Trial {
	var all []*results.Trial
	for _, t := range trials {
		i := slices.IndexFunc(all, func(o *results.Trial) bool { return o.Index == t.Index })
		switch {
		case i < 0:
			all = append(all, t)
		case all[i].Attempt < t.Attempt:
			all[i] = t
		}
	}
	return all
}

// bracket finds the bounds among the trials, and their meaning.
func (b *BreakingPoint) bracket(e *results.Experiment) {
	u := Unknown()
	b.Holds, b.HoldsPerS, b.Fails, b.FailsPerS = u, u, u, u
	var fails, untried *AttackTrial
	for i := range b.Trials {
		t := &b.Trials[i]
		switch {
		case t.Verdict == results.AttackHeld:
			b.Holds, b.HoldsPerS, untried = t.Strength, t.ScheduledPerS, nil
		case t.Verdict == results.AttackBroke:
			fails = cmp.Or(fails, t)
		case fails == nil:
			untried = cmp.Or(untried, t)
		}
	}
	if t := cmp.Or(fails, untried); t != nil {
		b.Fails, b.FailsPerS, b.FailsBy = t.Strength, t.ScheduledPerS, t.Verdict
	}
	b.bound()
	b.Why = b.why(e, fails, untried)
}

// bound sets the meaning of the bounds.
func (b *BreakingPoint) bound() {
	broke := b.FailsBy == results.AttackBroke
	switch {
	case b.Holds.Known() && !broke:
		b.Bound = MoreThan
	case !b.Holds.Known() && broke:
		b.Bound = LessThan
	case !broke:
		b.Bound = UnknownBounds
	}
}

// BoundsOf returns the bounds of a variant's breaking point. They follow from the effects (Effect) of attacks
// of given strengths. The cells must differ only in the strength, and be in order, the weakest first.
func BoundsOf(cells []*Part, variant string) *BreakingPoint {
	u := Unknown()
	b := &BreakingPoint{Variant: variant, Holds: u, HoldsPerS: u, Fails: u, FailsPerS: u}
	for _, cell := range cells {
		i := slices.IndexFunc(cell.Summary.Variants, func(v Variant) bool { return v.Name == variant })
		if i < 0 || b.Fails.Known() {
			continue
		}
		attack := cell.Summary.Manifest.Experiment.Parallel
		strength, perS := Number(attack.Strongest()), scheduledRate(attack)
		switch cell.Summary.Variants[i].Effect() {
		case Holds:
			b.Holds, b.HoldsPerS = strength, perS
		case Degrades, Fails:
			b.Fails, b.FailsPerS, b.FailsBy = strength, perS, results.AttackBroke
		}
	}
	b.bound()
	return b
}

// why returns what broke under the weakest attack that was too strong, or why there is none.
// untried is a weaker one that could not be tried; nil if there is none.
func (b *BreakingPoint) why(e *results.Experiment, fails, untried *AttackTrial) string {
	const ended = "the run ended before the search did"
	const rounding = 1.01 // of strengths
	unfinished := func(bound Number) bool { return bound > b.Holds*Number(e.Search.Factor*rounding) }
	switch {
	case len(b.Trials) == 0:
		return ended
	case fails == nil && untried == nil && unfinished(Number(e.Parallel.Strongest())):
		return ended
	case fails == nil && untried == nil && e.Parallel.Reached > 0:
		return clientsLimited
	case fails == nil && untried == nil:
		return "the search ends there"
	}
	first := cmp.Or(untried, fails) // the upper bound of the bisection
	why := first.why()
	if fails != nil && untried != nil {
		why = fails.why() + "; before: " + why
	}
	if unfinished(first.Strength) {
		why += "; " + ended
	}
	return why
}

// clientsLimited is the reason for a bound if the CPUs of the clients are the limit.
const clientsLimited = "the clients cannot start more requests"

// why returns what broke, or why the trial does not show it.
func (a *AttackTrial) why() string {
	switch {
	case a.Verdict == results.AttackLimited && a.AchievedPerS.Known():
		return fmt.Sprintf("the clients started %s %% of the next attack", (100 * a.AchievedPerS / a.ScheduledPerS).Short())
	case a.Verdict == results.AttackLimited && slices.Contains(a.Broken, results.FloodRule):
		return "frames of the next attack are lost on their way"
	case a.Verdict == results.AttackLimited:
		return clientsLimited
	case a.Verdict == results.AttackInvalid:
		return "no valid trial at " + results.StrengthLabel(float64(a.Strength))
	}
	var all []string
	for _, criterion := range a.Broken {
		switch criterion {
		case CriterionThroughput:
			all = append(all, fmt.Sprintf("throughput at %.2f %%", 100*float64(a.Kept)))
		case CriterionLost:
			all = append(all, a.Lost.Short()+" requests lost")
		case CriterionP99:
			all = append(all, a.p99Words())
		}
	}
	return strings.Join(all, ", ")
}

func (a *AttackTrial) p99Words() string {
	if !a.P99.Known() {
		return "too few answers for a p99"
	}
	return "p99 at " + a.P99.Short() + " times"
}

// Strength formats the breaking point for reading, as a multiple of the capacity.
func (b *BreakingPoint) Strength() string { return b.show(b.Holds, b.Fails, "x") }

// PerS formats the breaking point for reading, in attempts per second of all attackers.
func (b *BreakingPoint) PerS() string { return b.show(b.HoldsPerS, b.FailsPerS, "") }

func (b *BreakingPoint) show(holds, fails Number, unit string) string {
	switch b.Bound {
	case NotBound:
		return holds.Short() + unit
	case MoreThan:
		return string(MoreThan) + " " + holds.Short() + unit
	case LessThan:
		return string(LessThan) + " " + fails.Short() + unit
	}
	return Unknown().Short()
}

// Estimate returns the value at which the breaking point is drawn: Holds, or Fails if nothing held.
func (b *BreakingPoint) Estimate() Number {
	if b.Bound == LessThan {
		return b.Fails
	}
	return b.Holds
}

// EstimatePerS returns Estimate in attempts per second.
func (b *BreakingPoint) EstimatePerS() Number {
	if b.Bound == LessThan {
		return b.FailsPerS
	}
	return b.HoldsPerS
}

// Searched reports whether the run is a search.
func (r *Report) Searched() bool { return r.Manifest.Experiment.Search != nil }
