package figures

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
)

// figure4 is the mean throughput, and the time to turn a client away where each
// variant does it.
func figure4(s, blocked *analysis.Summary) *Figure {
	f := newFigure(s, "figure-4", figure4Title, TwoColumns, 2.7*vg.Inch)
	f.data = [][]string{{"variant", "metric", "unit", statisticColumn, "value"}}
	f.note(figure4Left)
	f.note(figure4Right)
	f.noteTrials(s)
	f.note(figure4Paper)
	f.panels = []*plot.Plot{throughputPanel(f, s), blockTimePanel(f, blocked)}
	f.spreadKeys(s, false)
	return f
}

// throughputPanel shows the harmonic mean as a bar and the arithmetic beside.
func throughputPanel(f *Figure, s *analysis.Summary) *plot.Plot {
	p := newPanel(f.panelTitle(0, throughputTitle), "", f.say(requestsPerSecond))
	p.Add(grid())
	mean := draw.GlyphStyle{Color: color.Black, Radius: 2.3, Shape: draw.CrossGlyph{}}
	marks := new(dots)
	have := s.Measured()
	for i := range have {
		v := &have[i]
		harmonic := v.Spread(func(m *analysis.Metrics) analysis.Number { return m.Throughput.Harmonic })
		arithmetic := v.Spread(func(m *analysis.Metrics) analysis.Number { return m.Throughput.Arithmetic })
		p.Add(bar{float64(i) - 0.14, float64(harmonic.Median), lookOf(v.Name)})
		marks.values = append(marks.values,
			f.dot(float64(i)-0.14, harmonic, draw.GlyphStyle{Color: color.Black}, v.Name, f.say(harmonicMean), inRequestsPerSecond),
			f.dot(float64(i)+0.27, arithmetic, mean, v.Name, f.say(arithmeticMean), inRequestsPerSecond))
		f.rows(harmonic, v.Name, "throughput, harmonic mean", "requests/s")
		f.rows(arithmetic, v.Name, "throughput, arithmetic mean", "requests/s")
	}
	p.Add(marks)
	f.marks = append(f.marks, marks.marks(0)...)
	names(p, variantNames(have))
	_, top := marks.span()
	p.Y.Min, p.Y.Max = 0, max(1, top)*1.2
	p.Y.Tick.Marker = f.niceStep(p.Y.Max, 6)
	f.legend = append(f.legend,
		key{f.say(harmonicBar), []plot.Thumbnailer{swatchThumb{look{color: grey().color, hatch: record.Rising}}}},
		key{f.say(arithmeticMean), []plot.Thumbnailer{markThumb(mean)}})
	return p
}

// cost is a way to ask what turning a client away takes; in us.
type cost struct {
	label phrase
	name  string // in the figure's data
	glyph draw.GlyphDrawer
	value func(*analysis.Metrics) analysis.Number
}

// costs are those of the place where the variant turns clients away. What a
// variant that drops packets in the kernel still refuses in user space, because
// it was under way already, is not what it is asked about here.
func costs(v *analysis.Variant) []cost {
	if v.BlockTime.DropNS.Known() {
		return []cost{{costKernel, "kernel, per dropped packet", draw.CircleGlyph{}, func(m *analysis.Metrics) analysis.Number { return m.BlockTime.DropNS / 1e3 }}}
	}
	return []cost{
		{costCPU, "user space, CPU time per refusal", draw.PyramidGlyph{}, func(m *analysis.Metrics) analysis.Number { return m.BlockTime.CPUMeanUS }},
		{costWall, "user space, wall time per refusal", hollow{draw.PyramidGlyph{}}, func(m *analysis.Metrics) analysis.Number { return m.BlockTime.WallMeanUS }},
	}
}

func blockTimePanel(f *Figure, s *analysis.Summary) *plot.Plot {
	p := newPanel(f.panelTitle(1, blockTimeTitle), "", f.say(microseconds))
	marks := new(dots)
	shown := map[phrase]bool{}
	have := f.turningAway(s, func(m *analysis.Metrics) analysis.Number { return m.BlockTimeUS })
	for i := range have {
		v := &have[i]
		ways := costs(v)
		for j, c := range ways {
			us := v.Spread(c.value)
			f.rows(us, v.Name, c.name, "us")
			x := float64(i) + (float64(j)-float64(len(ways)-1)/2)*0.44
			glyph := draw.GlyphStyle{Color: lookOf(v.Name).color, Radius: 3, Shape: c.glyph}
			marks.values = append(marks.values, f.dot(x, us, glyph, v.Name, f.say(c.label), inMicroseconds))
			if !shown[c.label] {
				shown[c.label] = true
				glyph.Color = grey().color
				f.legend = append(f.legend, key{f.say(c.label), []plot.Thumbnailer{markThumb(glyph)}})
			}
		}
	}
	least, most := marks.span()
	marks.log = f.scale(&p.Y, least, most)
	p.Add(grid(), marks)
	f.marks = append(f.marks, marks.marks(1)...)
	names(p, variantNames(have))
	return p
}

// turningAway are the variants with a value of what turning a client away
// takes. The others are left out, and named in a note.
func (f *Figure) turningAway(s *analysis.Summary, value func(*analysis.Metrics) analysis.Number) []analysis.Variant {
	var have []analysis.Variant
	for _, v := range s.Measured() {
		if value(v.Metrics).Known() {
			have = append(have, v)
			continue
		}
		f.note(blockTimeNobody, v.Name)
	}
	return have
}
