package report

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// figure5 is the duration of the sequential requests.
func figure5(s *Summary) *figure {
	f := &figure{
		name:  "figure-5",
		title: "Figure 5: duration of the sequential requests",
		notes: []string{
			"Ok requests of the whole load. A percentile is shown only where the sample supports it. " + capital(s.Interval) + ".",
			"Paper: harmonic mean of the duration -65 %, kernel against user space; no-block shorter than user space.",
		},
		width: 10.4 * vg.Inch, height: 4.8 * vg.Inch,
		data: [][]string{{"variant", "time", "statistic", "ms"}},
	}
	for _, v := range s.measured() {
		f.legend = append(f.legend, key{v.Name, []plot.Thumbnailer{markThumb(lookOf(v.Name).mark(4))}})
	}
	response, inResponse := durationPanel(f, s, "response", "Response time, from the intended start", func(v *Variant) *Statistics { return &v.Duration.Statistics })
	service, inService := durationPanel(f, s, "service", "Service time, from the actual start", func(v *Variant) *Statistics { return &v.Duration.Service })
	least, most := (&dots{values: slices.Concat(inResponse.values, inService.values)}).span()
	inResponse.log = scale(&response.Y, least, most)
	inService.log = scale(&service.Y, least, most)
	f.marks = slices.Concat(inResponse.marks(0), inService.marks(1))
	f.panels = []*plot.Plot{response, service}
	return f
}

// statisticNames are the groups of figure 5, in the order of values.
func statisticNames() []string { return []string{"harmonic mean", "median", "p95", "p99"} }

func (s *Statistics) values() []Number { return []Number{s.Harmonic, s.P50, s.P95, s.P99} }

// durationPanel groups the variants by statistic. The caller scales its y axis,
// and the marks with it.
func durationPanel(f *figure, s *Summary, kind, title string, of func(*Variant) *Statistics) (*plot.Plot, *dots) {
	p := newPanel(title, "", "milliseconds")
	marks := new(dots)
	have := s.measured()
	for j := range have {
		l := lookOf(have[j].Name)
		offset := (float64(j) - float64(len(have)-1)/2) * 0.8 / float64(len(have))
		for i, ms := range of(&have[j]).values() {
			f.data = append(f.data, []string{have[j].Name, kind, statisticNames()[i], ms.String()})
			if ms.known() && ms > 0 {
				marks.values = append(marks.values, dot{
					x: float64(i) + offset, y: float64(ms), mark: l.mark(4.5), stem: true,
					label: short(ms), up: labelHeight(j, len(have)),
					group: kind + " time, " + statisticNames()[i], series: have[j].Name, value: short(ms) + " ms",
				})
			}
		}
	}
	p.Add(grid(), marks)
	var ticks plot.ConstantTicks
	for i, name := range statisticNames() {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: name})
	}
	p.X.Tick.Marker = ticks
	p.X.Tick.Length, p.X.Tick.Width = 3, 0
	p.X.Min, p.X.Max = -0.5, 3.5
	return p, marks
}

// scale makes an axis logarithmic where its values span more than a decade, and
// reports whether it did.
func scale(a *plot.Axis, least, most float64) bool {
	switch {
	case math.IsInf(least, 0) || math.IsInf(most, 0):
		a.Min, a.Max = 0, 1
	case most > 10*least:
		a.Label.Text += " (log)"
		logarithmic(a, least, most)
		return true
	default:
		a.Min, a.Max = 0, most*1.15
		a.Tick.Marker = niceStep(a.Max, 8)
	}
	return false
}

// labelHeight keeps the labels of neighbours apart where they are many.
func labelHeight(i, n int) vg.Length {
	if n > 3 && i%2 == 1 {
		return 16
	}
	return 6
}
