package figures

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
)

// figure4 shows the mean throughput, and the time to turn a client away at the place
// where each variant does it.
func figure4(s, blocked *analysis.Summary) *Figure {
	f := newFigure(s, "figure-4", figure4Title, TwoColumns, 2.7*vg.Inch)
	f.data = [][]string{{"variant", "metric", "unit", statisticColumn, "value"}}
	f.note(figure4Left)
	f.note(figure4Right)
	f.noteTrials(s)
	f.note(figure4Paper)
	f.roomForNames(s.Measured())
	f.panels = []*plot.Plot{throughputPanel(f, s), blockTimePanel(f, blocked)}
	f.spreadKeys(s, false)
	return f
}

const (
	// paperThroughput is the paper's kernel throughput as a multiple of that in user space.
	paperThroughput = 1.309
	// paperKernelUS is the paper's time to block a client in the kernel, which is 26.4 %
	// less than in user space.
	paperKernelUS    = 8
	paperUserspaceUS = paperKernelUS / (1 - 0.264)
)

// throughputPanel shows the harmonic mean as a bar and the arithmetic mean beside it.
func throughputPanel(f *Figure, s *analysis.Summary) *plot.Plot {
	p := newPanel(f.panelTitle(0, throughputTitle), "", f.say(requestsPerSecond))
	p.Add(grid())
	mean := draw.GlyphStyle{Color: color.Black, Radius: 2.3, Shape: draw.CrossGlyph{}}
	f.legend = append(f.legend,
		key{f.say(harmonicBar), []plot.Thumbnailer{swatchThumb{look{color: grey().color, hatch: record.Rising}}}},
		key{f.say(arithmeticMean), []plot.Thumbnailer{markThumb(mean)}})
	marks := new(dots)
	have := s.Measured()
	for i := range have {
		v := &have[i]
		harmonic := v.Spread(func(m *analysis.Metrics) analysis.Number { return m.Throughput.Harmonic })
		arithmetic := v.Spread(func(m *analysis.Metrics) analysis.Number { return m.Throughput.Arithmetic })
		p.Add(bar{float64(i), float64(harmonic.Median), lookOf(v.Name)})
		marks.values = append(marks.values,
			f.dot(float64(i), harmonic, draw.GlyphStyle{Color: color.Black}, v.Name, f.say(harmonicMean), inRequestsPerSecond),
			f.dot(float64(i)+0.26, arithmetic, mean, v.Name, f.say(arithmeticMean), inRequestsPerSecond))
		f.rows(harmonic, v.Name, "throughput, harmonic mean", "requests/s")
		f.rows(arithmetic, v.Name, "throughput, arithmetic mean", "requests/s")
	}
	names(p, variantNames(have))
	_, top := marks.span()
	top = max(top, f.addPaperBar(p, s, have, marks))
	p.Y.Min, p.Y.Max = 0, max(1, top)*1.2
	p.Y.Tick.Marker = f.niceStep(p.Y.Max, 6)
	p.Add(marks)
	f.marks = append(f.marks, marks.marks(0)...)
	return p
}

// addPaperBar draws the paper's throughput of xdp-block beside ours, and returns its
// height. The paper gives only its ratio to userspace-block.
func (f *Figure) addPaperBar(p *plot.Plot, s *analysis.Summary, have []analysis.Variant, marks *dots) float64 {
	without := s.Variant(string(record.UserspaceBlock))
	at := slices.IndexFunc(have, func(v analysis.Variant) bool { return v.Name == string(record.XDPBlock) })
	if without == nil || at < 0 {
		return 0
	}
	value, label := paperThroughput*without.Throughput.Harmonic, paperBar
	if value > 0 {
		x := float64(at) - 0.33
		p.Add(bar{x, float64(value), paperLook()})
		name, none := have[at].Name, draw.GlyphStyle{Color: color.Black}
		marks.values = append(marks.values, f.published(x, value, none, name, inRequestsPerSecond))
		f.add(name, "throughput, the paper's +30.9 % over userspace-block", "requests/s", statPublished, value.String())
	} else {
		label = paperBarZero
	}
	f.legend = append(f.legend, key{f.say(label), []plot.Thumbnailer{swatchThumb{paperLook()}}})
	return float64(value)
}

