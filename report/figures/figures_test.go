package figures

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

// drawnFigures returns the figures of a run, in a language.
func drawnFigures(t *testing.T, run *synth.Run, lang string) (*analysis.Report, []*Figure) {
	t.Helper()
	opened, err := results.Open(run.Write(t))
	testkit.Must(t, err)
	s, err := claims.Read(opened)
	testkit.Must(t, err)
	s.FiguresLang = lang
	return s, All(s)
}

// texts returns all texts of a figure's picture.
func texts(t *testing.T, f *Figure) []string {
	t.Helper()
	var c recorder.Canvas
	f.draw(draw.NewCanvas(&c, f.Width, f.Height))
	var all []string
	for _, a := range c.Actions {
		if text, ok := a.(*recorder.FillString); ok {
			all = append(all, text.String)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no text", f.Name)
	}
	return all
}

func TestEveryAxisHasItsUnit(t *testing.T) {
	unit := regexp.MustCompile(`(\((s|ms|µs|requests/s|%.*|MiB|1 = all|multiples of the capacity)\)|^× capacity)(, log)?$`)
	for name, run := range synth.RunsToDraw() {
		t.Run(name, func(t *testing.T) {
			_, all := drawnFigures(t, run, "")
			for _, f := range all {
				for i, p := range f.panels {
					for _, axis := range []*plot.Axis{&p.X, &p.Y} {
						if _, names := axis.Tick.Marker.(plot.ConstantTicks); !names && !unit.MatchString(axis.Label.Text) {
							t.Errorf("%s, panel %d: the axis %q has no unit", f.Name, i+1, axis.Label.Text)
						}
					}
				}
			}
		})
	}
}

func TestFiguresAreOfAPapersSizeAndType(t *testing.T) {
	t.Parallel()
	dir := synth.FiveVariants(6).Write(t)
	drawInto(t, dir)
	for _, name := range []string{
		"figure-claims", "figure-3", "figure-4", "figure-5", "figure-6", "figure-recovery",
		"figure-block-time", "figure-latency",
	} {
		inches := 7.16
		if name == "figure-block-time" {
			inches = 3.5
		}
		svg := string(drawn(t, dir, name+".svg"))
		if want := fmt.Sprintf(`<svg width="%gpt"`, inches*72); !strings.Contains(svg, want) {
			t.Errorf("%s.svg has no %s", name, want)
		}
		for _, size := range regexp.MustCompile(`font-size:([^;"]+)`).FindAllStringSubmatch(svg, -1) {
			if size[1] != "8px" { // in a picture that is measured in points
				t.Errorf("%s.svg has type of %s", name, size[1])
			}
		}
		pdf := string(drawn(t, dir, name+".pdf"))
		if want := fmt.Sprintf("/MediaBox [0 0 %.2f ", inches*72); !strings.Contains(pdf, want) ||
			!strings.Contains(pdf, "/FontFile2") {
			t.Errorf("%s.pdf is not of %s, or its type is not embedded", name, want)
		}
		if strings.Count(pdf, "(D:20000101000000)") != 2 {
			t.Errorf("%s.pdf has the time at which it was drawn", name)
		}
		picture := drawn(t, dir, name+".png")
		image, err := png.Decode(bytes.NewReader(picture))
		testkit.Must(t, err)
		if got := float64(image.Bounds().Dx()); math.Abs(got-300*inches) > 1 {
			t.Errorf("%s.png is %v pixels wide", name, got)
		}
		if !bytes.Contains(picture[:64], []byte("pHYs\x00\x00\x2e\x23\x00\x00\x2e\x23\x01")) { // 11811 per metre
			t.Errorf("%s.png does not say that it has 300 dpi", name)
		}
	}
}

func TestVariantsDifferInBlackAndWhite(t *testing.T) {
	for i, a := range record.VariantNames() {
		for _, b := range record.VariantNames()[:i] {
			x, y := lookOf(a), lookOf(b)
			if slices.Equal(x.dashes, y.dashes) || reflect.DeepEqual(x.glyph, y.glyph) {
				t.Errorf("%s and %s have the same dashes or mark", a, b)
			}
		}
	}
}

// Each mark is at the position of its value (checked by the page's test in a browser),
// and each drawn median has one.
func TestDataIsWhatIsDrawn(t *testing.T) {
	for name, run := range synth.RunsToDraw() {
		t.Run(name, func(t *testing.T) {
			_, all := drawnFigures(t, run, "")
			for _, f := range all {
				values := map[string]int{} // by variant
				medians := 0
				for _, row := range f.data[1:] {
					value := row[len(row)-1]
					values[row[0]+" "+value]++
					if column := slices.Index(f.data[0], statisticColumn); value != "" &&
						(row[column] == analysis.StatMedian || row[column] == statPublished) &&
						!strings.HasPrefix(row[1], "recovered") && (f.Name != "figure-3" || row[1] != "5") {
						medians++
					}
				}
				for _, m := range f.marks {
					panel := f.panels[m.panel]
					variant, y := m.series, m.y
					if !slices.Contains(record.VariantNames(), variant) {
						variant = m.group
					}
					if _, log := panel.Y.Tick.Marker.(decades); log {
						y = math.Pow(10, y)
					}
					switch _, log := panel.X.Tick.Marker.(decades); {
					case (f.Name == "figure-6" || f.Name == "figure-breaking-points") && log:
						y = math.Pow(10, m.x)
					case f.Name == "figure-6" || f.Name == "figure-claims":
						y = m.x
					}
					cut := f.Name == "figure-3" || f.Name == "figure-claims" && math.Abs(y) == mostChange
					if values[variant+" "+analysis.Number(y).String()] == 0 && !cut {
						t.Errorf("%s: %s has %v at %q, which its data have not", f.Name, variant, y, m.group)
					}
				}
				if f.Name != "figure-6" && medians != len(f.marks) {
					t.Errorf("%s has %d marks and %d medians in its data", f.Name, len(f.marks), medians)
				}
			}
		})
	}
}

// column returns a figure's values, by the cells in front of them in their row.
func column(t *testing.T, dir, figure string) map[string]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(drawn(t, dir, figure+".csv"))).ReadAll()
	testkit.Must(t, err)
	values := map[string]string{}
	for _, row := range rows {
		values[strings.Join(row[:len(row)-1], "|")] = row[len(row)-1]
	}
	return values
}

