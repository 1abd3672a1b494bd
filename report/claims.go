package report

import (
	"fmt"
	"math"
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
	MeasuredPaperWay Number  `json:"measured_paper_way"`
	Verdict          Verdict `json:"verdict"`
	Reason           string  `json:"reason"`
	Note             string  `json:"note"` // on chance: "one trial, no interval"
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
	return judged
}

func (r *rule) judge(s *Summary) Claim {
	c := r.claim
	c.Unit = "% change"
	c.Measured, c.MeasuredPaperWay, c.Without, c.With = unknown(), unknown(), unknown(), unknown()
	with, without := s.variant(withGateway), s.variant(withoutGateway)
	if with == nil || without == nil {
		c.Verdict, c.Reason = Inconclusive, missing(with, without)
		return c
	}
	c.Note = trialsNote(min(with.Trials, without.Trials))
	if r.void != nil {
		if why := r.void(with.Metrics, without.Metrics); why != "" {
			c.Verdict, c.Reason = Inconclusive, why
			return c
		}
	}
	c.Without, c.With = r.value(without.Metrics), r.value(with.Metrics)
	c.Measured = change(c.With, c.Without)
	if r.paperWay != nil {
		c.MeasuredPaperWay = change(r.paperWay(with.Metrics), r.paperWay(without.Metrics))
	}
	c.Verdict, c.Reason = r.verdict(&c, with.Metrics, without.Metrics)
	if more := r.details(s, with.Metrics, without.Metrics); more != "" {
		c.Reason += "; " + more
	}
	return c
}

// verdict judges the change, and says why in a clause.
func (r *rule) verdict(c *Claim, with, without *Metrics) (Verdict, string) {
	judged, by := c.Measured, ""
	if math.IsInf(float64(judged), 1) && c.MeasuredPaperWay.known() {
		judged = c.MeasuredPaperWay
		by = "userspace-block is at zero, so the change has no size; judged by the paper's estimator; "
	}
	v := compare(judged, c.Paper)
	if v == Reproduced && r.caveat != nil {
		if c.Caveat = r.caveat(with, without); c.Caveat != "" {
			v = Smaller
		}
	}
	if v == Inconclusive {
		return v, fmt.Sprintf("%sno change can be computed from %s and %s", by, r.show(c.Without), r.show(c.With))
	}
	return v, fmt.Sprintf("%s%s: %s in userspace-block, %s in xdp-block", by, c.Quantity, r.show(c.Without), r.show(c.With))
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

func missing(with, without *Variant) string {
	switch {
	case with == nil && without == nil:
		return "no valid trial of xdp-block nor of userspace-block"
	case with == nil:
		return "no valid trial of xdp-block"
	}
	return "no valid trial of userspace-block"
}
