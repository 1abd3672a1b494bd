package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/png"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func allVariants() []string {
	return []string{"no-block", "userspace-block", "userspace-early", "xdp-block", "xdp-block-new"}
}

// fiveVariants is short trials of every variant in each of n blocks.
func fiveVariants(n int) *synth {
	s := shortBlocks(n)
	s.experiment.Variants = allVariants()
	for b := range n {
		factor := 1 + 0.01*float64(b)
		for _, v := range []string{"userspace-early", "xdp-block-new"} {
			s.trials = append(s.trials, synthTrial{variant: v, block: b + 1, request: slowed(factor), server: grown(factor)})
		}
	}
	return s
}

// drawnFigures are the figures of a run, in a language.
func drawnFigures(t *testing.T, run *synth, lang string) (*Summary, []*figure) {
	t.Helper()
	opened, err := results.Open(run.write(t))
	must(t, err)
	s, series, err := analyse(opened)
	must(t, err)
	s.FiguresLang = lang
	return s, drawAll(s, series)
}

// texts are all texts of a figure's picture.
func texts(t *testing.T, f *figure) []string {
	t.Helper()
	var c recorder.Canvas
	f.draw(draw.NewCanvas(&c, f.width, f.height))
	var all []string
	for _, a := range c.Actions {
		if text, ok := a.(*recorder.FillString); ok {
			all = append(all, text.String)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no text", f.name)
	}
	return all
}

// runsToDraw are runs that differ in what their figures show.
func runsToDraw() map[string]*synth {
	closed := oneBlock()
	closed.experiment.Sequential.RatePerSecond, closed.experiment.Parallel, closed.experiment.ServerMemoryBytes = 0, results.Load{}, 0
	failing := oneBlock()
	failing.trials[2].request = func(role string, q *record.Request) {
		if role == results.RoleSequential && q.ScheduledNS > 20*second {
			q.Outcome = record.Timeout
		}
	}
	return map[string]*synth{
		"one trial each": oneBlock(), "three blocks of five variants": fiveVariants(3), "six blocks of five variants": fiveVariants(6),
		"no attack, no memory limit": closed, "a variant that does not recover": failing,
	}
}

func TestEveryAxisHasItsUnit(t *testing.T) {
	unit := regexp.MustCompile(`\((s|ms|µs|requests/s|%.*|MiB|1 = all)\)(, log)?$`)
	for name, run := range runsToDraw() {
		t.Run(name, func(t *testing.T) {
			_, all := drawnFigures(t, run, "")
			for _, f := range all {
				for i, p := range f.panels {
					for _, axis := range []*plot.Axis{&p.X, &p.Y} {
						if _, names := axis.Tick.Marker.(plot.ConstantTicks); !names && !unit.MatchString(axis.Label.Text) {
							t.Errorf("%s, panel %d: the axis %q has no unit", f.name, i+1, axis.Label.Text)
						}
					}
				}
			}
		})
	}
}

func TestFiguresAreOfAPapersSizeAndType(t *testing.T) {
	dir := fiveVariants(6).write(t)
	write(t, dir)
	for _, name := range []string{"figure-3", "figure-4", "figure-5", "figure-6", "figure-recovery", "figure-block-time", "figure-latency"} {
		inches := 7.16
		if name == "figure-block-time" {
			inches = 3.5
		}
		svg := string(reported(t, dir, name+".svg"))
		if want := fmt.Sprintf(`<svg width="%gpt"`, inches*72); !strings.Contains(svg, want) {
			t.Errorf("%s.svg has no %s", name, want)
		}
		for _, size := range regexp.MustCompile(`font-size:([^;"]+)`).FindAllStringSubmatch(svg, -1) {
			if size[1] != "8px" { // of a picture that is measured in points
				t.Errorf("%s.svg has type of %s", name, size[1])
			}
		}
		pdf := string(reported(t, dir, name+".pdf"))
		if want := fmt.Sprintf("/MediaBox [0 0 %.2f ", inches*72); !strings.Contains(pdf, want) || !strings.Contains(pdf, "/FontFile2") {
			t.Errorf("%s.pdf is not of %s, or its type is not embedded", name, want)
		}
		if strings.Count(pdf, "(D:20000101000000)") != 2 {
			t.Errorf("%s.pdf has the time at which it was drawn", name)
		}
		picture := reported(t, dir, name+".png")
		image, err := png.Decode(bytes.NewReader(picture))
		must(t, err)
		if got := float64(image.Bounds().Dx()); math.Abs(got-300*inches) > 1 {
			t.Errorf("%s.png is %v pixels wide", name, got)
		}
		if !bytes.Contains(picture[:64], []byte("pHYs\x00\x00\x2e\x23\x00\x00\x2e\x23\x01")) { // 11811 per metre
			t.Errorf("%s.png does not say that it has 300 dpi", name)
		}
	}
}

func TestVariantsDifferInBlackAndWhite(t *testing.T) {
	for i, a := range allVariants() {
		for _, b := range allVariants()[:i] {
			x, y := lookOf(a), lookOf(b)
			if slices.Equal(x.dashes, y.dashes) || reflect.DeepEqual(x.glyph, y.glyph) || x.hatch == y.hatch {
				t.Errorf("%s and %s have the same dashes, mark or hatching", a, b)
			}
		}
	}
}

// Each mark is where its value was drawn (the page's test in a browser sees
// that), and each drawn median is one.
func TestDataIsWhatIsDrawn(t *testing.T) {
	for name, run := range runsToDraw() {
		t.Run(name, func(t *testing.T) {
			_, all := drawnFigures(t, run, "")
			for _, f := range all {
				values := map[string]int{} // by variant
				medians := 0
				for _, row := range f.data[1:] {
					value := row[len(row)-1]
					values[row[0]+" "+value]++
					if column := slices.Index(f.data[0], statisticColumn); row[column] == statMedian && value != "" && !strings.HasPrefix(row[1], "recovered") && row[1] != "1" {
						medians++
					}
				}
				for _, m := range f.marks {
					panel := f.panels[m.panel]
					variant, y := m.series, m.y
					if !slices.Contains(allVariants(), variant) {
						variant = m.group
					}
					if _, log := panel.Y.Tick.Marker.(decades); log {
						y = math.Pow(10, y)
					}
					if f.name == "figure-6" {
						y = m.x
					}
					if values[variant+" "+Number(y).String()] == 0 && f.name != "figure-3" { // whose top is cut
						t.Errorf("%s: %s has %v at %q, which its data have not", f.name, variant, y, m.group)
					}
				}
				if f.name != "figure-6" && medians != len(f.marks) {
					t.Errorf("%s has %d marks and %d medians in its data", f.name, len(f.marks), medians)
				}
			}
		})
	}
}

// column gives a figure's values by all that stands before them in their row.
func column(t *testing.T, dir, figure string) map[string]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(reported(t, dir, figure+".csv"))).ReadAll()
	must(t, err)
	values := map[string]string{}
	for _, row := range rows {
		values[strings.Join(row[:len(row)-1], "|")] = row[len(row)-1]
	}
	return values
}

