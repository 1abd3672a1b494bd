package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/stats"
)

const (
	confidence = 0.95
	level      = 0.05
	// rounding is the tolerance for rounding, as a share: a change of exactly the
	// threshold counts as one.
	rounding = 1e-9
)

// State is the result for one figure of one variant.
type State string

// The states.
const (
	Changed    State = "changed"
	NotChanged State = "not changed"
	Unsure     State = "unsure"
)

// Effect is the direction in which a figure changed.
type Effect string

// The effects. A row that is not changed has none.
const (
	Worse  Effect = "worse"
	Better Effect = "better"
)

// Row is one figure of one variant in both runs.
type Row struct {
	Metric       string `json:"metric"`
	Quantity     string `json:"quantity"`
	Unit         string `json:"unit"`
	MoreIsBetter bool   `json:"more_is_better"`
	Variant      string `json:"variant"`
	// The numbers of valid trials that have the figure, and its medians over them.
	BaseTrials int             `json:"base_trials"`
	NewTrials  int             `json:"new_trials"`
	Base       analysis.Number `json:"base"`
	New        analysis.Number `json:"new"`
	// Change is the typical change from base to new over all pairs of trials, in %. It
	// is null if it has no size: from zero, or if nothing was measured.
	Change analysis.Number `json:"change_percent"`
	// The 95 % interval of Change, and its coverage of the true value, in 0..1. High is
	// null if there is an interval without an upper end.
	Low      analysis.Number `json:"interval_low"`
	High     analysis.Number `json:"interval_high"`
	Method   string          `json:"interval_method"`
	Coverage analysis.Number `json:"interval_coverage"`
	// P is the p-value of the exact rank-sum test of the hypothesis that nothing
	// changed. PHolm is P after Holm's correction for all rows.
	P      analysis.Number `json:"p"`
	PHolm  analysis.Number `json:"p_holm"`
	State  State           `json:"state"`
	Effect Effect          `json:"effect,omitempty"`
	// Reason is why the state is unsure.
	Reason string `json:"reason,omitempty"`

	ratio    stats.Unpaired
	negative int  // trials of both runs with a negative figure
	noSize   bool // trials of both runs are at a zero that has no size
	// Trials whose figure is only a lower bound.
	censoredBase, censoredNew int
}

// rows returns all figures of the variants that are in both runs, if at least one run
// has the figure.
func rows(base, fresh *analysed, metrics []*analysis.Metric) []Row {
	var all []Row
	for _, m := range metrics {
		for _, name := range fresh.names() {
			b, n := base.variant(name), fresh.variant(name)
			if b == nil || n == nil {
				continue
			}
			r := newRow(m, name, values(b, m), values(n, m))
			r.censoredBase, r.censoredNew = censored(b, m), censored(n, m)
			if r.BaseTrials+r.NewTrials+r.negative > 0 {
				all = append(all, r)
			}
		}
	}
	return all
}

// values returns the figures of the trials that have one.
func values(v *analysis.Variant, m *analysis.Metric) []float64 {
	var x []float64
	for _, t := range v.TrialMetrics {
		if value := float64(m.Value(t)); !math.IsNaN(value) {
			x = append(x, value)
		}
	}
	return x
}

// censored returns the number of trials whose figure is only a lower bound.
func censored(v *analysis.Variant, m *analysis.Metric) (n int) {
	for _, t := range v.TrialMetrics {
		if m.Censored != nil && m.Censored(t) {
			n++
		}
	}
	return n
}

func newRow(m *analysis.Metric, variant string, base, fresh []float64) Row {
	negative := 0
	for _, x := range slices.Concat(base, fresh) {
		if x < 0 {
			negative++
		}
	}
	var u stats.Unpaired
	noSize := m.ZeroIsNoSize && slices.Contains(base, 0) && slices.Contains(fresh, 0)
	if negative == 0 && !noSize {
		u = stats.SampleRatios(fresh, base, confidence)
	} else { // a ratio without these figures would be biased
		u = stats.SampleRatios(nil, nil, confidence)
	}
	return Row{
		negative: negative, noSize: noSize,
		Metric: m.ID, Quantity: m.Label, Unit: m.Unit, MoreIsBetter: m.Better == analysis.Higher, Variant: variant,
		BaseTrials: len(base), NewTrials: len(fresh),
		Base: analysis.Number(stats.Median(base)), New: analysis.Number(stats.Median(fresh)),
		Change: percent(u.Ratio), Low: percent(u.Interval.Low), High: percent(u.Interval.High),
		Method: string(u.Interval.Method), Coverage: analysis.Number(u.Interval.Coverage),
		P: analysis.Number(u.P), ratio: u,
	}
}

