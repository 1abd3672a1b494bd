package report

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// Short is n for reading, with three digits or more; a dash where it is not
// finite.
func (n Number) Short() string { return short(n) }

// Change is n, a change in %, for reading; from zero it has no size.
func (n Number) Change() string {
	if math.Abs(float64(n)) < 0.05 {
		return "0.0 %" // without a sign
	}
	return bound(n)
}

// Probability is n, a p-value, for reading.
func (n Number) Probability() string { return probability(n) }

func percent(n Number) string {
	if !n.known() {
		return short(n)
	}
	digits := 1
	if n > -100 && n < -99.9 { // not to be rounded to "all of it"
		digits = 3
		for rounded := math.Pow10(-digits) / 2; digits < 6 && n+100 < Number(rounded); rounded /= 10 {
			digits++
		}
	}
	return fmt.Sprintf("%+.*f %%", digits, float64(n))
}

// short is a number for reading: three or more digits, thousands set apart.
func short(n Number) string {
	v := float64(n)
	switch size := math.Abs(v); {
	case !n.known():
		return "–"
	case size >= 100 || v == math.Trunc(v):
		return humanize.Comma(int64(math.Round(v)))
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func mebibytes(bytes Number) string { return short(bytes/(1<<20)) + " MiB" }

// bound is a change in % for reading, which has no size where it starts at zero.
func bound(change Number) string {
	if math.IsInf(float64(change), 1) {
		return "from zero"
	}
	return percent(change)
}

// probability is a p-value for reading.
func probability(p Number) string {
	if p < 0.0001 {
		return "below 0.0001"
	}
	return short(p)
}

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

// fine is a change in % where a tenth of a percent matters.
func fine(change Number) string {
	if !change.known() {
		return bound(change)
	}
	return fmt.Sprintf("%+.2f %%", float64(change))
}
