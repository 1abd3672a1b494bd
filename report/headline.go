package report

import (
	"math"

	"github.com/equic-bench/equic-bench/results"
)

// Headline is a figure of a trial by which two runs are compared.
type Headline struct {
	// ID names it on the command line: that of the claim, where it is the
	// figure of one.
	ID       string
	Quantity string
	Unit     string
	// MoreIsBetter is false where less is.
	MoreIsBetter bool
	quantity
}

// Value is the figure of a trial; NaN where the trial does not have it.
func (h *Headline) Value(m *Metrics) Number { return h.value(m) }

// Headlines are the figures of the paper's claims, in its order, then others.
func Headlines() []Headline {
	var all []Headline
	for _, r := range rules() {
		// By each of its claims the paper praises: what it says goes up is better up.
		all = append(all, Headline{r.claim.ID, r.claim.Quantity, r.claim.ValueUnit, r.claim.Paper > 0, r.quantity})
	}
	return append(all, []Headline{
		{"throughput-mean", "arithmetic mean of the throughput", "requests/s", true, quantity{value: func(m *Metrics) Number { return m.Throughput.Arithmetic }}},
		{"duration-p50", "median of the response time", "ms", false, quantity{value: func(m *Metrics) Number { return m.Duration.P50 }}},
		{"duration-p99", "99th percentile of the response time", "ms", false, quantity{value: func(m *Metrics) Number { return m.Duration.P99 }}},
		{"turn-away", "extra CPU time per client turned away", "µs", false, quantity{value: func(m *Metrics) Number { return m.BlockTime.ExtraPerTurnedAwayUS }}},
		{"syscalls-attack", "system calls per second during the attack", "calls/s", false, quantity{value: func(m *Metrics) Number { return m.Syscalls.PerSecond.During }}},
		{"memory-peak", "peak of the server's resident set", "MiB", false, quantity{value: func(m *Metrics) Number { return m.MemoryBytes.Peak / (1 << 20) }}},
	}...)
}

// Analyse is what Write returns, without writing anything.
func Analyse(run *results.Run) (*Summary, error) {
	s, _, err := analyse(run)
	return s, err
}

// TrialMetrics are the figures of each of the variant's valid trials.
func (v *Variant) TrialMetrics() []*Metrics { return v.trials }

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