// percent converts a ratio to a change in %.
func percent(ratio float64) analysis.Number { return analysis.Number((ratio - 1) * 100) }

// judge sets the state of every row, for changes by this factor or more.
func (c *Comparison) judge(factor float64) {
	p := make([]float64, len(c.Rows))
	for i := range c.Rows {
		p[i] = c.Rows[i].ratio.P
	}
	for i, adjusted := range stats.Holm(p) {
		r := &c.Rows[i]
		r.PHolm = analysis.Number(adjusted)
		r.judge(factor)
		c.Counts.add(r)
	}
	switch {
	case c.Counts.Worse > 0:
		c.Verdict = Regression
	case c.Counts.Unsure > 0:
		c.Verdict = Undecided
	default:
		c.Verdict = NoRegression
	}
}

func (n *Counts) add(r *Row) {
	switch {
	case r.Effect == Worse:
		n.Worse++
	case r.Effect == Better:
		n.Better++
	case r.State == NotChanged:
		n.NotChanged++
	default:
		n.Unsure++
	}
}

// judge sets the state of the row (docs/method.md, Comparing two runs).
func (r *Row) judge(factor float64) {
	switch {
	case r.significant() && r.matters(factor) && !r.open():
		r.State, r.Effect = Changed, Worse
		if (r.ratio.Ratio > 1) == r.MoreIsBetter {
			r.Effect = Better
		}
	case r.within(factor) && r.censoredBase+r.censoredNew == 0:
		r.State = NotChanged
	default:
		r.State, r.Reason = Unsure, r.why(factor)
	}
}

// open reports whether lower bounds leave the direction of the change open.
func (r *Row) open() bool {
	if r.ratio.Ratio > 1 {
		return r.censoredBase > 0
	}
	return r.censoredNew > 0
}

func (r *Row) significant() bool { return float64(r.PHolm) <= level+rounding }

// matters reports whether the change is by the factor or more, in either direction.
func (r *Row) matters(factor float64) bool {
	return math.Abs(math.Log(r.ratio.Ratio)) >= math.Log(factor)-rounding
}

// within reports whether the whole interval is within changes smaller than the factor.
func (r *Row) within(factor float64) bool {
	i := r.ratio.Interval
	bound := math.Log(factor) - rounding
	return i.Exists() && math.Log(i.Low) > -bound && math.Log(i.High) < bound
}

// why returns the reason why the row is neither changed nor not changed.
func (r *Row) why(factor float64) string {
	i := r.ratio.Interval
	switch {
	case r.negative > 0:
		return fmt.Sprintf("below zero in %d of %d trials, so there is no ratio", r.negative, r.BaseTrials+r.NewTrials)
	case r.noSize:
		return "zero in trials of both, and these zeros need not be equal"
	case r.NewTrials == 0:
		return "NEW has no valid trial with a value"
	case r.BaseTrials == 0:
		return "BASE has no valid trial with a value"
	case r.censoredBase+r.censoredNew > 0:
		return fmt.Sprintf("only a lower bound in %d of %d trials", r.censoredBase+r.censoredNew, r.BaseTrials+r.NewTrials)
	case stats.LeastRankSum(r.NewTrials, r.BaseTrials) > level+rounding:
		return fmt.Sprintf("%d and %d trials are too few for a 95 %% interval: four of each are enough for one",
			r.BaseTrials, r.NewTrials)
	case !i.Exists() || math.IsNaN(r.ratio.Ratio):
		return "zero in some trials of both, so there is no typical change"
	case r.significant():
		return "a difference, but whether it is as large as the threshold is open"
	case i.Excludes(1) && r.matters(factor):
		return "a change by its own interval, but not after the correction for all rows"
	case i.Excludes(1):
		return "a difference by its own interval, which reaches beyond the threshold"
	}
	return "the interval includes both zero change and the threshold"
}
