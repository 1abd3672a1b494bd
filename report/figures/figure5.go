package figures

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// figure5 shows the duration of the sequential requests.
func figure5(s *analysis.Summary) *Figure {
	f := newFigure(s, "figure-5", figure5Title, TwoColumns, 4.4*vg.Inch)
	f.stacked = true
	f.data = [][]string{{"variant", "time", "value_of", statisticColumn, "ms"}}
	f.note(figure5What)
	f.noteTrials(s)
	f.note(figure5Paper)
	for _, v := range s.Measured() {
		f.legend = append(f.legend, key{v.Name, []plot.Thumbnailer{markThumb(lookOf(v.Name).mark(3))}})
	}
	f.spreadKeys(s, false)
	response, inResponse := durationPanel(f, s, 0, "response", responseTime,
		func(m *analysis.Metrics) *analysis.Statistics { return &m.Duration.Statistics })
	service, inService := durationPanel(f, s, 1, "service", serviceTime,
		func(m *analysis.Metrics) *analysis.Statistics { return &m.Duration.Service })
	least, most := (&dots{values: slices.Concat(inResponse.values, inService.values)}).span()
	inResponse.log = f.scale(&response.Y, least, most)
	inService.log = f.scale(&service.Y, least, most)
	f.marks = slices.Concat(inResponse.marks(0), inService.marks(1))
	f.panels = []*plot.Plot{response, service}
	return f
}

// durationValue is a group of figure 5.
type durationValue struct {
	label phrase
	name  string // in the figure's data
	of    func(*analysis.Statistics) analysis.Number
}

func durationValues() []durationValue {
	return []durationValue{
		{harmonicMean, "harmonic mean", func(s *analysis.Statistics) analysis.Number { return s.Harmonic }},
		{median, "median", func(s *analysis.Statistics) analysis.Number { return s.P50 }},
		{p95, "p95", func(s *analysis.Statistics) analysis.Number { return s.P95 }},
		{p99, "p99", func(s *analysis.Statistics) analysis.Number { return s.P99 }},
	}
}

// durationPanel groups the variants by value. The caller scales its y axis, and the
// marks with it.
func durationPanel(f *Figure, s *analysis.Summary, panel int, kind string, title phrase,
	of func(*analysis.Metrics) *analysis.Statistics,
) (*plot.Plot, *dots) {
	p := newPanel(f.panelTitle(panel, title), "", f.say(milliseconds))
	marks := new(dots)
	have := s.Measured()
	var groups []string
	for i, value := range durationValues() {
		groups = append(groups, f.say(value.label))
		for j := range have {
			v := &have[j]
			offset := (float64(j) - float64(len(have)-1)/2) * 0.9 / float64(max(3, len(have)))
			ms := v.Spread(func(m *analysis.Metrics) analysis.Number { return value.of(of(m)) })
			f.rows(ms, v.Name, kind, value.name)
			if ms.Median.Known() && ms.Median > 0 {
				group := f.say(title) + ": " + f.say(value.label)
				marks.values = append(marks.values,
					f.dot(float64(i)+offset, ms, lookOf(v.Name).mark(3), group, v.Name, inMilliseconds))
			}
		}
	}
	p.Add(grid(), marks)
	names(p, groups)
	return p, marks
}
