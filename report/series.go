package report

import (
	"github.com/equic-bench/equic-bench/stats"
)

// series is what the figures of one variant are drawn from.
type series struct {
	variant string
	fine    []float64 // requests/s in bins of 1 s
	paper   []float64 // and of 5 s
	attack  [2]Number // first and last start, s
	cpu     []float64 // %, one for each sampling interval
	memory  []float64 // resident set in bytes, one for each sample
}

func (r *reading) series(variant string) *series {
	s := &series{
		variant: variant,
		fine:    r.done.rates(secondNS, r.endNS),
		paper:   r.done.rates(paperBinNS, r.endNS),
		attack:  [2]Number{unknown(), unknown()},
		cpu:     r.cpuPercent(),
		memory:  r.resident(),
	}
	if !r.attack.empty() {
		s.attack = [2]Number{Number(seconds(r.attack.fromNS)), Number(seconds(r.attack.toNS))}
	}
	return s
}

// mergeSeries puts the trials of one variant together: the median of each bin,
// and the samples of all. Bins that not every trial has are left out.
func mergeSeries(trials []*series) *series {
	merged := &series{variant: trials[0].variant}
	var fine, paper [][]float64
	for _, t := range trials {
		fine, paper = append(fine, t.fine), append(paper, t.paper)
		merged.cpu = append(merged.cpu, t.cpu...)
		merged.memory = append(merged.memory, t.memory...)
	}
	merged.fine, merged.paper = medianBins(fine), medianBins(paper)
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

func medianBins(trials [][]float64) []float64 {
	n := len(trials[0])
	for _, t := range trials {
		n = min(n, len(t))
	}
	bins := make([]float64, n)
	for i := range bins {
		column := make([]float64, len(trials))
		for j, t := range trials {
			column[j] = t[i]
		}
		bins[i] = stats.Median(column)
	}
	return bins
}
