package report

import (
	"fmt"
	"math"
	"slices"
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
	// Caveat says why the verdict is not that of the change alone.
	Caveat string `json:"caveat,omitempty"`
	// What is compared, the two values, and their unit.
	Quantity  string `json:"quantity"`
	ValueUnit string `json:"value_unit"`
	Without   Number `json:"without"` // userspace-block
	With      Number `json:"with"`    // xdp-block
}

// rule is how one claim is computed.
type rule struct {
	claim    Claim
	value    func(*Metrics) Number
	paperWay func(*Metrics) Number // nil: none of its own
	// details says in words what the two figures alone do not.
	details func(s *Summary, with, without *Metrics) string
	// caveat says which part of the claim does not hold though the change is as
	// large as claimed, if any; nil: the change is the whole claim.
	caveat func(with, without *Metrics) string
	// void says why the two trials cannot be compared, if so; nil: they can.
	void func(with, without *Metrics) string
}

// claims judges every claim of the paper.
func (s *Summary) claims() []Claim {
	var judged []Claim
	for _, r := range rules() {
		judged = append(judged, r.judge(s))
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
	c.Measured, c.Evidence = changeOf(s, r.value)
	c.Note = c.note()
	if r.void != nil {
		if why := r.void(with.Metrics, without.Metrics); why != "" {
			c.Note = trialsNote(c.Blocks)
			c.Measured, c.Evidence, c.Verdict, c.Reason = unknown(), noEvidence(), Inconclusive, why
			return c
		}
	}
	c.Without, c.With = r.value(without.Metrics), r.value(with.Metrics)
	var byPaper Evidence
	if r.paperWay != nil {
		c.MeasuredPaperWay, byPaper = changeOf(s, r.paperWay)
		c.PaperWayLow, c.PaperWayHigh = byPaper.Low, byPaper.High
	}
	c.Verdict, c.Reason = r.verdict(&c, &byPaper, with.Metrics, without.Metrics)
	if more := r.details(s, with.Metrics, without.Metrics); more != "" {
		c.Reason += "; " + more
	}
	return c
}

// changeOf is the change of a value from userspace-block to xdp-block. With one
// block, or none that has both, it is that of their figures.
func changeOf(s *Summary, value func(*Metrics) Number) (Number, Evidence) {
	with, without := s.variant(withGateway), s.variant(withoutGateway)
	measured, e := paired(with, without, value, s.Seed)
	if e.Blocks < 2 {
		measured = change(value(with.Metrics), value(without.Metrics))
	}
	return measured, e
}

// verdict judges the change, and says why in a clause.
func (r *rule) verdict(c *Claim, byPaper *Evidence, with, without *Metrics) (Verdict, string) {
	judged, evidence, by := c.Measured, &c.Evidence, ""
	if why := sizeless(c.Measured, evidence); why != "" && c.MeasuredPaperWay.known() {
		judged, evidence = c.MeasuredPaperWay, byPaper
		by = why + ", so the change has no size; judged by the paper's estimator; "
	}
	v := weigh(judged, c.Paper, evidence)
	if v == Reproduced && r.caveat != nil {
		if c.Caveat = r.caveat(with, without); c.Caveat != "" {
			v = Smaller
		}
	}
	if math.IsNaN(float64(judged)) {
		return v, fmt.Sprintf("%sno change can be computed from %s and %s", by, r.show(c.Without), r.show(c.With))
	}
	return v, fmt.Sprintf("%s%s: %s in userspace-block, %s in xdp-block%s",
		by, c.Quantity, r.show(c.Without), r.show(c.With), reach(c.Paper, evidence))
}

// sizeless says why a change has no size, if so.
func sizeless(change Number, e *Evidence) string {
	switch {
	case math.IsInf(float64(change), 1):
		return "userspace-block is at zero"
	case math.IsNaN(float64(change)) && e.Blocks > 1:
		return "in some blocks userspace-block is at zero and in others xdp-block"
	}
	return ""
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
