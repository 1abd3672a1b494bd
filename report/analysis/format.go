package analysis

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// Short formats n for reading, with three digits or more and separated thousands; a
// dash if it is not finite.
func (n Number) Short() string {
	v := float64(n)
	switch size := math.Abs(v); {
	case !n.Known():
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

// WithUnit formats n for reading, with its unit.
func (n Number) WithUnit(unit string) string {
	switch {
	case math.IsNaN(float64(n)):
		return "not measured"
	case math.IsInf(float64(n), 0):
		return "never"
	case unit == "":
		return n.Short()
	}
	return n.Short() + " " + unit
}

// Mebibytes formats n, in bytes, for reading in MiB.
func (n Number) Mebibytes() string { return (n / mebibyte).Short() + " MiB" }

// Percent formats n, a change in %, for reading.
func (n Number) Percent() string {
	if !n.Known() {
		return n.Short()
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

// Bound formats n, a change in %, for reading. A change from zero is +Inf, and has no size.
func (n Number) Bound() string {
	if math.IsInf(float64(n), 1) {
		return "from zero"
	}
	return n.Percent()
}

// Fine formats n, a change in %, for reading if a tenth of a percent matters.
func (n Number) Fine() string {
	if !n.Known() {
		return n.Bound()
	}
	return fmt.Sprintf("%+.2f %%", float64(n))
}

// Change formats n, a change in %, for reading. A change that rounds to zero has no sign.
func (n Number) Change() string {
	if math.Abs(float64(n)) < 0.05 {
		return "0.0 %"
	}
	return n.Bound()
}

// Probability formats n, a p-value, for reading.
func (n Number) Probability() string {
	if n < 0.0001 {
		return "below 0.0001"
	}
	return n.Short()
}

// Capital returns a text with its first letter in upper case.
func Capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 || first == utf8.RuneError {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// Sentence joins names as in a sentence: "a, b and c".
func Sentence(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