func TestFiguresHaveIntervalsFromSixBlocksOn(t *testing.T) {
	tests := []struct {
		blocks int
		rows   []string // that the data have
		not    string
	}{
		{1, []string{"median"}, "interval_low|xdp-block"},
		{3, []string{"median", "trial"}, "interval_low"},
		{10, []string{"median", "interval_low", "interval_high"}, "trial"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d blocks", tt.blocks), func(t *testing.T) {
			run := blocks(tt.blocks)
			dir := run.write(t)
			s := write(t, dir)
			trial := s.variant("userspace-block").names[0]
			keys := map[string]string{
				"figure-3": "userspace-block|5|20|", "figure-4": "userspace-block|throughput, harmonic mean|requests/s|",
				"figure-5": "userspace-block|response|p95|", "figure-latency": "userspace-block|p95|5|20|",
				"figure-block-time": "userspace-block|" + extraName + "|us|",
			}
			for figure, key := range keys {
				values := column(t, dir, figure)
				for _, row := range tt.rows {
					row = strings.Replace(row, "trial", trial, 1)
					if values[key+row] == "" {
						t.Errorf("%s has no %s%s", figure, key, row)
					}
				}
				for row := range values {
					if tt.not == "trial" && strings.Contains(row, trial) || tt.not != "trial" && strings.Contains(row, statLow) {
						t.Errorf("%s has %s", figure, row)
					}
				}
			}
			if tt.blocks < fewestBlocks {
				return
			}
			v := s.variant("userspace-block")
			duration := column(t, dir, "figure-5")
			for statistic, want := range map[string]Number{statLow: v.Low.Duration.P95, statMedian: v.Duration.P95, statHigh: v.High.Duration.P95} {
				if got := duration["userspace-block|response|p95|"+statistic]; got != want.String() {
					t.Errorf("figure 5 has p95 %s %s, the summary %s", statistic, got, want)
				}
			}
			recovery := column(t, dir, "figure-recovery")
			if recovery["userspace-block|until recovered (s)|"+trial] == "" || recovery["userspace-block|until recovered (s)|"+statLow] == "" {
				t.Error("the recovery has not each trial and the interval")
			}
		})
	}
}

