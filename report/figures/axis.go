package figures

import (
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// grid returns thin horizontal lines behind the data.
func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color = nil
	g.Horizontal = draw.LineStyle{Color: color.Gray{Y: 225}, Width: 0.4}
	return g
}

// names puts names along the x axis instead of numbers.
func names(p *plot.Plot, all []string) {
	var ticks plot.ConstantTicks
	for i, name := range all {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: name})
	}
	p.X.Tick.Marker = ticks
	p.X.Tick.Length, p.X.Tick.Width = 2, 0
	p.X.Min, p.X.Max = -0.5, max(0.5, float64(len(all))-0.5)
	if len(all) > mostBeside {
		l := &p.X.Tick.Label
		l.Rotation, l.XAlign, l.YAlign = math.Pi/2, draw.XRight, draw.YCenter
		for i := range ticks {
			ticks[i].Label += "  " // clear of the axis
		}
	}
}

// mostBeside is how many names fit side by side. More of them stand upright.
const mostBeside = 5

// roomForNames makes the figure higher if its names stand upright.
func (f *Figure) roomForNames(have []analysis.Variant) {
	if len(have) > mostBeside {
		f.Height += 0.7 * vg.Inch
	}
}

// nameRows puts names along the y axis, from the top down, one for each row.
func nameRows(p *plot.Plot, all []string) {
	ticks := make(plot.ConstantTicks, len(all))
	for i, name := range all {
		ticks[i] = plot.Tick{Value: float64(len(all) - 1 - i), Label: name}
	}
	p.Y.Tick.Marker, p.Y.Tick.Length = ticks, 0
	p.Y.Min, p.Y.Max = -0.6, float64(len(all))-0.4
}

// variantNames returns the names of variants, for an x axis. Four or five are in two lines, or
// they would touch.
func variantNames(have []analysis.Variant) []string {
	all := make([]string, len(have))
	for i, v := range have {
		all[i] = v.Name
		if len(have) > 3 && len(have) <= mostBeside {
			all[i] = strings.Replace(v.Name, "-", "-\n", 1)
		}
	}
	return all
}

// logarithmic makes an axis count the powers of ten around positive values. (A
// plot.LogScale would also do, except for the space that it leaves for the label.)
func (f *Figure) logarithmic(a *plot.Axis, least, most float64) {
	a.Tick.Marker = decades{f.lang}
	low, high := math.Log10(least), math.Log10(most)
	a.Min, a.Max = low-0.2, high+max(0.35, (high-low)/10) // room for marks and labels
}

// decades labels the powers of ten on an axis that counts them, and their multiples if
// they are few.
type decades struct{ lang Language }

// Ticks implements plot.Ticker.
func (d decades) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Floor(least); e <= most; e++ {
		for _, m := range []float64{1, 2, 3, 4, 5, 6, 7, 8, 9} {
			v := m * math.Pow10(int(e))
			tick := plot.Tick{Value: math.Log10(v)}
			if tick.Value < least-1e-9 || tick.Value > most+1e-9 {
				continue
			}
			if m == 1 || most-least < 2 && (m == 2 || m == 5) || most-least < 1 {
				tick.Label = d.lang.number(analysis.Number(v))
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// every labels whole multiples of a step.
type every struct {
	step float64
	lang Language
}

// Ticks implements plot.Ticker.
func (s every) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for i := int(math.Ceil(least / s.step)); float64(i)*s.step <= most*(1+1e-9); i++ {
		v := float64(i) * s.step
		label := s.lang.number(analysis.Number(v))
		if s.step < 1 {
			label = s.lang.localise(analysis.Number(v).String())
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	return ticks
}

// niceStep returns a step of 1, 2 or 5 times a power of ten that divides a range into
// at most n parts.
func (f *Figure) niceStep(length float64, n int) every {
	if !(length > 0) {
		return every{1, f.lang}
	}
	power := math.Pow10(int(math.Floor(math.Log10(length / float64(n)))))
	for _, m := range []float64{1, 2, 5, 10} {
		if length/(m*power) <= float64(n) {
			return every{m * power, f.lang}
		}
	}
	return every{10 * power, f.lang}
}

// scale makes an axis logarithmic if its values span more than a decade, and reports
// whether it did.
func (f *Figure) scale(a *plot.Axis, least, most float64) bool {
	switch {
	case math.IsInf(least, 0) || math.IsInf(most, 0):
		a.Min, a.Max = 0, 1
		a.Tick.Marker = f.niceStep(1, 5)
	case least > 0 && most > 10*least:
		a.Label.Text = f.say(logScale, a.Label.Text)
		f.logarithmic(a, least, most)
		return true
	default:
		a.Min, a.Max = min(0, 1.25*least), max(1.25*most, 1e-9)
		a.Tick.Marker = f.niceStep(a.Max-a.Min, 6)
	}
	return false
}