func TestFiguresHaveIntervalsFromSixBlocksOn(t *testing.T) {
	testkit.Slow(t, "draws three reports")
	t.Parallel()
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
			run := synth.Blocks(tt.blocks)
			dir := run.Write(t)
			s := drawInto(t, dir)
			trial := s.Variant("userspace-block").Names[0]
			keys := map[string]string{
				"figure-3": "userspace-block|1|20|", "figure-4": "userspace-block|throughput, harmonic mean|requests/s|",
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
					if tt.not == "trial" && strings.Contains(row, trial) || tt.not != "trial" &&
						strings.Contains(row, analysis.StatLow) {
						t.Errorf("%s has %s", figure, row)
					}
				}
			}
			if tt.blocks < analysis.FewestBlocks {
				return
			}
			v := s.Variant("userspace-block")
			duration := column(t, dir, "figure-5")
			for statistic, want := range map[string]analysis.Number{
				analysis.StatLow:    v.Low.Duration.P95,
				analysis.StatMedian: v.Duration.P95, analysis.StatHigh: v.High.Duration.P95,
			} {
				if got := duration["userspace-block|response|p95|"+statistic]; got != want.String() {
					t.Errorf("figure 5 has p95 %s %s, the summary %s", statistic, got, want)
				}
			}
			recovery := column(t, dir, "figure-recovery")
			if recovery["userspace-block|until recovered (s)|"+trial] == "" ||
				recovery["userspace-block|until recovered (s)|"+analysis.StatLow] == "" {
				t.Error("the recovery has not each trial and the interval")
			}
		})
	}
}

func TestAFigureWithoutValuesSaysSo(t *testing.T) {
	_, all := drawnFigures(t, synth.RunsToDraw()["no attack, no memory limit"], "")
	for _, f := range all {
		// no attack, and less than 5 s
		empty := f.Name == "figure-recovery" || f.Name == "figure-block-time" || f.Name == "figure-latency"
		if says := slices.Contains(texts(t, f), f.say(noValues)); says != empty {
			t.Errorf("%s says that it is empty: %v", f.Name, says)
		}
	}
}

func TestRecoveryThatDidNotHappenIsDrawnAsTheTimeThatWasLeft(t *testing.T) {
	run := synth.ShortBlocks(3)
	run.Trials[run.Find("xdp-block", 1)].Request = func(role string, q *record.Request) {
		if role == results.RoleSequential && q.ScheduledNS > 11*synth.Second {
			q.Outcome = record.Timeout
		}
	}
	s, all := drawnFigures(t, run, "")
	f := all[slices.IndexFunc(all, func(f *Figure) bool { return f.Name == "figure-recovery" })]
	d := f.onset(s.Variant("xdp-block"))
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
	run := synth.OneBlock()
	run.Trials[2].Server = func(line *record.Line) {
		if line.Connection != nil { // a record more than there is space for, but not of a client
			line.Connection, line.Refusal = nil, &record.Refusal{Stage: "accepted", CPUNS: 5000, WallNS: 9000}
		}
	}
	s, all := drawnFigures(t, run, "")
	if us := s.Variant("xdp-block").BlockTime.CPUMeanUS; us != 5 {
		t.Fatalf("the records have no refusal in user space under xdp-block: %v", us)
	}
	figure4 := all[slices.IndexFunc(all, func(f *Figure) bool { return f.Name == "figure-4" })]
	for _, row := range figure4.data {
		if row[0] == "xdp-block" && strings.HasPrefix(row[1], "user space") {
			t.Errorf("figure 4 shows %v", row)
		}
	}
}

// drawInto draws the figures of a run into its folder, and returns its summary.
func drawInto(t *testing.T, dir string) *analysis.Report {
	t.Helper()
	run, err := results.Open(dir)
	testkit.Must(t, err)
	s, err := claims.Read(run)
	testkit.Must(t, err)
	for _, f := range All(s) {
		testkit.Must(t, f.Write(dir))
	}
	return s
}

func drawn(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	testkit.Must(t, err)
	return text
}
