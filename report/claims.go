package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/record"
)

// rule is how one claim is computed.
type rule struct {
	claim    Claim                 // its ID is that of the metric by which it is judged
	paperWay func(*Metrics) Number // nil: none of its own
	// paperClaim is the size of the claim in the paper's own way where it is not
	// that in ours; zero: it is.
	paperClaim Number
	// details says in words what the two figures alone do not.
	details func(s *Summary, with, without *Variant) string
	// caveat says which part of the statement does not hold whatever the change,
	// if any; nil: the change is all of it.
	caveat func(s *Summary, with, without *Variant) string
	needs  []premise // besides that there is an attack
	// void says why the two variants cannot be compared, if so; nil: they can.
	void func(with, without *Variant) string
}

// Judge judges every claim of the paper by a run, and notes in its summary what
// became of each.
func Judge(s *Summary) {
	var judged []Claim
	for _, r := range rules() {
		c := r.judge(s)
		makeInconclusive(&c, r.unmet(s))
		judged = append(judged, c)
	}
	var tests []*Evidence
	for i := range judged {
		tests = append(tests, &judged[i].Evidence)
	}
	correct(tests)
	for i := range judged {
		if c := &judged[i]; c.hasInterval() {
			c.Note = c.note()
		}
	}
	s.Claims, s.Unmet = judged, unmetPremises(judged)
}

func (r *rule) judge(s *Summary) Claim {
	c := r.claim
	metric := MetricByID(c.ID)
	c.Unit, c.Quantity, c.ValueUnit = "% change", metric.Label, metric.Unit
	c.Measured, c.MeasuredPaperWay, c.Without, c.With = unknown(), unknown(), unknown(), unknown()
	c.PaperWayLow, c.PaperWayHigh, c.Evidence = unknown(), unknown(), noEvidence()
	with, without := s.variant(string(record.XDPBlock)), s.variant(string(record.UserspaceBlock))
	if with == nil || without == nil {
		c.Verdict, c.Reason = Inconclusive, missing(with, without)
		return c
	}
	c.Measured, c.Evidence = changeOf(s, metric)
	c.Note = c.note()
	if r.void != nil {
		if why := r.void(with, without); why != "" {
			c.Note = trialsNote(c.Blocks)
			c.Measured, c.Evidence, c.Verdict, c.Reason = unknown(), noEvidence(), Inconclusive, why
			return c
		}
	}
	c.Without, c.With = without.typical(metric.Value), with.typical(metric.Value)
	var byPaper Evidence
	if r.paperWay != nil {
		c.MeasuredPaperWay, byPaper = changeOf(s, &Metric{Value: r.paperWay})
		c.PaperWayLow, c.PaperWayHigh = byPaper.Low, byPaper.High
	}
	var caveats []string
	if why := sizeless(metric, c.Measured, with, without); why != "" && c.MeasuredPaperWay.known() {
		claimed, against := c.Paper, ""
		if r.paperClaim != 0 {
			claimed, against = r.paperClaim, ", against "+r.paperClaim.Percent()
		}
		c.Verdict = weigh(c.MeasuredPaperWay, claimed, &byPaper)
		caveats = append(caveats, fmt.Sprintf("%s, so the change has no size: judged is that by the paper's estimator, %s%s%s", why, c.MeasuredPaperWay.Percent(), byPaper.brackets(), against))
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
func reason(c *Claim) string {
	without, with := c.Without.WithUnit(c.ValueUnit), c.With.WithUnit(c.ValueUnit)
	if math.IsNaN(float64(c.Measured)) {
		return fmt.Sprintf("no change can be computed from %s and %s", without, with)
	}
	return fmt.Sprintf("%s: %s in userspace-block, %s in xdp-block%s", c.Quantity, without, with, reach(c.Paper, &c.Evidence))
}

// sizeless says why a change has no size, if so.
func sizeless(m *Metric, change Number, with, without *Variant) string {
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
func zerosIn(v *Variant, metric *Metric) string {
	n := v.count(func(m *Metrics) bool { return metric.Value(m) == 0 })
	switch {
	case n == 0:
		return ""
	case v.Trials == 1:
		return v.Name + " is at zero"
	}
	return fmt.Sprintf("%s is at zero in %d of %d trials", v.Name, n, v.Trials)
}

// reach says what the interval holds.
func reach(paper Number, e *Evidence) string {
	switch {
	case e.holds(0) && e.holds(paper):
		return "; the interval holds both no change and the claimed one"
	case e.holds(0):
		return "; the interval holds no change"
	case e.holds(paper):
		return "; the claimed change is inside the interval"
	}
	return ""
}

// weigh compares a measured change to a claimed one, both in %. Where there is
// an interval, a direction is claimed only if it excludes no change; the size is
// that of the estimate.
func weigh(measured, paper Number, e *Evidence) Verdict {
	if e.holds(0) {
		return Inconclusive
	}
	return compare(measured, paper)
}

// compare puts a measured change next to a claimed one, both in %.
func compare(measured, paper Number) Verdict {
	sign := Number(math.Copysign(1, float64(paper)))
	switch m := measured * sign; {
	case math.IsNaN(float64(m)):
		return Inconclusive
	case m >= paper*sign:
		return Reproduced
	case m > 0:
		return Smaller
	}
	return Contradicted
}

// comparesAsThePaper says that the run was to have the two variants of the
// claims, whether or not they have a valid trial.
func comparesAsThePaper(s *Summary) bool {
	planned := func(name string) bool {
		return slices.ContainsFunc(s.Variants, func(v Variant) bool { return v.Name == name })
	}
	return planned(string(record.XDPBlock)) && planned(string(record.UserspaceBlock))
}

func missing(with, without *Variant) string {
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
func changeOf(s *Summary, m *Metric) (Number, Evidence) {
	with, without := s.variant(string(record.XDPBlock)), s.variant(string(record.UserspaceBlock))
	measured, e := paired(with, without, m, s.Seed)
	if e.Blocks < 2 {
		measured = change(with.typical(m.Value), without.typical(m.Value))
	}
	return measured, e
}
