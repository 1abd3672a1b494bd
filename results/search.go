package results

import "slices"

// Search describes how the breaking point of each cell and variant was searched: by
// trials with attacks of several strengths (docs/method.md, The breaking point). The
// strength of the experiment's attack is then the strongest that may be tried.
type Search struct {
	From   float64 `json:"from"`   // the weakest attack, as a multiple of the server's capacity
	To     float64 `json:"to"`     // the strongest one
	Factor float64 `json:"factor"` // ratio of the bounds at which the search may end
	Keep   float64 `json:"keep"`   // least share of the throughput before the attack, in 0..1
	Lost   int     `json:"lost"`   // most requests of sequential clients that may be lost
	P99    float64 `json:"p99"`    // largest p99, as a multiple of that before the attack
	// Repetitions is how often each breaking point is searched.
	Repetitions int `json:"repetitions"`
}

// Attempts is the maximum number of attempts at a trial until it is valid.
const Attempts = 3

// Verdict is the result of a trial of a search for the strength of its attack.
type Verdict string

// The verdicts.
const (
	AttackHeld    Verdict = "holds" // the sequential clients were served nearly as before
	AttackBroke   Verdict = "breaks"
	AttackLimited Verdict = "limited" // the clients could not start as much
	AttackInvalid Verdict = "invalid" // the trial is invalid, in all its attempts
)

// The rules for a valid trial that fail if an attack is stronger than the clients can
// send: the clients' CPUs are not the limit, and the frames of a flood reach the
// server.
const (
	GeneratorRule = "generator-not-bottleneck"
	FloodRule     = "flood-arrived"
)

// Limited reports whether the trial is invalid only because of these rules.
func (t *Trial) Limited() bool {
	broken := t.BrokenRules()
	return !t.Valid && len(broken) > 0 && !slices.ContainsFunc(broken, func(rule string) bool {
		return rule != GeneratorRule && rule != FloodRule
	})
}

// BrokenRules returns the rules that make the trial invalid.
func (t *Trial) BrokenRules() []string {
	var all []string
	for _, c := range t.Checks {
		if !c.OK {
			all = append(all, c.Rule)
		}
	}
	return all
}

// At returns the experiment with an attack of the strength of a planned trial. If the
// trial has no strength, it returns the same experiment.
func (e *Experiment) At(p PlannedTrial) *Experiment {
	if p.Strength == 0 {
		return e
	}
	at := *e
	attack := &at.Parallel
	attack.RatePerSecond *= p.Strength / attack.Strongest()
	attack.Strength, attack.Reached = p.Strength, 0
	return &at
}
