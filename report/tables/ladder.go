package tables

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
)

// LadderTable returns a table with a row for each variant and a column for each attack, with the
// effect of the attack on the sequential clients. It has no row if a run has only the paper's
// variants, under its kind of attack.
func LadderTable(r *analysis.Report) Titled {
	parts := ladderParts(r)
	header := []any{"variant"}
	for _, p := range parts {
		header = append(header, attackName(p))
	}
	t := NewTitled("Which attacks the server withstands, by variant", len(header), header...)
	for _, name := range analysis.VariantsOf(parts) {
		row := table.Row{name}
		for _, p := range parts {
			effect := analysis.UnknownEffect
			if v := variantOf(p, name); v != nil {
				effect = v.Effect()
			}
			row = append(row, string(effect))
		}
		t.AppendRow(row)
	}
	return t
}

// ladderCostTable returns the cost of an attempt of each attack, for either side.
func ladderCostTable(r *analysis.Report) Titled {
	parts := ladderParts(r)
	header := []any{
		"attack", "variant", "the server", "throughput kept (%)", "p99 (multiple)", "requests lost",
		"server CPU per attempt (µs)", "attacker CPU per attempt (µs)", "server CPU / attacker CPU",
	}
	t := NewTitled("What an attempt costs, and what the attack does", 3, header...)
	for _, p := range parts {
		for i := range p.Summary.Variants {
			v := &p.Summary.Variants[i]
			if v.Metrics == nil {
				continue
			}
			t.AppendRow(table.Row{
				attackName(p), v.Name, string(v.Effect()), (100 * v.Honest.Kept).Short(), v.Honest.P99.Short(),
				v.Honest.Lost.Short(), v.Attack.ServerPerAttemptUS.Short(), v.Attack.AttackerPerAttemptUS.Short(),
				v.Attack.ServerPerAttacker.Short(),
			})
		}
	}
	return t
}

// neighbourTable returns the effect on honest clients at the attackers' addresses; it has
// no row without such clients.
func neighbourTable(r *analysis.Report) Titled {
	t := NewTitled("Honest clients at the attackers' addresses, as behind one NAT", 2,
		"attack", "variant", "throughput kept (%)", "requests lost", "served again after the attack (s)")
	for _, p := range r.Parts {
		if p.Summary.Manifest.Experiment.Neighbour.Clients == 0 {
			continue
		}
		have := p.Summary.Measured()
		for i := range have {
			v := &have[i]
			t.AppendRow(table.Row{
				attackName(p), v.Name, (100 * v.Neighbour.Kept).Short(), v.Neighbour.Lost.Short(),
				analysis.MetricByID("neighbour-again").Show(v),
			})
		}
	}
	return t
}

// LadderAnswer returns the run's answer in two sentences: which variants hold against
// which attack, and which variant turns an attempt away at the lowest cost.
func LadderAnswer(r *analysis.Report) []string {
	parts := ladderParts(r)
	if len(parts) == 0 {
		return nil
	}
	var all []string
	for _, p := range parts {
		all = append(all, attackName(p)+": "+effects(p))
	}
	answer := []string{analysis.Capital(strings.Join(all, "; ") + ".")}
	if cheapest := cheapest(parts[0]); cheapest != "" {
		answer = append(answer, cheapest)
	}
	return answer
}

// LadderWords explains the effects.
func LadderWords(r *analysis.Report) []string {
	if !r.Ladder() {
		return nil
	}
	return append(LadderAnswer(r), fmt.Sprintf("*Holds*: during the attack the sequential clients keep %.0f %% of their "+
		"throughput before it, their p99 is at most %d times that before it, and none of their requests is lost (medians of "+
		"the trials). *Fails*: they keep less than %.0f %%. *Degrades*: anything between.", 100*analysis.HoldsKept, analysis.HoldsP99,
		100*analysis.FailsKept))
}

// plainWords removes the emphasis from words, for a terminal.
func plainWords(words []string) []string {
	var all []string
	for _, w := range words {
		all = append(all, strings.NewReplacer("*", "", "`", "").Replace(w))
	}
	return all
}

