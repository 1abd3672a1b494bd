package analysis

import (
	"math"

	"github.com/equic-bench/equic-bench/stats"
)

// Series is the data for the figures of one variant.
type Series struct {
	Variant string
	Trials  []string  // their names
	Fine    Curve     // requests/s in bins of 1 s
	Paper   Curve     // and of 5 s
	P50     Curve     // response time in bins of 5 s by the intended start, ms
	P95     Curve     // null if the bin is too small for it
	Attack  [2]Number // first and last start, s
	CPU     []float64 // %, one for each sampling interval
	Memory  []float64 // resident set in bytes, one for each sample
	// The values that CPU and memory use do not exceed for each of shares.
	CPUAt, MemoryAt Curve
}

// Curve is a row of values: the median over the trials, NaN if none has one.
type Curve struct {
	Median []float64
	// Low and High are the ends of the 95 % interval of the median, NaN if there is none.
	Low, High []float64
	Trials    [][]float64 // each trial's own
}

// Shares returns the shares of the time at which distributions are compared over
// trials.
func Shares() []float64 {
	all := make([]float64, 0, 99)
	for percent := 1; percent < 100; percent++ {
		all = append(all, float64(percent)/100)
	}
	return all
}

func (r *reading) series(variant string) *Series {
	s := &Series{
		Variant:  variant,
		Fine:     curveOf(r.done.rates(secondNS, r.endNS)),
		Paper:    curveOf(r.done.rates(paperBinNS, r.endNS)),
		P50:      curveOf(r.latency.quantiles(0.50, r.endNS)),
		P95:      curveOf(r.latency.quantiles(0.95, r.endNS)),
		Attack:   [2]Number{Unknown(), Unknown()},
		CPU:      r.cpuPercent(),
		Memory:   r.resident(),
		CPUAt:    curveOf(quantiles(r.cpuPercent())),
		MemoryAt: curveOf(quantiles(r.resident())),
	}
	if !r.attack.empty() {
		s.Attack = [2]Number{Number(Seconds(r.attack.fromNS)), Number(Seconds(r.attack.toNS))}
	}
	return s
}

// quantiles returns the values at shares; none if there are no values.
func quantiles(x []float64) []float64 {
	if len(x) == 0 {
		return nil
	}
	sorted := stats.Sorted(x)
	var all []float64
	for _, share := range Shares() {
		all = append(all, stats.Quantile(sorted, share))
	}
	return all
}

// mergeSeries merges the trials of one variant. Each kind of curve becomes one curve over all trials, and the
// samples of all trials are joined.
func mergeSeries(trials []*Series, names []string) *Series {
	merged := &Series{Variant: trials[0].Variant, Trials: names}
	over := func(of func(*Series) *Curve) Curve {
		var all [][]float64
		for _, t := range trials {
			all = append(all, of(t).Median)
		}
		return curveOf(all...)
	}
	merged.Fine = over(func(s *Series) *Curve { return &s.Fine })
	merged.Paper = over(func(s *Series) *Curve { return &s.Paper })
	merged.P50 = over(func(s *Series) *Curve { return &s.P50 })
	merged.P95 = over(func(s *Series) *Curve { return &s.P95 })
	merged.CPUAt = over(func(s *Series) *Curve { return &s.CPUAt })
	merged.MemoryAt = over(func(s *Series) *Curve { return &s.MemoryAt })
	for _, t := range trials {
		merged.CPU = append(merged.CPU, t.CPU...)
		merged.Memory = append(merged.Memory, t.Memory...)
	}
	for i := range merged.Attack {
		var at []float64
		for _, t := range trials {
			if t.Attack[i].Known() {
				at = append(at, float64(t.Attack[i]))
			}
		}
		merged.Attack[i] = Number(stats.Median(at))
	}
	return merged
}

// curveOf returns a curve over trials. Bins that some trials lack are left out.
func curveOf(trials ...[]float64) Curve {
	n := len(trials[0])
	for _, t := range trials {
		n = min(n, len(t))
	}
	c := Curve{Trials: trials}
	for i := range n {
		var have []float64
		for _, t := range trials {
			if !math.IsNaN(t[i]) {
				have = append(have, t[i])
			}
		}
		interval := medianInterval(have)
		c.Median = append(c.Median, stats.Median(have))
		c.Low, c.High = append(c.Low, interval.Low), append(c.High, interval.High)
	}
	return c
}

// HasInterval reports whether some value has one.
func (c *Curve) HasInterval() bool {
	for _, low := range c.Low {
		if !math.IsNaN(low) {
			return true
		}
	}
	return false
}

// Single reports whether the trials are drawn one by one, because there is no interval.
func (c *Curve) Single() bool { return len(c.Trials) > 1 && !c.HasInterval() }

// Span extends a range to include everything that is drawn of the curve.
func (c *Curve) Span(least, most float64) (low, high float64) {
	rows := [][]float64{c.Median, c.Low, c.High}
	if c.Single() {
		rows = append(rows, c.Trials...)
	}
	for _, row := range rows {
		for _, v := range row {
			if !math.IsNaN(v) {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	return least, most
}
