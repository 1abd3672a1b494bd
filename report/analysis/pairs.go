package analysis

// Pair compares two variants by one headline figure: the change in % from
// Without to With, over the blocks that have both.
type Pair struct {
	Metric   string `json:"metric"`
	With     string `json:"with"`
	Without  string `json:"without"`
	Measured Number `json:"measured"`
	Evidence
	// Verdict is More or Less if the interval excludes zero change, TooFew if there are too few blocks, and
	// otherwise Unsure.
	Verdict Verdict `json:"verdict"`
}

// pairs compares every two variants by every headline figure, if there are blocks to
// pair. The p-values are corrected within each metric.
func (s *Summary) pairs() []Pair {
	all := []Pair{}
	if s.Blocks < 2 {
		return all
	}
	have := s.Measured()
	for _, m := range HeadlineMetrics() {
		first := len(all)
		for i := range have {
			for j := range have[:i] {
				p := Pair{Metric: m.ID, With: have[i].Name, Without: have[j].Name}
				p.Measured, p.Evidence = PairedChange(&have[i], &have[j], m)
				if p.Blocks > 0 {
					all = append(all, p)
				}
			}
		}
		var tests []*Evidence
		for k := range all[first:] {
			p := &all[first+k]
			p.Verdict = direction(p.Measured, &p.Evidence)
			tests = append(tests, &p.Evidence)
		}
		ApplyHolm(tests)
	}
	return all
}

// direction returns the certain direction of a change.
func direction(change Number, e *Evidence) Verdict {
	switch {
	case e.Blocks < FewestBlocks:
		return TooFew
	case !e.HasInterval() || e.Holds(0) || e.Open(change):
		return Unsure
	case change > 0:
		return More
	}
	return Less
}
