package claims

import (
	"fmt"
	"math"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// decide sets the verdict on a claim, with the reason, once the p-values of all claims
// are corrected.
func (d *definition) decide(c *analysis.Claim, blocksNeeded int) {
	if c.Verdict == analysis.NotRun {
		return
	}
	c.Note = c.Evidence.Note()
	var why string
	c.Verdict, why = d.verdict(c, blocksNeeded)
	reasons := append([]string{}, c.Unmet...)
	if why != "" {
		reasons = append(reasons, why)
	}
	c.Reason = strings.Join(append(reasons, c.Reason), "; ")
	if c.Verdict == analysis.Unsure && len(c.Unmet) > 0 {
		c.Instead, c.Caveat = "", ""
	}
}

// verdict returns the verdict on a claim, and the reason if the verdict leaves the claim open.
func (d *definition) verdict(c *analysis.Claim, blocksNeeded int) (analysis.Verdict, string) {
	switch {
	case len(c.Unmet) > 0:
		return analysis.Unsure, ""
	case math.IsNaN(float64(c.Measured)):
		return analysis.Unsure, "no change can be computed"
	case c.Negative:
		return analysis.Unsure, "a value is below zero, so there is no change"
	case c.Blocks < blocksNeeded:
		return analysis.EstimateOnly,
			fmt.Sprintf("a verdict needs %d blocks with both variants, and %d have them", blocksNeeded, c.Blocks)
	case !c.HasInterval():
		return analysis.Unsure, "there is no interval"
	case c.Holds(0):
		return analysis.Unsure, "the interval includes zero change"
	case !(c.PHolm < level):
		return analysis.Unsure, "the corrected p-value is " + c.PHolm.Probability()
	case c.Open(c.Change):
		return analysis.Unsure, "trials that did not recover leave the direction open"
	case (c.Change > 0) != (d.Direction == analysis.More):
		return analysis.Contradicted, ""
	case d.Value == nil:
		return analysis.Consistent, ""
	}
	size := d.size(c)
	if c.Censored != "" && size != analysis.Stronger {
		return analysis.Unsure, "trials that did not recover leave the size open"
	}
	return size, ""
}

// size compares the size of a difference in the claimed direction with the paper's.
func (d *definition) size(c *analysis.Claim) analysis.Verdict {
	beyond := c.Measured - *d.Value
	if d.Direction == analysis.Less {
		beyond = -beyond
	}
	inside := c.MeasuredLow <= *d.Value && *d.Value <= c.MeasuredHigh
	switch {
	case inside || math.Abs(float64(beyond)) <= float64(d.Tolerance):
		return analysis.Consistent
	case beyond > 0:
		return analysis.Stronger
	}
	return analysis.Weaker
}
