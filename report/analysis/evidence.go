package analysis

import (
	"fmt"
	"math"
	"slices"

	"github.com/equic-bench/equic-bench/stats"
)

const (
	// Confidence of every interval.
	Confidence = 0.95
	// FewestBlocks is the smallest number of blocks with an interval at that
	// confidence: with 5, the smallest p-value of the exact signed-rank test is 0.0625.
	FewestBlocks = 6
)

// Evidence is the statistical evidence of the blocks for a change, in %. It uses ratios
// paired by block (docs/method.md, Statistics). All fields except Blocks and
// Censored are null or empty if there are too few blocks for an interval.
type Evidence struct {
	// Blocks is the number of blocks in which both variants have a valid trial with a value;
	// zero if Negative is set.
	Blocks int    `json:"blocks"`
	Low    Number `json:"interval_low"`
	// High is null if there is an interval but no upper bound.
	High Number `json:"interval_high"`
	// Method is how the interval was made, and Coverage how often such an interval
	// contains the true value, in 0..1: exact, and at least 0.95.
	Method   string `json:"interval_method"`
	Coverage Number `json:"interval_coverage"`
	// P is from the exact signed-rank test of no change. PHolm is P with Holm's
	// correction for all claims, or for all pairs of one metric.
	P     Number `json:"p"`
	PHolm Number `json:"p_holm"`
	// Censored is set if a trial of a variant has only a lower bound for its value.
	Censored Censoring `json:"censored,omitempty"`
	// Negative is set if a value is below zero. There is then no ratio, and no change.
	Negative bool `json:"negative,omitempty"`
}

// NoEvidence returns the evidence of a change that cannot be computed.
func NoEvidence() Evidence {
	u := Unknown()
	return Evidence{Low: u, High: u, Coverage: u, P: u, PHolm: u}
}

// HasInterval reports whether there were enough blocks for an interval.
func (e *Evidence) HasInterval() bool { return e.Method != "" }

// PairedChange compares a figure of two variants over the blocks in which both have a
// valid trial. The change is from without to with, in %, typical over the blocks; it is
// unknown if there are none, or if a value is below zero.
func PairedChange(with, without *Variant, m *Metric) (Number, Evidence) {
	var a, b []float64
	e := NoEvidence()
	m.eachPair(with, without, func(x, y Number) {
		a, b = append(a, float64(x)), append(b, float64(y))
		e.Negative = e.Negative || x < 0 || y < 0
	})
	if e.Negative { // without these blocks the change would be biased
		return Unknown(), e
	}
	p := stats.PairRatios(a, b, Confidence)
	e.Blocks, e.Censored = p.Blocks, m.censoring(with, without)
	if p.Interval.Exists() {
		e.Low, e.High = inPercent(p.Interval.Low), inPercent(p.Interval.High)
		e.Method, e.Coverage, e.P = string(p.Interval.Method), Number(p.Interval.Coverage), Number(p.P)
	}
	return inPercent(p.Ratio), e
}

// TypicalChange returns PairedChange, or the change between the typical figures of the
// two variants if they have fewer than two blocks in common.
func TypicalChange(with, without *Variant, m *Metric) (Number, Evidence) {
	change, e := PairedChange(with, without, m)
	if e.Blocks < 2 && !e.Negative {
		change = Change(with.Typical(m.Value), without.Typical(m.Value))
	}
	return change, e
}

// eachPair calls take for the figures of each block that has both.
func (m *Metric) eachPair(with, without *Variant, take func(with, without Number)) {
	blocks := slices.Sorted(slices.Values(without.Blocks))
	for _, block := range slices.Compact(blocks) {
		trial := with.inBlock(block)
		if trial == nil {
			continue
		}
		a, b := m.Value(trial), m.Value(without.inBlock(block))
		if a != 0 || b != 0 || !m.ZeroIsNoSize {
			take(a, b)
		}
	}
}

// inBlock returns the figures of the variant's valid trial in a block, the last if
// there are several; nil if there is none.
func (v *Variant) inBlock(block int) *Metrics {
	for i, b := range slices.Backward(v.Blocks) {
		if b == block {
			return v.TrialMetrics[i]
		}
	}
	return nil
}

// inPercent returns a ratio as a change in %.
func inPercent(ratio float64) Number { return Number((ratio - 1) * 100) }

// ApplyHolm fills in the corrected p-values of tests that are considered together.
func ApplyHolm(tests []*Evidence) {
	p := make([]float64, len(tests))
	for i, e := range tests {
		p[i] = float64(e.P)
	}
	for i, adjusted := range stats.Holm(p) {
		tests[i].PHolm = Number(adjusted)
	}
}

// Note describes what the blocks show about chance.
func (e *Evidence) Note() string {
	switch {
	case e.HasInterval():
		return fmt.Sprintf("%d blocks: 95 %% interval %s, by %s, which covers %s %%; p %s, corrected %s",
			e.Blocks, e.Interval(), e.Method, (e.Coverage * 100).Short(), e.P.Probability(), e.PHolm.Probability())
	case e.Negative:
		return "a value is below zero, so there is no ratio"
	case e.Blocks == 0:
		return "no block has a valid trial of both with a value, so nothing is paired"
	case e.Blocks == 1:
		return TrialsNote(1)
	case e.Blocks < FewestBlocks:
		return fmt.Sprintf("%d blocks, too few for a 95 %% interval", e.Blocks)
	}
	return fmt.Sprintf("%d blocks, of which some change from zero and some to zero: no interval", e.Blocks)
}

// Brackets returns the interval and the p-value for reading, in brackets; "" if there
// are none.
func (e *Evidence) Brackets() string {
	if !e.HasInterval() {
		return ""
	}
	return fmt.Sprintf(" (95 %% interval %s, p %s)", e.Interval(), e.P.Probability())
}

// Interval returns the interval for reading; "–" if there is none.
func (e *Evidence) Interval() string {
	switch {
	case !e.HasInterval() || e.Censored == NoBound:
		return Unknown().Short()
	case e.Censored == AtMost:
		return "up to " + e.High.Bound()
	case e.Censored == AtLeast:
		return e.Low.Bound() + " or more"
	case math.IsInf(float64(e.Low), 1):
		return e.Low.Bound()
	case math.IsInf(float64(e.High), 1):
		return e.Low.Bound() + " or more"
	}
	return fmt.Sprintf("%s to %s", e.Low.Bound(), e.High.Bound())
}

// Holds reports whether a change in % is inside the interval.
func (e *Evidence) Holds(change Number) bool {
	return e.HasInterval() && e.Low <= change && change <= e.High
}

// FineInterval returns the interval for reading if a tenth of a percent matters.
func (e *Evidence) FineInterval() string {
	if !e.Low.Known() || !e.High.Known() {
		return e.Interval()
	}
	return e.Low.Fine() + " to " + e.High.Fine()
}