// paperGlyph returns the mark of a value of the paper.
func paperGlyph() draw.GlyphStyle {
	return draw.GlyphStyle{Color: color.Black, Radius: 2.6, Shape: hollow{draw.BoxGlyph{}}}
}

// paperLook returns the look of the paper's values.
func paperLook() look { return look{color: color.RGBA{A: 255}, dashes: []vg.Length{2, 1.5}} }

// cost is a way to measure what turning a client away takes; in us.
type cost struct {
	label phrase
	name  string // in the figure's data
	glyph draw.GlyphDrawer
	value func(*analysis.Metrics) analysis.Number
}

// costs returns the costs at the place of the variant. A variant that drops packets in
// the kernel still refuses connections in user space that were already in progress.
// That cost is not included here.
func costs(v *analysis.Variant) []cost {
	if v.BlockTime.DropNS.Known() {
		return []cost{{
			costKernel, "kernel, per dropped packet",
			draw.CircleGlyph{},
			func(m *analysis.Metrics) analysis.Number { return m.BlockTime.DropNS / 1e3 },
		}}
	}
	return []cost{
		{
			costCPU, "user space, CPU time per refusal",
			draw.PyramidGlyph{},
			func(m *analysis.Metrics) analysis.Number { return m.BlockTime.CPUMeanUS },
		},
		{
			costWall, "user space, wall time per refusal",
			hollow{draw.PyramidGlyph{}},
			func(m *analysis.Metrics) analysis.Number { return m.BlockTime.WallMeanUS },
		},
	}
}

func blockTimePanel(f *Figure, s *analysis.Summary) *plot.Plot {
	p := newPanel(f.panelTitle(1, blockTimeTitle), "", f.say(microseconds))
	marks := new(dots)
	have := f.turningAway(s, func(m *analysis.Metrics) analysis.Number { return m.BlockTimeUS })
	for i := range have {
		v := &have[i]
		ways, paper := costs(v), publishedUS(v.Name)
		columns := len(ways)
		if paper.Known() {
			columns++
		}
		place := func(j int) float64 { return float64(i) + (float64(j)-float64(columns-1)/2)*0.32 }
		for j, c := range ways {
			us := v.Spread(c.value)
			f.rows(us, v.Name, c.name, "us")
			glyph := draw.GlyphStyle{Color: lookOf(v.Name).color, Radius: 3, Shape: c.glyph}
			marks.values = append(marks.values, f.dot(place(j), us, glyph, v.Name, f.say(c.label), inMicroseconds))
			glyph.Color = grey().color
			f.keyOnce(c.label, glyph)
		}
		if paper.Known() {
			f.add(v.Name, "paper", "us", statPublished, paper.String())
			theirs := f.published(place(len(ways)), paper, paperGlyph(), v.Name, inMicroseconds)
			marks.values = append(marks.values, theirs)
		}
	}
	if slices.ContainsFunc(have, func(v analysis.Variant) bool { return publishedUS(v.Name).Known() }) {
		f.keyOnce(paperBlockTime, paperGlyph())
	}
	least, most := marks.span()
	marks.log = f.scale(&p.Y, least, most)
	p.Add(grid(), marks)
	f.marks = append(f.marks, marks.marks(1)...)
	names(p, variantNames(have))
	return p
}

// publishedUS returns the paper's time to block a client at the variant's place.
func publishedUS(variant string) analysis.Number {
	switch record.Variant(variant) {
	case record.UserspaceBlock:
		return paperUserspaceUS
	case record.XDPBlock:
		return paperKernelUS
	}
	return analysis.Unknown()
}

// published returns a value of the paper as a mark, beside ours for a variant.
func (f *Figure) published(x float64, value analysis.Number, glyph draw.GlyphStyle, variant string, unit phrase) dot {
	return dot{
		x: x, y: float64(value), mark: glyph, low: analysis.Unknown(), high: analysis.Unknown(),
		label: f.num(value), group: variant, series: f.say(byPaper), value: f.say(unit, f.num(value)),
	}
}

// turningAway returns the variants that have a value for turning a client away. The
// others are left out, and named in a note.
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
