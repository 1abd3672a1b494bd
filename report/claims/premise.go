package claims

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// What the paper's claims take for granted: an attack that does what the paper's
// did (docs/method.md, Statistics). Where a run's attack does not, what changes
// between two variants says nothing for or against the claims that need it.

const (
	// byChanceS is how many seconds under 90 % of the throughput before the attack
	// are put down to a pause of the machine.
	byChanceS = 1
	// felt is by which factor the median response time must rise.
	felt = 1.10
	// mostOf the attack's requests must be turned away.
	mostOf = 0.5
)

// premise says what a run lacks that a claim takes for granted, as a clause;
// nothing where it has it, or where that is not known.
type premise func(*analysis.Summary) string

// unmet are the premises of a claim that the run does not have. Without the two
// variants that are compared there is nothing to have them for.
func (r *rule) unmet(s *analysis.Summary) []string {
	if s.Variant(string(record.XDPBlock)) == nil || s.Variant(string(record.UserspaceBlock)) == nil {
		return nil
	}
	if why := anAttack(s); why != "" {
		return []string{why}
	}
	var all []string
	for _, lacks := range r.needs {
		if why := lacks(s); why != "" {
			all = append(all, why)
		}
	}
	return all
}

// makeInconclusive makes a claim inconclusive for premises that the run does not have. A
// caveat on the change goes: no verdict follows from it.
func makeInconclusive(c *analysis.Claim, unmet []string) {
	if len(unmet) == 0 {
		return
	}
	c.Unmet, c.Verdict, c.Caveat = unmet, analysis.Inconclusive, ""
	c.Reason = strings.Join(append(slices.Clone(unmet), c.Reason), "; ")
}

// unmetPremises are those of all claims, each with its claims.
func unmetPremises(claims []analysis.Claim) []analysis.Unmet {
	var all []analysis.Unmet
	for _, c := range claims {
		for _, what := range c.Unmet {
			i := slices.IndexFunc(all, func(u analysis.Unmet) bool { return u.What == what })
			if i < 0 {
				i, all = len(all), append(all, analysis.Unmet{What: what})
			}
			all[i].Claims = append(all[i].Claims, c.ID)
		}
	}
	return all
}

// PremiseWords says which claims cannot be judged by this run and why, a
// paragraph for each premise, and what can be done about it.
func PremiseWords(s *analysis.Summary) []string {
	var words []string
	for _, u := range s.Unmet {
		verb := "is"
		if len(u.Claims) > 1 {
			verb = "are"
		}
		words = append(words, fmt.Sprintf("%s. So %s %s inconclusive, whatever the change.", analysis.Capital(u.What), analysis.Sentence(u.Claims), verb))
	}
	if len(words) > 0 && anAttack(s) == "" {
		words = append(words, attackAdvice(s)...)
	}
	return words
}

// attackAdvice says which attack would be seen: a longer one in the throughput,
// which is counted by the second, a faster one in all.
func attackAdvice(s *analysis.Summary) []string {
	attack := s.Manifest.Experiment.Parallel
	var words []string
	if lasted := float64(s.Window.AttackToS - s.Window.AttackFromS); lasted < 2*byChanceS {
		words = append(words, fmt.Sprintf("An attack of %.1f s, as here, is too brief to be seen in what is counted by the second: take a scenario with a longer one.", lasted))
		if slowsResponses(s) == "" && turnsAway(s) == "" {
			return words
		}
	}
	return append(words, fmt.Sprintf("This machine may be too fast for an attack of %g requests/s by each attacker. One that is faster, and as long: --set clients.parallel.rate=%g/s --set clients.parallel.requests=%d --set clients.parallel.max_in_flight=%d. Where the clients' CPUs become the limit, the trial is invalid and says so.",
		attack.RatePerSecond, 2*attack.RatePerSecond, 2*attack.Requests, 2*attack.MaxInFlight))
}

// anAttack is the premise of every claim.
func anAttack(s *analysis.Summary) string {
	if s.Window.AttackFromS.Known() {
		return ""
	}
	return "the run has no attack"
}

// takesThroughput: where no variant loses any, none can keep more than another.
func takesThroughput(s *analysis.Summary) string {
	lost := func(v analysis.Variant) bool { return !(v.Recovery.BelowS <= byChanceS) }
	if slices.ContainsFunc(s.Measured(), lost) {
		return ""
	}
	return fmt.Sprintf("the attack took no throughput from the sequential clients: in no variant was it under 90 %% of that before for more than %d s%s", byChanceS, withoutUnprotected(s))
}

// slowsResponses: the same of the response time.
func slowsResponses(s *analysis.Summary) string {
	slowed := func(v analysis.Variant) bool { return !(v.Typical(slowdown) <= felt) }
	if slices.ContainsFunc(s.Measured(), slowed) {
		return ""
	}
	return "the attack made no response of the sequential clients slower: in no variant did the median response time rise by more than 10 %" + withoutUnprotected(s)
}

// slowdown is the median response time during the attack over that before. Where
// too few requests were answered during it for a median, it was felt without
// bound.
func slowdown(m *analysis.Metrics) analysis.Number {
	if m.Duration.Before.P50.Known() && !m.Duration.During.P50.Known() {
		return analysis.Number(math.Inf(1))
	}
	return m.Duration.During.P50 / m.Duration.Before.P50
}

// withoutUnprotected says that the variant was not run that would feel the attack
// most.
func withoutUnprotected(s *analysis.Summary) string {
	if s.Variant(string(record.NoBlock)) != nil {
		return ""
	}
	return " (no-block, which would show what it does to an unprotected server, was not run)"
}

// turnsAway: the claims compare two places to turn an attack away. A server that
// answers most of it in one of them does more work there, wherever it blocks.
func turnsAway(s *analysis.Summary) string {
	without, with := s.Variant(string(record.UserspaceBlock)).Typical(turnedAway), s.Variant(string(record.XDPBlock)).Typical(turnedAway)
	var served []string
	if without < mostOf {
		served = append(served, string(record.UserspaceBlock))
	}
	if with < mostOf {
		served = append(served, string(record.XDPBlock))
	}
	if len(served) == 0 {
		return ""
	}
	return fmt.Sprintf("most of the attack was served, within the quota, in %s: userspace-block turned away %s %% of its requests, xdp-block %s %%, so the change is not that between two places to turn the same clients away",
		analysis.Sentence(served), (without * 100).Short(), (with * 100).Short())
}

// turnedAway is the share of the attack's requests that were not served, in 0..1.
func turnedAway(m *analysis.Metrics) analysis.Number {
	var all, ok analysis.Number
	for outcome, n := range m.Requests[results.RoleParallel] {
		all += n
		if outcome == string(record.OK) {
			ok = n
		}
	}
	return analysis.Ratio(float64(all-ok), float64(all))
}
