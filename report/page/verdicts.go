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
	Kind         string // "reproduced", "smaller", "contradicted" or "inconclusive"
	PaperText    string
	MeasuredText string
	IntervalText string
	PText        string
	Strip        strip
}

// strip is where the changes stand on a scale from -100 % to +100 %, in units of
// the picture, which is 200 wide.
type strip struct {
	Paper, Measured, Low, High float64
	HasMeasured, HasInterval   bool
	Beyond                     bool // the measured change is off the scale
	Label                      string
}

// verdicts are the claims as rows.
func verdicts(s *analysis.Summary) []verdictRow {
	var rows []verdictRow
	for _, c := range s.Claims {
		row := verdictRow{
			Claim: c, Kind: kind(c.Verdict), PaperText: c.Paper.Percent(), MeasuredText: c.Measured.Bound(),
			IntervalText: c.Interval(), PText: c.PHolm.Probability(),
			Strip: strip{Paper: onStrip(c.Paper), HasMeasured: !math.IsNaN(float64(c.Measured)), HasInterval: c.HasInterval()},
		}
		row.Strip.Label = fmt.Sprintf("paper %s, measured %s", row.PaperText, row.MeasuredText)
		if row.Strip.HasMeasured {
			row.Strip.Measured, row.Strip.Beyond = onStrip(c.Measured), c.Measured > 100
		}
		if row.Strip.HasInterval {
			row.Strip.Low, row.Strip.High = onStrip(c.Low), onStrip(c.High)
			row.Strip.Label += ", 95 % interval " + row.IntervalText
		}
		rows = append(rows, row)
	}
	return rows
}

// onStrip is where a change in % stands: 0 % in the middle, what is beyond
// +-100 % at the end.
func onStrip(change analysis.Number) float64 {
	at := 100 + 0.9*max(-105, min(105, float64(change)))
	return math.Round(at*10) / 10
}

// kind is a verdict as one word.
func kind(v analysis.Verdict) string {
	switch v {
	case analysis.Reproduced, analysis.Contradicted:
		return string(v)
	case analysis.Smaller:
		return "smaller"
	}
	return "inconclusive"
}

// verdictCounts counts the verdicts: "2 reproduced, 5 same direction, smaller".
func verdictCounts(claims []analysis.Claim) string {
	var parts []string
	for _, v := range []analysis.Verdict{analysis.Reproduced, analysis.Smaller, analysis.Contradicted, analysis.Inconclusive} {
		n := 0
		for _, c := range claims {
			if c.Verdict == v {
				n++
			}
		}
		switch {
		case n > 0 && v == analysis.Smaller:
			parts = append(parts, fmt.Sprintf("%d in the same direction but smaller", n))
		case n > 0:
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(parts, ", ")
}
