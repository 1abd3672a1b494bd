// Package claims judges the claims of the paper by a run's numbers.
//
// It stands behind analysis, whose Summary it completes: the rules of each claim,
// what the claim takes for granted, and the verdict.
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

// rule is how one claim is computed.
type rule struct {
	// parallel: the paper measured it in its parallel experiment, else in the mixed one.
	parallel bool
	claim    analysis.Claim                          // its ID is that of the metric by which it is judged
	paperWay func(*analysis.Metrics) analysis.Number // nil: none of its own
	// paperClaim is the size of the claim in the paper's own way where it is not
	// that in ours; zero: it is.
	paperClaim analysis.Number
	// details says in words what the two figures alone do not.
	details func(s *analysis.Summary, with, without *analysis.Variant) string
	// caveat says which part of the statement does not hold whatever the change,
	// if any; nil: the change is all of it.
	caveat func(s *analysis.Summary, with, without *analysis.Variant) string
	needs  []premise // besides that there is an attack
	// void says why the two variants cannot be compared, if so; nil: they can.
	void func(with, without *analysis.Variant) string
}

// Read reads and summarises a run, and judges the claims of the paper by it.
func Read(run *results.Run) (*analysis.Report, error) {
	r, err := analysis.Read(run)
	if err != nil {
		return nil, err
	}
	Judge(r)
	return r, nil
}

// Judge judges every claim of the paper by a run, and notes in its summary what
// became of each. A claim is judged by the load that the paper used, if the run has
// several; else by the one that it has.
func Judge(r *analysis.Report) {
	var judged []analysis.Claim
	for _, point := range r.Points() {
		for _, rule := range rules() {
			part := r.Parts[0]
			if len(r.Parts) > 1 {
				if part = point.Mixed(); rule.parallel {
					part = point.Parallel()
				}
			}
			if part == nil {
				continue
			}
			c := rule.judge(part.Summary)
			c.Point, c.Load = part.Cell.Point, part.Cell.Load
			makeInconclusive(&c, rule.unmet(part.Summary))
			judged = append(judged, c)
		}
	}
	var tests []*analysis.Evidence
	for i := range judged {
		tests = append(tests, &judged[i].Evidence)
	}
	analysis.ApplyHolm(tests)
	for i := range judged {
		if c := &judged[i]; c.HasInterval() {
			c.Note = c.Evidence.Note()
		}
	}
	r.Claims, r.Unmet = judged, unmetPremises(judged)
}

func (r *rule) judge(s *analysis.Summary) analysis.Claim {
	c := r.claim
	metric := analysis.MetricByID(c.ID)
	c.Unit, c.Quantity, c.ValueUnit = "% change", metric.Label, metric.Unit
	c.Measured, c.MeasuredPaperWay, c.Without, c.With = analysis.Unknown(), analysis.Unknown(), analysis.Unknown(), analysis.Unknown()
	c.PaperWayLow, c.PaperWayHigh, c.Evidence = analysis.Unknown(), analysis.Unknown(), analysis.NoEvidence()
	with, without := s.Variant(string(record.XDPBlock)), s.Variant(string(record.UserspaceBlock))
	if with == nil || without == nil {
		c.Verdict, c.Reason = analysis.Inconclusive, missing(with, without)
		return c
	}
	c.Measured, c.Evidence = changeOf(s, metric)
	c.Note = c.Evidence.Note()
	if r.void != nil {
		if why := r.void(with, without); why != "" {
			c.Note = analysis.TrialsNote(c.Blocks)
			c.Measured, c.Evidence, c.Verdict, c.Reason = analysis.Unknown(), analysis.NoEvidence(), analysis.Inconclusive, why
			return c
		}
	}
	c.Without, c.With = without.Typical(metric.Value), with.Typical(metric.Value)
	var byPaper analysis.Evidence
	if r.paperWay != nil {
		c.MeasuredPaperWay, byPaper = changeOf(s, &analysis.Metric{Value: r.paperWay})
		c.PaperWayLow, c.PaperWayHigh = byPaper.Low, byPaper.High
	}
	var caveats []string
	if why := sizeless(metric, c.Measured, with, without); why != "" && c.MeasuredPaperWay.Known() {
		claimed, against := c.Paper, ""
		if r.paperClaim != 0 {
			claimed, against = r.paperClaim, ", against "+r.paperClaim.Percent()
		}
		c.Verdict = weigh(c.MeasuredPaperWay, claimed, &byPaper)
		caveats = append(caveats, fmt.Sprintf("%s, so the change has no size: judged is that by the paper's estimator, %s%s%s", why, c.MeasuredPaperWay.Percent(), byPaper.Brackets(), against))
	} else {
		c.Verdict = weigh(c.Measured, c.Paper, &c.Evidence)
	}
	c.Reason = reason(&c)
	if more := r.details(s, with, without); more != "" {
		c.Reason += "; " + more
	}
	if r.caveat != nil {
		caveats = append(caveats, r.caveat(s, with, without))
	}
	c.Caveat = strings.Join(slices.DeleteFunc(caveats, func(s string) bool { return s == "" }), "; ")
	return c
}

