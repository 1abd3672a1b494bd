package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

func TestReportOfArmsIsAsKept(t *testing.T) {
	t.Parallel()
	tests := map[string]*synth.Run{
		"noise": synth.WithArm(synth.ShortBlocks(6), results.Again, 1),
		"cost":  synth.WithArm(synth.Closed(10), results.Unmeasured, 0.995),
	}
	for folder, run := range tests {
		t.Run(folder, func(t *testing.T) {
			dir := run.Write(t)
			s := write(t, dir)
			var text bytes.Buffer
			testkit.Must(t, tables.Text(&text, s, 0))
			numbers, err := json.MarshalIndent(map[string]any{"noise": s.Noise, "cost": s.Cost, "trials": s.Trials[:2]}, "",
				"  ")
			testkit.Must(t, err)
			golden.CheckAll(t, folder, map[string][]byte{
				"text.txt": text.Bytes(), "report.md": reported(t, dir, "report.md"), "arms.json": append(numbers, '\n'),
			})
		})
	}
}

func TestArmsChangeNothingOfTheVariantsThemselves(t *testing.T) {
	testkit.Slow(t, "draws four reports")
	t.Parallel()
	for _, arm := range []results.Arm{results.Again, results.Unmeasured} {
		plain, armed := synth.ShortBlocks(2).Write(t), synth.WithArm(synth.ShortBlocks(2), arm, 3).Write(t)
		a, b := write(t, plain), write(t, armed)
		for _, name := range []string{"figure-3.svg", "figure-3.csv", "figure-4.csv", "figure-5.csv", "figure-6.csv"} {
			if !bytes.Equal(reported(t, plain, name), reported(t, armed, name)) {
				t.Errorf("%s differs where trials %q were run too", name, arm)
			}
		}
		for what, of := range map[string]func(*analysis.Report) any{
			"variants": func(s *analysis.Report) any { return s.Variants },
			"claims":   func(s *analysis.Report) any { return s.Claims },
			"pairs":    func(s *analysis.Report) any { return s.Pairs },
		} {
			x, err := json.Marshal(of(a))
			testkit.Must(t, err)
			y, err := json.Marshal(of(b))
			testkit.Must(t, err)
			if !bytes.Equal(x, y) {
				t.Errorf("%s differ where trials %q were run too", what, arm)
			}
		}
	}
}

func noiseOf(t *testing.T, s *analysis.Report, metric, variant string) analysis.NoiseLine {
	t.Helper()
	for _, l := range s.Noise.Lines {
		if l.Metric == metric && l.Variant == variant {
			return l
		}
	}
	t.Fatalf("no line %s of %s in %+v", metric, variant, s.Noise)
	return analysis.NoiseLine{}
}

func TestNoiseIsTheDifferenceBetweenTheSameTwice(t *testing.T) {
	tests := map[string]struct {
		blocks  int
		factor  float64
		verdict analysis.Verdict
		called  bool
	}{
		"one block":                      {1, 1, analysis.TooFew, false},
		"few blocks":                     {3, 1, analysis.TooFew, false},
		"enough blocks":                  {6, 1, analysis.Unsure, false},
		"enough, and something is wrong": {6, 1.5, analysis.More, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := summarise(t, synth.WithArm(synth.ShortBlocks(test.blocks), results.Again, test.factor).Write(t))
			l := noiseOf(t, s, "duration", "xdp-block")
			if l.Blocks != test.blocks || l.Verdict != test.verdict || l.Called() != test.called {
				t.Errorf("%d blocks, %q; want %d, %q", l.Blocks, l.Verdict, test.blocks, test.verdict)
			}
			if want := 100 * (test.factor - 1); math.Abs(float64(l.Measured)-want) > 5 {
				t.Errorf("changes by %v %%, want about %v", float64(l.Measured), want)
			}
			if math.Abs(float64(l.Largest)) < math.Abs(float64(l.Measured)) || test.blocks == 1 &&
				math.Abs(float64(l.Largest-l.Measured)) > 1e-9 {
				t.Errorf("the largest change of a block is %v %%, and the typical one %v", float64(l.Largest), float64(l.Measured))
			}
			// The calls are the same in both: no block differs.
			if same := noiseOf(t, s, "syscalls", "no-block"); same.Measured != 0 || same.Largest != 0 || same.Called() {
				t.Errorf("calls of no-block %+v, want no change", same)
			}
		})
	}
}

func TestARunThatEndedBeforeItsFirstPlainTrialSaysSo(t *testing.T) {
	s := synth.WithArm(synth.Closed(1), results.Unmeasured, 1)
	s.Trials = s.Trials[1:]
	_, err := Write(t.Context(), s.Write(t), Options{})
	if !errors.Is(err, analysis.ErrNoTrials) || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("error %v, want ErrNoTrials with what to do", err)
	}
}

func TestARunOfTheFirstLayoutIsStillReported(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	w, err := results.Open(dir)
	testkit.Must(t, err)
	w.Manifest.Schema = results.OldestSchema
	writer := results.Writer{Dir: dir}
	testkit.Must(t, writer.WriteManifest(&w.Manifest))
	if s := write(t, dir); s.Noise != nil || s.Cost != nil || len(s.Claims) == 0 {
		t.Errorf("noise %+v, cost %+v, %d claims", s.Noise, s.Cost, len(s.Claims))
	}
}
