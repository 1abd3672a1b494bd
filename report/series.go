package report

import (
	"math"

	"github.com/equic-bench/equic-bench/stats"
)

// series is what the figures of one variant are drawn from.
type series struct {
	variant string
	trials  []string  // their names
	fine    curve     // requests/s in bins of 1 s
	paper   curve     // and of 5 s
	p50     curve     // response time in bins of 5 s by the intended start, ms
	p95     curve     // null where the bin is too small for it
	attack  [2]Number // first and last start, s
	cpu     []float64 // %, one for each sampling interval
	memory  []float64 // resident set in bytes, one for each sample
	// The values that CPU and memory use stay at or below for each of shares.
	cpuAt, memoryAt curve
}

// curve is a row of values: the median over the trials, NaN where none has one.
type curve struct {
	median []float64
	// low and high end the 95 % interval of the median, NaN where there is none.
	low, high []float64
	trials    [][]float64 // each trial's own
}

// shares are the parts of the time at which distributions are compared over
// trials.
func shares() []float64 {
	all := make([]float64, 0, 99)
	for percent := 1; percent < 100; percent++ {
		all = append(all, float64(percent)/100)
	}
	return all
}

func (r *reading) series(variant string) *series {
	s := &series{
		variant:  variant,
		fine:     curveOf(r.done.rates(secondNS, r.endNS)),
		paper:    curveOf(r.done.rates(paperBinNS, r.endNS)),
		p50:      curveOf(r.latency.quantiles(0.50, r.endNS)),
		p95:      curveOf(r.latency.quantiles(0.95, r.endNS)),
		attack:   [2]Number{unknown(), unknown()},
		cpu:      r.cpuPercent(),
		memory:   r.resident(),
		cpuAt:    curveOf(quantiles(r.cpuPercent())),
		memoryAt: curveOf(quantiles(r.resident())),
	}
	if !r.attack.empty() {
		s.attack = [2]Number{Number(seconds(r.attack.fromNS)), Number(seconds(r.attack.toNS))}
	}
	return s
}

// quantiles are the values at shares; none of none.
func quantiles(x []float64) []float64 {
	if len(x) == 0 {
		return nil
	}
	sorted := stats.Sorted(x)
	var all []float64
	for _, share := range shares() {
		all = append(all, stats.Quantile(sorted, share))
	}
	return all
}

// mergeSeries puts the trials of one variant together: a curve over all of each
// of their curves, and the samples of all.
func mergeSeries(trials []*series, names []string) *series {
	merged := &series{variant: trials[0].variant, trials: names}
	over := func(of func(*series) *curve) curve {
		var all [][]float64
		for _, t := range trials {
			all = append(all, of(t).median)
		}
		return curveOf(all...)
	}
	merged.fine = over(func(s *series) *curve { return &s.fine })
	merged.paper = over(func(s *series) *curve { return &s.paper })
	merged.p50 = over(func(s *series) *curve { return &s.p50 })
	merged.p95 = over(func(s *series) *curve { return &s.p95 })
	merged.cpuAt = over(func(s *series) *curve { return &s.cpuAt })
	merged.memoryAt = over(func(s *series) *curve { return &s.memoryAt })
	for _, t := range trials {
		merged.cpu = append(merged.cpu, t.cpu...)
		merged.memory = append(merged.memory, t.memory...)
	}
	for i := range merged.attack {
		var at []float64
		for _, t := range trials {
			if t.attack[i].known() {
				at = append(at, float64(t.attack[i]))
			}
		}
		merged.attack[i] = Number(stats.Median(at))
	}
	return merged
}

// curveOf is a curve over trials. Bins that not every trial has are left out.
func curveOf(trials ...[]float64) curve {
	n := len(trials[0])
	for _, t := range trials {
		n = min(n, len(t))
	}
	c := curve{trials: trials}
	for i := range n {
		var have []float64
		for _, t := range trials {
			if !math.IsNaN(t[i]) {
				have = append(have, t[i])
			}
		}
		interval := medianInterval(have)
		c.median = append(c.median, stats.Median(have))
		c.low, c.high = append(c.low, interval.Low), append(c.high, interval.High)
	}
	return c
}

// hasInterval reports whether some value has one.
func (c *curve) hasInterval() bool {
	for _, low := range c.low {
		if !math.IsNaN(low) {
			return true
		}
	}
	return false
}

// single is whether the trials are drawn one by one: for want of an interval.
func (c *curve) single() bool { return len(c.trials) > 1 && !c.hasInterval() }

// span widens a range to hold all that is drawn of the curve.
func (c *curve) span(least, most float64) (low, high float64) {
	rows := [][]float64{c.median, c.low, c.high}
	if c.single() {
		rows = append(rows, c.trials...)
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
