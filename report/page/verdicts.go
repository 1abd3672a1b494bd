package page

import (
	"fmt"
	"math"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// verdictRow is one claim on the first screen, and its reasons further down.
type verdictRow struct {
	analysis.Claim
	Anchor         string // its ID on the page
	Kind           string // class of the verdict, in the style
	PaperText      string
	InstrumentText string
	MeasuredText   string
	IntervalText   string
	Strip          strip
}

// strip positions the values on a scale from -100 % to +100 %, in units of the picture,
// which is 200 wide.
type strip struct {
	Paper, Measured, Low, High         float64
	HasPaper, HasMeasured, HasInterval bool
	Beyond                             bool // the measured value is off the scale
	Label                              string
}

// verdicts returns the claims as rows.
func verdicts(s *analysis.Summary) []verdictRow {
	var rows []verdictRow
	for i := range s.Claims {
		c := &s.Claims[i]
		row := verdictRow{
			Claim: *c, Anchor: fmt.Sprintf("claim-%d", i+1), Kind: kind(c.Verdict),
			PaperText: c.ShowPaper(), InstrumentText: c.Show(c.Instrument), MeasuredText: c.ShowMeasured(),
			IntervalText: c.ShowInterval(),
		}
		row.Strip = stripOf(&row)
		rows = append(rows, row)
	}
	return rows
}

func stripOf(row *verdictRow) strip {
	c := &row.Claim
	s := strip{
		HasPaper: c.Paper.Known(), HasMeasured: !math.IsNaN(float64(c.Measured)), HasInterval: row.IntervalText != "",
		Label: fmt.Sprintf("paper %s, measured %s", row.PaperText, row.MeasuredText),
	}
	if s.HasPaper {
		s.Paper = onStrip(c.Paper)
	}
	if s.HasMeasured {
		s.Measured, s.Beyond = onStrip(c.Measured), c.Measured > 100
	}
	if s.HasInterval {
		s.Low, s.High = onStrip(c.MeasuredLow), onStrip(c.MeasuredHigh)
		s.Label += ", 95 % interval " + row.IntervalText
	}
	if c.Unit == analysis.PercentChange {
		s.bound(c.Censored)
	}
	return s
}

// bound leaves out a change that is not known, and extends the interval of one that is only a bound.
func (s *strip) bound(c analysis.Censoring) {
	switch c {
	case analysis.NoBound:
		s.HasMeasured, s.HasInterval = false, false
	case analysis.AtMost:
		s.Low = onStrip(analysis.Number(math.Inf(-1)))
	case analysis.AtLeast:
		s.High = onStrip(analysis.Number(math.Inf(1)))
	}
}

// onStrip returns the position of a value that is given in %. 0 % is in the middle; values beyond +-105 % are
// drawn at +-105 %.
func onStrip(percent analysis.Number) float64 {
	at := 100 + 0.9*max(-105, min(105, float64(percent)))
	return math.Round(at*10) / 10
}

// kind returns a verdict as one word.
func kind(v analysis.Verdict) string {
	switch v {
	case analysis.Consistent, analysis.Contradicted:
		return string(v)
	case analysis.Stronger:
		return "stronger"
	case analysis.Weaker:
		return "weaker"
	}
	return "unsure"
}

// verdictCounts counts the verdicts: "2 consistent, 5 unsure".
func verdictCounts(claims []analysis.Claim) string {
	counts := map[analysis.Verdict]int{}
	for _, c := range claims {
		counts[c.Verdict]++
	}
	var parts []string
	for _, v := range analysis.Verdicts {
		if n := counts[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(parts, "; ")
}
