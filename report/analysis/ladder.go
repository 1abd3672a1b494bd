package analysis

import (
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/stats"
)

// Honest is the effect of an attack on the sequential clients.
type Honest struct {
	// Kept is their throughput during the attack, and P99 the p99 of their response time.
	// Each is a multiple of that before the attack, in the same trial.
	Kept Number `json:"throughput_kept"`
	P99  Number `json:"p99_ratio"`
	// Lost is how many of their requests did not end as ok, in the whole trial.
	Lost Number `json:"lost"`
}

// honest compares the time of the attack with the time before it.
func (r *reading) honest() Honest {
	h := Honest{Unknown(), Unknown(), Unknown()}
	if r.attack.empty() || r.experiment.Sequential.Clients == 0 {
		return h
	}
	bins := r.done.rates(secondNS, r.effectEndNS())
	h.Kept = Number(stats.Arithmetic(r.binsDuringAttack(bins)) / stats.Arithmetic(r.before(bins, secondNS)))
	h.P99 = r.split[1].statistics().P99 / r.split[0].statistics().P99
	h.Lost = 0
	for outcome, n := range r.requests[results.RoleSequential] {
		if outcome != string(record.OK) {
			h.Lost += n
		}
	}
	return h
}

// effectEndNS returns the end of the bins that show the effect of the attack. In a closed loop
// that is after the last answer, if the server then answers nothing for the rest of the attack.
func (r *reading) effectEndNS() int64 {
	if loadEndNS(r.experiment.Sequential) > 0 {
		return r.endNS
	}
	return max(r.endNS, min(r.attack.toNS, r.sequentialEndNS))
}

// binsDuringAttack returns the bins of 1 s that are mostly in the attack.
func (r *reading) binsDuringAttack(bins []float64) []float64 {
	var all []float64
	for i, v := range bins {
		if middle := int64(i)*secondNS + secondNS/2; middle >= r.attack.fromNS && middle <= r.attack.toNS {
			all = append(all, v)
		}
	}
	return all
}

// Effect is how a variant withstands an attack (docs/method.md, Holds, degrades, fails).
type Effect string

// The effects.
const (
	Holds         Effect = "holds"
	Degrades      Effect = "degrades"
	Fails         Effect = "fails"
	UnknownEffect Effect = "–"
)

// The limits of the effects.
const (
	HoldsKept = 0.99 // of the throughput before the attack
	HoldsP99  = 3    // times that before the attack
	FailsKept = 0.5
)

// Effect returns the effect by the trials' medians.
func (v *Variant) Effect() Effect {
	if v.Metrics == nil || !v.Honest.Kept.Known() {
		return UnknownEffect
	}
	h := v.Honest
	switch {
	case h.Kept < FailsKept:
		return Fails
	case h.Kept < HoldsKept || h.Lost > 0 || h.P99 > HoldsP99:
		return Degrades
	case !h.P99.Known() || v.Attack.AchievedRPS < leastAchieved*v.Attack.ScheduledRPS: // a flood may have no rate
		return UnknownEffect
	}
	return Holds
}

// Ladder reports whether the run compares more places, or more kinds of attack, than the
// paper's experiment, with sequential clients that show the effect of the attack.
func (r *Report) Ladder() bool {
	if r.Searched() {
		return false
	}
	return slices.ContainsFunc(r.Parts, func(p *Part) bool {
		e := p.Summary.Manifest.Experiment
		kind := e.Parallel.Kind
		beyond := func(v Variant) bool { return record.Variant(v.Name).BeyondThePaper() }
		return e.Sequential.Clients > 0 && e.Parallel.Clients > 0 &&
			(kind != "" && kind != record.Requests || len(e.Background) > 0 ||
				slices.ContainsFunc(p.Summary.Variants, beyond))
	})
}

// VariantsOf returns the names of the variants of some cells, each once, in the order of the
// cells.
func VariantsOf(parts []*Part) (names []string) {
	for _, p := range parts {
		for _, v := range p.Summary.Variants {
			if !slices.Contains(names, v.Name) {
				names = append(names, v.Name)
			}
		}
	}
	return names
}