// reason says in a clause what the change is made of.
func reason(c *analysis.Claim) string {
	without, with := c.Without.WithUnit(c.ValueUnit), c.With.WithUnit(c.ValueUnit)
	if math.IsNaN(float64(c.Measured)) {
		return fmt.Sprintf("no change can be computed from %s and %s", without, with)
	}
	return fmt.Sprintf("%s: %s in userspace-block, %s in xdp-block%s", c.Quantity, without, with, reach(c.Paper, &c.Evidence))
}

// sizeless says why a change has no size, if so.
func sizeless(m *analysis.Metric, change analysis.Number, with, without *analysis.Variant) string {
	both := []string{zerosIn(without, m), zerosIn(with, m)}
	switch {
	case math.IsInf(float64(change), 1):
		return both[0]
	case math.IsNaN(float64(change)):
		return strings.Join(slices.DeleteFunc(both, func(s string) bool { return s == "" }), " and ")
	}
	return ""
}

// zerosIn says in how many of the variant's trials a figure is zero; nothing where
// it is in none.
func zerosIn(v *analysis.Variant, metric *analysis.Metric) string {
	n := v.CountTrials(func(m *analysis.Metrics) bool { return metric.Value(m) == 0 })
	switch {
	case n == 0:
		return ""
	case v.Trials == 1:
		return v.Name + " is at zero"
	}
	return fmt.Sprintf("%s is at zero in %d of %d trials", v.Name, n, v.Trials)
}

// reach says what the interval holds.
func reach(paper analysis.Number, e *analysis.Evidence) string {
	switch {
	case e.Holds(0) && e.Holds(paper):
		return "; the interval holds both no change and the claimed one"
	case e.Holds(0):
		return "; the interval holds no change"
	case e.Holds(paper):
		return "; the claimed change is inside the interval"
	}
	return ""
}

// weigh compares a measured change to a claimed one, both in %. Where there is
// an interval, a direction is claimed only if it excludes no change; the size is
// that of the estimate.
func weigh(measured, paper analysis.Number, e *analysis.Evidence) analysis.Verdict {
	if e.Holds(0) {
		return analysis.Inconclusive
	}
	return compare(measured, paper)
}

// compare puts a measured change next to a claimed one, both in %.
func compare(measured, paper analysis.Number) analysis.Verdict {
	sign := analysis.Number(math.Copysign(1, float64(paper)))
	switch m := measured * sign; {
	case math.IsNaN(float64(m)):
		return analysis.Inconclusive
	case m >= paper*sign:
		return analysis.Reproduced
	case m > 0:
		return analysis.Smaller
	}
	return analysis.Contradicted
}

// ComparesAsThePaper says that the run was to have the two variants of the
// claims, whether or not they have a valid trial.
func ComparesAsThePaper(s *analysis.Summary) bool {
	planned := func(name string) bool {
		return slices.ContainsFunc(s.Variants, func(v analysis.Variant) bool { return v.Name == name })
	}
	return planned(string(record.XDPBlock)) && planned(string(record.UserspaceBlock))
}

func missing(with, without *analysis.Variant) string {
	switch {
	case with == nil && without == nil:
		return "no valid trial of xdp-block nor of userspace-block"
	case with == nil:
		return "no valid trial of xdp-block"
	}
	return "no valid trial of userspace-block"
}

// changeOf is the change of a value from userspace-block to xdp-block. With one
// block, or none that has both, it is that of their figures.
func changeOf(s *analysis.Summary, m *analysis.Metric) (analysis.Number, analysis.Evidence) {
	with, without := s.Variant(string(record.XDPBlock)), s.Variant(string(record.UserspaceBlock))
	measured, e := analysis.PairedChange(with, without, m)
	if e.Blocks < 2 {
		measured = analysis.Change(with.Typical(m.Value), without.Typical(m.Value))
	}
	return measured, e
}
