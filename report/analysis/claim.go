package analysis

// Verdict is what became of a claim.
type Verdict string

// Claim is one claim of the paper against what was measured. All claims are
// put in one shape: the change in % from userspace-block to xdp-block.
type Claim struct {
	// Point and Load are the cell by which it is judged; empty if the run has one.
	Point     string `json:"point,omitempty"`
	Load      string `json:"load,omitempty"`
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

// Unmet is a premise that the run does not have.
type Unmet struct {
	What   string   `json:"what"`
	Claims []string `json:"claims"` // those that are inconclusive for it
}

// The verdicts of docs/method.md.
const (
	Reproduced   Verdict = "reproduced" // same direction, at least the claimed size
	Smaller      Verdict = "same direction, smaller"
	Contradicted Verdict = "contradicted"
	Inconclusive Verdict = "inconclusive"
)

// What a pair of variants shows where the paper claims no size.
const (
	More   Verdict = "more"
	Less   Verdict = "less"
	TooFew Verdict = "too few blocks"
)
