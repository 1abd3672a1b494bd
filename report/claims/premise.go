package claims

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

const (
	// byChanceS is how many seconds under 90 % of the throughput before the attack are
	// attributed to chance, such as a pause of the machine.
	byChanceS = 1
	// minSlowdown is the factor by which the median response time must rise.
	minSlowdown = 1.10
	// mostOf is the share of the attack's requests that must be turned away.
	mostOf = 0.5
)

// premise returns why a cell, or one of two variants in it, does not show the subject of a claim:
// each reason is a clause. It returns nothing if the cell shows it, or if that is not known.
type premise func(part *analysis.Part, with, against *analysis.Variant) []string

// needsRecovery is the name of the premise without which nothing can be compared.
const needsRecovery = "recovers"

// premises are by the names in a file of claims. An attack is a premise of all claims.
var premises = map[string]premise{
	"loses-throughput": func(p *analysis.Part, _, _ *analysis.Variant) []string { return losesThroughput(p.Summary) },
	"slows-responses":  func(p *analysis.Part, _, _ *analysis.Variant) []string { return slowsResponses(p.Summary) },
	"turned-away": func(_ *analysis.Part, with, against *analysis.Variant) []string {
		return slices.Concat(serves(against), serves(with))
	},
	"no-schedule": noSchedule,
	needsRecovery: neverAway,
}

func premiseNames() []string { return slices.Sorted(maps.Keys(premises)) }

// unmet returns the premises of a claim that a cell does not meet.
func (d *definition) unmet(part *analysis.Part, with, against *analysis.Variant) []string {
	if !part.Summary.Window.AttackFromS.Known() {
		return []string{inCell(part, "the run has no attack")}
	}
	var all []string
	for _, need := range d.Needs {
		for _, why := range premises[need](part, with, against) {
			all = append(all, inCell(part, why))
		}
	}
	return all
}

// inCell adds the name of a cell before a clause about it.
func inCell(part *analysis.Part, clause string) string {
	if title := part.Title(); title != "" {
		return title + ": " + clause
	}
	return clause
}

// unmetPremises returns the unmet premises of all claims, each with its claims.
func unmetPremises(claims []analysis.Claim) []analysis.Unmet {
	var all []analysis.Unmet
	for _, c := range claims {
		for _, what := range c.Unmet {
			i := slices.IndexFunc(all, func(u analysis.Unmet) bool { return u.What == what })
			if i < 0 {
				i, all = len(all), append(all, analysis.Unmet{What: what})
			}
			all[i].Claims = append(all[i].Claims, c.Label)
		}
	}
	return all
}

// losesThroughput: if no variant loses any, none can keep more than another.
func losesThroughput(s *analysis.Summary) []string {
	lost := func(v analysis.Variant) bool { return !(v.Recovery.BelowS <= byChanceS) }
	switch {
	case slices.ContainsFunc(s.Measured(), lost):
		return nil
	case tooShort(s):
		return []string{fmt.Sprintf("the attack lasted %s s, too short to tell its effect in bins of 1 s from chance",
			lasted(s).Short())}
	}
	return []string{fmt.Sprintf("no variant was below 90 %% of its throughput before the attack for more than %d s%s",
		byChanceS, withoutUnprotected(s))}
}

// slowsResponses: the same for the response time.
func slowsResponses(s *analysis.Summary) []string {
	slowed := func(v analysis.Variant) bool { return !(v.Typical(slowdown) <= minSlowdown) }
	if slices.ContainsFunc(s.Measured(), slowed) {
		return nil
	}
	return []string{"in no variant was the median response time during the attack more than 10 % above that before" +
		withoutUnprotected(s)}
}

// slowdown returns the median response time during the attack divided by that before
// it. It is infinite if too few requests were answered during the attack for a median.
func slowdown(m *analysis.Metrics) analysis.Number {
	if m.Duration.Before.P50.Known() && !m.Duration.During.P50.Known() {
		return analysis.Number(math.Inf(1))
	}
	return m.Duration.During.P50 / m.Duration.Before.P50
}

// lasted returns the duration of the longest attack, from its first to its last start.
func lasted(s *analysis.Summary) analysis.Number {
	var longest analysis.Number
	for _, v := range s.Measured() {
		longest = max(longest, v.Attack.LastStartS-v.Attack.FirstStartS)
	}
	return longest
}

// tooShort reports whether a difference of one second, which can be chance, is a large
// part of the attack.
func tooShort(s *analysis.Summary) bool { return !(lasted(s) >= 2*byChanceS) }

// withoutUnprotected returns a note if the run lacks the variant on which the attack
// has the greatest effect.
func withoutUnprotected(s *analysis.Summary) string {
	if s.Variant(string(record.NoBlock)) != nil {
		return ""
	}
	return " (no-block, which would show the effect on an unprotected server, was not run)"
}

// serves returns a reason if a variant answers most of the attack. It then does more work than one that does
// not, at any place. no-block turns nothing away by design.
func serves(v *analysis.Variant) []string {
	share := v.Typical(turnedAway)
	if v.Name == string(record.NoBlock) || !(share < mostOf) {
		return nil
	}
	return []string{fmt.Sprintf("%s served most of the attack, within its quota, and turned away %s %% of it",
		v.Name, (share * 100).Short())}
}

// turnedAway returns the share of the attack's requests that were not served, in 0..1.
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

// noSchedule returns a reason if the time at which the load ends is set, by a schedule or a duration.
func noSchedule(part *analysis.Part, _, _ *analysis.Variant) []string {
	switch load := &part.Summary.Manifest.Experiment.Sequential; {
	case load.RatePerSecond > 0:
		return []string{fmt.Sprintf("the sequential clients catch up with their schedule of %g/s, "+
			"so they end with it in every variant", load.RatePerSecond)}
	case load.DurationNS > 0:
		return []string{fmt.Sprintf("the sequential clients stop after %g s, however many requests that were, "+
			"so they end then in every variant", analysis.Seconds(load.DurationNS))}
	}
	return nil
}

// neverAway returns a reason if there is no recovery to compare.
func neverAway(_ *analysis.Part, with, against *analysis.Variant) []string {
	count := func(is func(*analysis.Metrics) bool) int { return with.CountTrials(is) + against.CountTrials(is) }
	trials := with.Trials + against.Trials
	switch {
	case with.Recovery.OnsetS == 0 && against.Recovery.OnsetS == 0:
		few := ""
		if n := trials - count(func(m *analysis.Metrics) bool { return m.Recovery.OnsetS == 0 }); n > 0 {
			few = fmt.Sprintf(" in all but %d of %d trials", n, trials)
		}
		return []string{"neither variant had to recover: both stayed within 10 % for five bins from the start " +
			"of the attack" + few}
	case count(analysis.NeverRecovered) == trials:
		return []string{"neither variant recovered before the end of the load"}
	}
	return nil
}
