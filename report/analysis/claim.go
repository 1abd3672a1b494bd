package analysis

// Verdict is the outcome of a claim, or of a comparison of two variants.
type Verdict string

// Claim is one claim of a paper against the measured value: a figure of the variant
// With, compared with that of the variant Against.
type Claim struct {
	// Point and Load are the cell by which the claim is judged; empty if the run has only one.
	Point string `json:"point,omitempty"`
	Load  string `json:"load,omitempty"`
	ID    string `json:"id"`
	// Label is the ID, with the difference from other claims of that ID.
	Label      string `json:"label"`
	Where      string `json:"where"`     // in the paper
	Published  string `json:"published"` // in the paper's words
	Statement  string `json:"statement"` // the same in English
	Experiment string `json:"experiment"`
	Metric     string `json:"metric"`
	With       string `json:"with"`
	Against    string `json:"against"`
	// Direction of the claimed difference from Against to With: More or Less.
	Direction Verdict `json:"direction"`

	// Paper, Measured and Instrument are in Unit: the change in % from Against to With,
	// or the figure of With itself. Paper is null if only a direction is claimed.
	Unit     string `json:"unit"`
	Paper    Number `json:"paper"`
	Measured Number `json:"measured"`
	// The 95 % interval of Measured; null if the blocks are too few.
	MeasuredLow  Number `json:"measured_low"`
	MeasuredHigh Number `json:"measured_high"`
	// Instrument is the value that the paper's way of measuring gives, null if it is not
	// known. InstrumentNote describes the effect of that way on the claim.
	Instrument     Number `json:"instrument"`
	InstrumentNote string `json:"instrument_note"`

	// Change is from Against to With, in %, and decides the direction. The evidence is
	// for it.
	Change Number `json:"change"`
	Evidence
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	Note    string  `json:"note"` // on chance: "one trial, no interval"
	// Instead is the metric that had to be judged in place of the claim's, and Caveat the reason.
	Instead string `json:"judged_instead,omitempty"`
	Caveat  string `json:"caveat,omitempty"`
	// Unmet are the premises that the run does not meet: if there are any, the claim is
	// unsure, regardless of the change.
	Unmet []string `json:"unmet_premises,omitempty"`

	// The compared quantity, the figures of the two variants, and their unit.
	Quantity     string `json:"quantity"`
	ValueUnit    string `json:"value_unit"`
	AgainstValue Number `json:"against_value"`
	WithValue    Number `json:"with_value"`
}

// PercentChange is the unit of a claim about a change. Any other is the metric's.
const PercentChange = "% change"

// Show returns a value in the claim's unit for reading.
func (c *Claim) Show(n Number) string {
	if c.Unit == PercentChange {
		return n.Bound()
	}
	if !n.Known() {
		return n.Short()
	}
	return n.Short() + " " + c.Unit
}

// ShowPaper returns the claimed value for reading.
func (c *Claim) ShowPaper() string {
	if c.Paper.Known() {
		return c.Show(c.Paper)
	}
	return string(c.Direction)
}

// ShowMeasured returns the measured value for reading, as a bound if it is one.
func (c *Claim) ShowMeasured() string {
	if c.Unit == PercentChange {
		return c.ShowChange(c.Measured)
	}
	return c.Show(c.Measured)
}

// ShowInterval returns the interval of the measured value; "" if there is none.
func (c *Claim) ShowInterval() string {
	switch {
	case c.Unit == PercentChange && c.HasInterval():
		return c.Interval()
	case c.Unit != PercentChange && c.MeasuredLow.Known() && c.MeasuredHigh.Known():
		return c.MeasuredLow.Short() + " to " + c.MeasuredHigh.Short()
	}
	return ""
}

// Unmet is a premise that the run does not meet.
type Unmet struct {
	What   string   `json:"what"`
	Claims []string `json:"claims"` // those that are unsure because of it
}

// The verdicts of docs/method.md on a claim.
const (
	Consistent   Verdict = "consistent"
	Stronger     Verdict = "same direction, stronger"
	Weaker       Verdict = "same direction, weaker"
	Contradicted Verdict = "contradicted"
	Unsure       Verdict = "unsure"
	EstimateOnly Verdict = "estimate only" // too few blocks for any of the others
	NotRun       Verdict = "not run"
)

// Verdicts are the verdicts on a claim, in the order in which they are counted.
var Verdicts = []Verdict{Consistent, Stronger, Weaker, Contradicted, Unsure, EstimateOnly, NotRun}

// The verdicts on a pair of variants, besides Unsure.
const (
	More   Verdict = "more"
	Less   Verdict = "less"
	TooFew Verdict = "too few blocks"
)