// ladderParts returns the cells of a ladder that show the effect of an attack.
func ladderParts(r *analysis.Report) []*analysis.Part {
	if !r.Ladder() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Parts), func(p *analysis.Part) bool {
		return p.Summary.Manifest.Experiment.Sequential.Clients == 0 || len(p.Summary.Measured()) == 0
	})
}

func variantOf(p *analysis.Part, name string) *analysis.Variant {
	i := slices.IndexFunc(p.Summary.Variants, func(v analysis.Variant) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Summary.Variants[i]
}

// attackName returns a cell's attack for reading.
func attackName(p *analysis.Part) string {
	name := p.Cell.Name
	if name == "" {
		name = "attack"
	}
	if rate := scheduled(p); rate != "" {
		name += " at " + rate
	}
	return name
}

func scheduled(p *analysis.Part) string {
	have := p.Summary.Measured()
	if len(have) == 0 || !have[0].Attack.ScheduledRPS.Known() {
		return ""
	}
	return have[0].Attack.ScheduledRPS.Short() + "/s"
}

// effects groups the variants of a cell by the effect of the attack.
func effects(p *analysis.Part) string {
	var all []string
	for _, effect := range []analysis.Effect{analysis.Holds, analysis.Degrades, analysis.Fails, analysis.UnknownEffect} {
		var names []string
		have := p.Summary.Measured()
		for i := range have {
			if have[i].Effect() == effect {
				names = append(names, have[i].Name)
			}
		}
		if len(names) > 0 {
			words := shortened(names, have)
			verb := plural(effect, len(names))
			if len(words) == 1 && len(names) > 1 { // every place
				verb = plural(effect, 1)
			}
			all = append(all, analysis.Sentence(words)+" "+verb)
		}
	}
	return strings.Join(all, ", ")
}

// shortened replaces the places of a policy by one name, if all of a cell's are among the
// names, and there are three or more.
func shortened(names []string, have []analysis.Variant) []string {
	words := slices.Clone(names)
	for _, policy := range []record.Policy{record.PolicyClient, record.PolicyNew} {
		var places []string
		for _, v := range have {
			if variant := record.Variant(v.Name); variant.Drops() && variant.Spec().Policy == policy {
				places = append(places, v.Name)
			}
		}
		missing := func(name string) bool { return !slices.Contains(names, name) }
		if len(places) < 3 || slices.ContainsFunc(places, missing) {
			continue
		}
		words = slices.DeleteFunc(words, func(name string) bool { return slices.Contains(places, name) })
		words = append(words, fmt.Sprintf("every place under policy `%s`", policy))
	}
	return words
}

// plural returns the verb for that many variants.
func plural(effect analysis.Effect, n int) string {
	switch {
	case effect == analysis.UnknownEffect:
		return "cannot be judged"
	case n == 1:
		return string(effect)
	}
	return strings.TrimSuffix(string(effect), "s")
}

// cheapest returns the variants with the lowest and the highest cost of an attempt to the server, and how
// certain it is that these differ.
// Variants that fail are excluded: for these, the server's CPUs are the limit.
func cheapest(p *analysis.Part) string {
	have := slices.DeleteFunc(p.Summary.Measured(), func(v analysis.Variant) bool {
		return !(v.Attack.ServerPerAttemptUS > 0) || v.Effect() == analysis.Fails
	})
	if len(have) < 2 {
		return ""
	}
	cost := func(v analysis.Variant) analysis.Number { return v.Attack.ServerPerAttemptUS }
	slices.SortStableFunc(have, func(a, b analysis.Variant) int { return cmp.Compare(cost(a), cost(b)) })
	least, most := have[0], have[len(have)-1]
	certain := "too few trials to say that these differ"
	if least.Low != nil && most.Low != nil {
		switch high, low := least.High.Attack.ServerPerAttemptUS, most.Low.Attack.ServerPerAttemptUS; {
		case high < low:
			certain = "their intervals are apart"
		case high >= low:
			certain = "their intervals overlap"
		}
	}
	return fmt.Sprintf("Under %s, of the variants that do not fail, an attempt costs the server %s µs with %s and up to "+
		"%s µs with %s (%s).", attackName(p), cost(least).Short(), least.Name, cost(most).Short(), most.Name, certain)
}