func TestAFigureWithoutValuesSaysSo(t *testing.T) {
	_, all := drawnFigures(t, runsToDraw()["no attack, no memory limit"], "")
	for _, f := range all {
		empty := f.name == "figure-recovery" || f.name == "figure-block-time" || f.name == "figure-latency" // no attack, and under 5 s
		if says := slices.Contains(texts(t, f), f.say(noValues)); says != empty {
			t.Errorf("%s says that it is empty: %v", f.name, says)
		}
	}
}

// The order statistics of ten trials are the second and the ninth.
func TestBandIsOfTheTrialsOfEachBin(t *testing.T) {
	var trials [][]float64
	for i := range 10 {
		trials = append(trials, []float64{float64(i + 1), float64(10 * (10 - i)), math.NaN()})
	}
	trials[0][2] = 7
	trials = append(trials[:9:9], append(trials[9], 99)) // one trial has a bin more
	c := curveOf(trials...)
	want := curve{median: []float64{5.5, 55, 7}, low: []float64{2, 20, math.NaN()}, high: []float64{9, 90, math.NaN()}}
	for _, pair := range [][2][]float64{{c.median, want.median}, {c.low, want.low}, {c.high, want.high}} {
		if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
			t.Errorf("%v, want %v", pair[0], pair[1])
		}
	}
	if few := curveOf(trials[:5]...); few.hasInterval() || !few.single() {
		t.Error("five trials have an interval, or are not drawn one by one")
	}
}

func TestRecoveryThatDidNotHappenIsDrawnAsTheTimeThatWasLeft(t *testing.T) {
	run := shortBlocks(3)
	run.trials[run.find("xdp-block", 1)].request = func(role string, q *record.Request) {
		if role == results.RoleSequential && q.ScheduledNS > 11*second {
			q.Outcome = record.Timeout
		}
	}
	s, all := drawnFigures(t, run, "")
	f := all[slices.IndexFunc(all, func(f *figure) bool { return f.name == "figure-recovery" })]
	d := f.onset(s.variant("xdp-block"))
	arrows := 0
	for i, beyond := range d.beyond {
		if beyond {
			arrows++
			if d.trials[i] != 10 {
				t.Errorf("it is drawn at %v s, want the 10 s that were left", d.trials[i])
			}
		}
	}
	if arrows != 1 || d.outside {
		t.Errorf("%d of %v have an arrow, and the median: %v; want one trial", arrows, d.trials, d.outside)
	}
}

func TestFigure4DoesNotShowWhatTheKernelLetThrough(t *testing.T) {
	run := oneBlock()
	run.trials[2].server = func(line *record.Line) {
		if line.Connection != nil { // a record more than there is place for, but of no client
			line.Connection, line.Refusal = nil, &record.Refusal{Stage: "accepted", CPUNS: 5000, WallNS: 9000}
		}
	}
	s, all := drawnFigures(t, run, "")
	if us := s.variant("xdp-block").BlockTime.CPUMeanUS; us != 5 {
		t.Fatalf("the records have no refusal in user space under xdp-block: %v", us)
	}
	for _, row := range all[1].data {
		if row[0] == "xdp-block" && strings.HasPrefix(row[1], "user space") {
			t.Errorf("figure 4 shows %v", row)
		}
	}
}

func TestLatenciesByIntendedStart(t *testing.T) {
	l := latencies{}
	for i := range int64(100) {
		l.add(i*second/25, (i+1)*1e6) // 25 per second for 4 s
	}
	for i := range int64(20) {
		l.add(5*second+i, 1e6)
	}
	l.add(-1, 1e6)
	if got := l.quantiles(0.5, 14*second); len(got) != 2 || got[0] != 50.5 || got[1] != 1 {
		t.Errorf("medians %v, want 50.5 and 1 ms", got)
	}
	if got := l.quantiles(0.95, 10*second); math.Abs(got[0]-95.05) > 1e-9 || !math.IsNaN(got[1]) {
		t.Errorf("p95 %v, want 95.05 ms and none of 20 requests", got)
	}
	for range exactBelow {
		l.add(11*second, 2e6)
	}
	if got := l.quantiles(0.5, 15*second); l.bins[0].counts == nil || math.Abs(got[0]-50) > 0.1 || math.Abs(got[2]-2) > 0.01 {
		t.Errorf("medians %v from a histogram (%v), want 50 and 2 ms", got, l.bins[0].counts != nil)
	}
}
