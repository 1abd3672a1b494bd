package figures

import (
	"slices"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// All makes the figures of the report, in its order, one point of the matrix after the
// other. If the run has several loads, each figure shows the load that the paper used for
// it. Figures that need sequential clients are left out without them. A search has one
// figure of its own, and no other; a ladder and a sweep have figures of their own in front.
func All(r *analysis.Report) []*Figure {
	var all []*Figure
	for _, point := range r.Points() {
		drawn := ofPoint(point, claimsOf(r, point))
		for _, f := range drawn {
			if f.empty() { // an empty picture must give the reason
				f.legend = append(f.legend, key{label: f.say(noValues)})
			}
			if point.Label != "" {
				f.Name, f.Title = f.Name+"-"+point.Label, point.Label+": "+f.Title
			}
			if attack := point.WeakAttack(); attack != nil {
				mark := f.say(weakAttack, attack.Reached, attack.Strength)
				f.legend = append(f.legend, key{label: f.lang.localise(mark)})
			}
		}
		all = append(all, drawn...)
	}
	if r.Searched() {
		all = append(all, figureBreaking(r))
	}
	if f := figureGoodput(r); f != nil {
		all = append([]*Figure{f}, all...)
	}
	if r.Ladder() { // its answer comes first
		all = append([]*Figure{figureAttempt(r)}, all...)
		if f := figureBounds(r); f != nil {
			all = append([]*Figure{f}, all...)
		}
	}
	return all
}

// claimsOf returns the claims whose experiment was run, at a point of the matrix.
func claimsOf(r *analysis.Report, p *analysis.Point) []analysis.Claim {
	return slices.DeleteFunc(slices.Clone(r.Claims),
		func(c analysis.Claim) bool { return c.Point != p.Label || c.Verdict == analysis.NotRun })
}

func ofPoint(p *analysis.Point, claims []analysis.Claim) []*Figure {
	mixed, parallel := p.Mixed(), p.Parallel()
	if parallel == nil {
		parallel = mixed
	}
	if mixed == nil {
		if parallel == nil {
			return nil
		}
		return append(figureClaims(parallel.Summary, claims), figure6(parallel.Summary, parallel.Series))
	}
	return slices.Concat(
		figureClaims(mixed.Summary, claims),
		[]*Figure{figure3(mixed.Summary, mixed.Series), figure4(mixed.Summary, parallel.Summary), figure5(mixed.Summary)},
		[]*Figure{figure6(parallel.Summary, parallel.Series)},
		[]*Figure{figureRecovery(mixed.Summary), figureBlockTime(mixed.Summary), figureLatency(mixed.Summary, mixed.Series)},
	)
}
