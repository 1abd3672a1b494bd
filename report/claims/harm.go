package claims

import (
	"fmt"
	"slices"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// PremiseWords describes which effects the attack of each cell did not have, which claims are
// unsure because of that or of another premise, and the possible remedies: a paragraph each.
func PremiseWords(r *analysis.Report) []string {
	found := slices.Clone(r.Unmet)
	var advice []string
	for _, point := range r.Points() {
		if attack := point.WeakAttack(); attack != nil {
			found = append(found, analysis.Unmet{What: fmt.Sprintf("%s: the clients can start %g times what the server "+
				"serves, and the scenario asks for %g times. Give the clients more CPUs, or the server a key that costs it more",
				point.Title(), attack.Reached, attack.Strength)})
		}
	}
	for _, part := range r.Parts {
		if len(part.Series) == 0 || !part.Summary.Window.AttackFromS.Known() {
			continue
		}
		harm := harmless(part)
		for _, what := range harm {
			if !slices.ContainsFunc(found, func(u analysis.Unmet) bool { return u.What == inCell(part, what) }) {
				found = append(found, analysis.Unmet{What: inCell(part, what)})
			}
		}
		if len(harm) > 0 {
			for _, word := range attackAdvice(part) {
				advice = append(advice, analysis.Capital(word))
			}
		}
	}
	var words []string
	for _, u := range found {
		word := analysis.Capital(u.What) + "."
		switch len(u.Claims) {
		case 0:
		case 1:
			word += " So " + u.Claims[0] + " is unsure, whatever the change."
		default:
			word += " So " + analysis.Sentence(u.Claims) + " are unsure, whatever the change."
		}
		words = append(words, word)
	}
	return append(words, advice...)
}

// harmless returns the expected effects that an attack did not have: to harm some
// client, and to be turned away by each variant that blocks.
func harmless(part *analysis.Part) []string {
	s := part.Summary
	all := slices.Concat(losesThroughput(s), slowsResponses(s))
	for _, v := range s.Measured() {
		all = slices.Concat(all, serves(&v))
	}
	return all
}

// attackAdvice describes which attack would have an effect: a longer one on the
// throughput, which is counted in 1 s bins, a faster one on everything.
func attackAdvice(part *analysis.Part) []string {
	s := part.Summary
	var words []string
	served := func(v analysis.Variant) bool { return len(serves(&v)) > 0 }
	weak := len(slowsResponses(s)) > 0 || slices.ContainsFunc(s.Measured(), served)
	if len(losesThroughput(s)) > 0 && tooShort(s) {
		words = append(words, inCell(part, "use a longer attack: throughput is counted in bins of 1 s."))
		if !weak {
			return words
		}
	}
	if part.WeakAttack() != nil { // PremiseWords has the advice
		return words
	}
	return append(words, inCell(part, fasterAttack(part)))
}

// fasterAttack returns a way to double the rate of an attack.
func fasterAttack(part *analysis.Part) string {
	attack, key := part.Summary.Manifest.Experiment.Parallel, "clients"
	if part.Cell.Load != "" {
		key = "loads." + part.Cell.Load
	}
	if attack.RatePerSecond <= 0 {
		return "the attack may be too weak for this machine: use more attackers."
	}
	rate := analysis.Number(attack.RatePerSecond).Short()
	return fmt.Sprintf("an attack of %s requests/s by each attacker may be too weak for this machine. "+
		"One that is faster, and as long: %s. "+
		"If the clients' CPUs become the limit, the trial is invalid and its checks have the reason.",
		rate, doubleRateFlags(key, &attack))
}

// doubleRateFlags doubles the rate of a load, for the same duration.
func doubleRateFlags(key string, l *results.Load) string {
	set := fmt.Sprintf("--set %s.parallel.rate=%.4g/s", key, 2*l.RatePerSecond)
	if l.Strength > 0 {
		set = fmt.Sprintf("--set %s.parallel.rate=%gx", key, 2*l.Strength)
	}
	if l.Requests > 0 {
		set += fmt.Sprintf(" --set %s.parallel.requests=%d", key, 2*l.Requests)
	}
	if l.Kind.Flood() {
		return set
	}
	return set + fmt.Sprintf(" --set %s.parallel.max_in_flight=%d", key, 2*l.MaxInFlight)
}
