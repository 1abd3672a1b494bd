package report

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/equic-bench/equic-bench/stats"
)

// mostSteps of a distribution are drawn: more than the picture has columns.
const mostSteps = 4000

// figure6 is the empirical distribution of the server's CPU and memory use.
func figure6(s *Summary, all []*series) *figure {
	f := &figure{
		name:  "figure-6",
		title: "Figure 6: how much of the time the server used how much",
		notes: []string{
			"Empirical distributions of samples at equal intervals, from the epoch to the scheduled end of the sequential load. " + capital(s.Interval) + ".",
			"Paper: with eQUIC (xdp-block) CPU < 40 % and memory about 30 % for 90 % of the time; without (userspace-block) CPU at 90 % for 80 %, memory 90 %.",
		},
		width: 10.4 * vg.Inch, height: 4.8 * vg.Inch,
		data: [][]string{{"variant", "resource", "value", "unit", "share_at_or_below"}},
	}
	for _, v := range all {
		f.legend = append(f.legend, key{v.variant, []plot.Thumbnailer{lineThumb(lookOf(v.variant).line(2))}})
	}
	cpu := ecdfPanel(f, 0, all, "CPU", "%", "CPU of the server process (% of its CPUs)", func(v *series) []float64 { return v.cpu })
	cpu.X.Max = max(100, cpu.X.Max)
	unit, label, divisor := "MiB", "resident set of the server (MiB)", float64(1<<20)
	if limit := s.Window.MemoryBytes; limit > 0 {
		unit, label, divisor = "%", "resident set of the server (% of its limit of "+mebibytes(Number(limit))+")", float64(limit)/100
	}
	memory := ecdfPanel(f, 1, all, "memory", unit, label, func(v *series) []float64 {
		scaled := make([]float64, len(v.memory))
		for i, b := range v.memory {
			scaled[i] = b / divisor
		}
		return scaled
	})
	memory.X.Max *= 1.05
	if unit == "%" {
		memory.X.Max = 100
	}
	f.panels = []*plot.Plot{cpu, memory}
	return f
}

// ecdfPanel draws one empirical distribution for each variant as steps.
func ecdfPanel(f *figure, panel int, all []*series, resource, unit, label string, of func(*series) []float64) *plot.Plot {
	p := newPanel("", label, "share of the time at or below")
	p.Add(grid())
	p.X.Min, p.X.Max = 0, 1
	thinned := false
	for _, v := range all {
		var xys plotter.XYs
		steps := stats.ECDF(stats.Sorted(of(v)))
		f.marks = append(f.marks, shareMarks(steps, mark{panel: panel, series: v.variant}, unit)...)
		drawn := stats.Thin(steps, mostSteps)
		thinned = thinned || len(drawn) < len(steps)
		for i, step := range drawn {
			if i == 0 {
				xys = append(xys, plotter.XY{X: step.X})
			}
			xys = append(xys, plotter.XY{X: step.X, Y: step.Share})
			f.data = append(f.data, []string{v.variant, resource, Number(step.X).String(), unit, Number(step.Share).String()})
		}
		if len(xys) == 0 {
			continue
		}
		p.X.Max = max(p.X.Max, xys[len(xys)-1].X)
		p.Add(&plotter.Line{XYs: xys, StepStyle: plotter.PostStep, LineStyle: lookOf(v.variant).line(2)})
	}
	if note := fmt.Sprintf("Of more than %d steps, small ones are left out: no share is off by more than 1/%d.", mostSteps, mostSteps); thinned && !slices.Contains(f.notes, note) {
		f.notes = append(f.notes, note)
	}
	p.Y.Min, p.Y.Max = 0, 1.02
	p.Y.Tick.Marker = every(0.1)
	p.X.Tick.Marker = plot.TickerFunc(func(least, most float64) []plot.Tick { return niceStep(most, 10).Ticks(least, most) })
	return p
}

// shareMarks are the values that the use stays at or below for each 5 % of the
// time.
func shareMarks(steps []stats.Step, m mark, unit string) []mark {
	var all []mark
	for percent := 5; percent <= 100; percent += 5 {
		i := slices.IndexFunc(steps, func(s stats.Step) bool { return s.Share >= float64(percent)/100-1e-9 })
		if i < 0 {
			continue
		}
		m.x, m.y = steps[i].X, float64(percent)/100
		m.group = fmt.Sprintf("for %d %% of the time at most", percent)
		m.value = short(Number(m.x)) + " " + unit
		all = append(all, m)
	}
	return all
}
