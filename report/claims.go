package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/stats"
)

// The two variants that the paper compares. Its "without eQUIC" ("sem eQUIC",
// table I and figure 6) is the version that blocks in user space.
const (
	withGateway    = "xdp-block"
	withoutGateway = "userspace-block"
	noBlocking     = "no-block"
)

// Verdict is what became of a claim.
type Verdict string

// The verdicts of docs/method.md.
const (
	Reproduced   Verdict = "reproduced" // same direction, at least the claimed size
	Smaller      Verdict = "same direction, smaller"
	Contradicted Verdict = "contradicted"
	Inconclusive Verdict = "inconclusive"
)

// Claim is one claim of the paper against what was measured. All claims are
// put in one shape: the change in % from userspace-block to xdp-block.
type Claim struct {
	ID        string `json:"id"`
	Where     string `json:"where"` // in the paper
	Statement string `json:"statement"`
	Unit      string `json:"unit"`
	Paper     Number `json:"paper"`
	Measured  Number `json:"measured"`
	// MeasuredPaperWay is the same change by the paper's own estimator, null
	// where that is the same or cannot be had.
	MeasuredPaperWay Number `json:"measured_paper_way"`
	// The interval of that, where the blocks are enough for one.
	PaperWayLow  Number `json:"paper_way_interval_low"`
	PaperWayHigh Number `json:"paper_way_interval_high"`
	Evidence
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	Note    string  `json:"note"` // on chance: "one trial, no interval"
	// Caveat is what must be known with the verdict: that another change was
	// judged, or that a part of the statement does not hold.
	Caveat string `json:"caveat,omitempty"`
	// Unmet are the premises of the claim that the run does not have: with any it
	// is inconclusive, whatever the change.
	Unmet []string `json:"unmet_premises,omitempty"`
	// What is compared, the two values, and their unit.
	Quantity  string `json:"quantity"`
	ValueUnit string `json:"value_unit"`
	Without   Number `json:"without"` // userspace-block
	With      Number `json:"with"`    // xdp-block
}

// rule is how one claim is computed.
type rule struct {
	claim Claim
	quantity
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

// claims judges every claim of the paper.
func (s *Summary) claims() []Claim {
	var judged []Claim
	for _, r := range rules() {
		c := r.judge(s)
		c.lacks(r.unmet(s))
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
	return judged
}

func (r *rule) judge(s *Summary) Claim {
	c := r.claim
	c.Unit = "% change"
	c.Measured, c.MeasuredPaperWay, c.Without, c.With = unknown(), unknown(), unknown(), unknown()
	c.PaperWayLow, c.PaperWayHigh, c.Evidence = unknown(), unknown(), noEvidence()
	with, without := s.variant(withGateway), s.variant(withoutGateway)
	if with == nil || without == nil {
		c.Verdict, c.Reason = Inconclusive, missing(with, without)
		return c
	}
	c.Measured, c.Evidence = changeOf(s, r.quantity)
	c.Note = c.note()
	if r.void != nil {
		if why := r.void(with, without); why != "" {
			c.Note = trialsNote(c.Blocks)
			c.Measured, c.Evidence, c.Verdict, c.Reason = unknown(), noEvidence(), Inconclusive, why
			return c
		}
	}
	c.Without, c.With = without.typical(r.value), with.typical(r.value)
	var byPaper Evidence
	if r.paperWay != nil {
		c.MeasuredPaperWay, byPaper = changeOf(s, quantity{value: r.paperWay})
		c.PaperWayLow, c.PaperWayHigh = byPaper.Low, byPaper.High
	}
	var caveats []string
	if why := r.sizeless(c.Measured, with, without); why != "" && c.MeasuredPaperWay.known() {
		claimed, against := c.Paper, ""
		if r.paperClaim != 0 {
			claimed, against = r.paperClaim, ", against "+percent(r.paperClaim)
		}
		c.Verdict = weigh(c.MeasuredPaperWay, claimed, &byPaper)
		caveats = append(caveats, fmt.Sprintf("%s, so the change has no size: judged is that by the paper's estimator, %s%s%s", why, percent(c.MeasuredPaperWay), byPaper.brackets(), against))
	} else {
		c.Verdict = weigh(c.Measured, c.Paper, &c.Evidence)
	}
	c.Reason = r.reason(&c)
	if more := r.details(s, with, without); more != "" {
		c.Reason += "; " + more
	}
	if r.caveat != nil {
		caveats = append(caveats, r.caveat(s, with, without))
	}
	c.Caveat = strings.Join(slices.DeleteFunc(caveats, func(s string) bool { return s == "" }), "; ")
	return c
}

// changeOf is the change of a value from userspace-block to xdp-block. With one
// block, or none that has both, it is that of their figures.
func changeOf(s *Summary, q quantity) (Number, Evidence) {
	with, without := s.variant(withGateway), s.variant(withoutGateway)
	measured, e := paired(with, without, q, s.Seed)
	if e.Blocks < 2 {
		measured = change(with.typical(q.value), without.typical(q.value))
	}
	return measured, e
}

// typical is the median of a figure over the variant's trials that have it. A
// figure that is made of two has none that follows from the medians of these.
func (v *Variant) typical(value func(*Metrics) Number) Number {
	var x []float64
	for _, m := range v.trials {
		if n := value(m); !math.IsNaN(float64(n)) {
			x = append(x, float64(n))
		}
	}
	return Number(stats.Median(x))
}

// reason says in a clause what the change is made of.
func (r *rule) reason(c *Claim) string {
	if math.IsNaN(float64(c.Measured)) {
		return fmt.Sprintf("no change can be computed from %s and %s", r.show(c.Without), r.show(c.With))
	}
	return fmt.Sprintf("%s: %s in userspace-block, %s in xdp-block%s", c.Quantity, r.show(c.Without), r.show(c.With), reach(c.Paper, &c.Evidence))
}

// sizeless says why a change has no size, if so.
func (r *rule) sizeless(change Number, with, without *Variant) string {
	both := []string{without.zeros(r.value), with.zeros(r.value)}
	switch {
	case math.IsInf(float64(change), 1):
		return both[0]
	case math.IsNaN(float64(change)):
		return strings.Join(slices.DeleteFunc(both, func(s string) bool { return s == "" }), " and ")
	}
	return ""
}

// zeros says in how many of the variant's trials a figure is zero; nothing where
// it is in none.
func (v *Variant) zeros(value func(*Metrics) Number) string {
	n := v.count(func(m *Metrics) bool { return value(m) == 0 })
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

func (r *rule) show(n Number) string { return withUnit(n, r.claim.ValueUnit) }

// withUnit is a number for reading, with its unit.
func withUnit(n Number, unit string) string {
	switch {
	case math.IsNaN(float64(n)):
		return "not measured"
	case math.IsInf(float64(n), 0):
		return "never"
	case unit == "":
		return short(n)
	}
	return short(n) + " " + unit
}

// comparesAsThePaper says that the run was to have the two variants of the
// claims, whether or not they have a valid trial.
func (s *Summary) comparesAsThePaper() bool {
	planned := func(name string) bool {
		return slices.ContainsFunc(s.Variants, func(v Variant) bool { return v.Name == name })
	}
	return planned(withGateway) && planned(withoutGateway)
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
