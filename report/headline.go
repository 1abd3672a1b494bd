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
	// Value is NaN where the trial does not have it.
	Value func(*Metrics) Number
	// zeroIsNoSize says that two zeros of it are not equal, but without a size.
	zeroIsNoSize bool
}

// Headlines are the figures of the paper's claims, in its order, then others.
func Headlines() []Headline {
	var all []Headline
	for _, r := range rules() {
		// By each of its claims the paper praises: what it says goes up is better up.
		all = append(all, Headline{r.claim.ID, r.claim.Quantity, r.claim.ValueUnit, r.claim.Paper > 0, r.value, r.zeroIsNoSize})
	}
	return append(all, []Headline{
		{"throughput-mean", "arithmetic mean of the throughput", "requests/s", true, func(m *Metrics) Number { return m.Throughput.Arithmetic }, false},
		{"duration-p50", "median of the response time", "ms", false, func(m *Metrics) Number { return m.Duration.P50 }, false},
		{"duration-p99", "99th percentile of the response time", "ms", false, func(m *Metrics) Number { return m.Duration.P99 }, false},
		{"turn-away", "extra CPU time per client turned away", "µs", false, func(m *Metrics) Number { return m.BlockTime.ExtraPerTurnedAwayUS }, false},
		{"syscalls-attack", "system calls per second during the attack", "calls/s", false, func(m *Metrics) Number { return m.Syscalls.PerSecond.During }, false},
		{"memory-peak", "peak of the server's resident set", "MiB", false, func(m *Metrics) Number { return m.MemoryBytes.Peak / (1 << 20) }, false},
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
