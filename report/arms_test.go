package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// withArm is a run in which each block has every variant once more, in another
// arm, faster or slower by chance, and by a factor.
func withArm(s *synth, arm results.Arm, factor float64) *synth {
	s.experiment.Arms = append(s.experiment.Arms, arm)
	rng := rand.New(rand.NewPCG(21, 22))
	for _, t := range slices.Clone(s.trials) {
		if t.arm != results.Plain {
			continue
		}
		t.arm = arm
		by, block := factor*(0.995+0.01*rng.Float64()), t.request
		t.request = func(role string, q *record.Request) {
			if block != nil {
				block(role, q)
			}
			slowed(by)(role, q)
		}
		s.trials = append(s.trials, t)
	}
	return s
}

// unattacked is blocks of the variants in a closed loop, without an attack.
func unattacked(n int) *synth {
	s := shortBlocks(n)
	s.experiment.Sequential.RatePerSecond, s.experiment.Sequential.Requests = 0, 900
	s.experiment.Parallel = results.Load{}
	return s
}

// closed is blocks of one variant in a closed loop, without an attack.
func closed(n int) *synth {
	s := unattacked(n)
	s.experiment.Variants = []string{"xdp-block"}
	s.trials = slices.DeleteFunc(s.trials, func(t synthTrial) bool { return t.variant != "xdp-block" })
	return s
}

func TestReportOfArmsIsAsKept(t *testing.T) {
	tests := map[string]*synth{
		"noise": withArm(shortBlocks(6), results.Again, 1),
		"cost":  withArm(closed(10), results.Unmeasured, 0.995),
	}
	for folder, run := range tests {
		t.Run(folder, func(t *testing.T) {
			dir := run.write(t)
			s := write(t, dir)
			var text bytes.Buffer
			must(t, Text(&text, s, 0))
			numbers, err := json.MarshalIndent(map[string]any{"noise": s.Noise, "cost": s.Cost, "trials": s.Trials[:2]}, "", "  ")
			must(t, err)
			asKept(t, folder, map[string][]byte{
				"text.txt": text.Bytes(), "report.md": reported(t, dir, "report.md"), "arms.json": append(numbers, '\n'),
			})
		})
	}
}

func TestArmsChangeNothingOfTheVariantsThemselves(t *testing.T) {
	for _, arm := range []results.Arm{results.Again, results.Unmeasured} {
		plain, armed := shortBlocks(2).write(t), withArm(shortBlocks(2), arm, 3).write(t)
		a, b := write(t, plain), write(t, armed)
		for _, name := range []string{"figure-3.svg", "figure-3.csv", "figure-4.csv", "figure-5.csv", "figure-6.csv"} {
			if !bytes.Equal(reported(t, plain, name), reported(t, armed, name)) {
				t.Errorf("%s differs where trials %q were run too", name, arm)
			}
		}
		for what, of := range map[string]func(*Summary) any{
			"variants": func(s *Summary) any { return s.Variants },
			"claims":   func(s *Summary) any { return s.Claims },
			"pairs":    func(s *Summary) any { return s.Pairs },
		} {
			x, err := json.Marshal(of(a))
			must(t, err)
			y, err := json.Marshal(of(b))
			must(t, err)
			if !bytes.Equal(x, y) {
				t.Errorf("%s differ where trials %q were run too", what, arm)
			}
		}
	}
}

func noiseOf(t *testing.T, s *Summary, metric, variant string) NoiseLine {
	t.Helper()
	for _, l := range s.Noise.Lines {
		if l.Metric == metric && l.Variant == variant {
			return l
		}
	}
	t.Fatalf("no line %s of %s in %+v", metric, variant, s.Noise)
	return NoiseLine{}
}

func TestNoiseIsTheDifferenceBetweenTheSameTwice(t *testing.T) {
	tests := map[string]struct {
		blocks  int
		factor  float64
		verdict Verdict
		called  bool
	}{
		"one block":                      {1, 1, TooFew, false},
		"few blocks":                     {3, 1, TooFew, false},
		"enough blocks":                  {6, 1, Inconclusive, false},
		"enough, and something is wrong": {6, 1.5, More, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := summarise(t, withArm(shortBlocks(test.blocks), results.Again, test.factor).write(t))
			l := noiseOf(t, s, "duration", "xdp-block")
			if l.Blocks != test.blocks || l.Verdict != test.verdict || l.called() != test.called {
				t.Errorf("%d blocks, %q; want %d, %q", l.Blocks, l.Verdict, test.blocks, test.verdict)
			}
			if want := 100 * (test.factor - 1); math.Abs(float64(l.Measured)-want) > 5 {
				t.Errorf("changes by %v %%, want about %v", float64(l.Measured), want)
			}
			if math.Abs(float64(l.Largest)) < math.Abs(float64(l.Measured)) || test.blocks == 1 && math.Abs(float64(l.Largest-l.Measured)) > 1e-9 {
				t.Errorf("the largest change of a block is %v %%, and the typical one %v", float64(l.Largest), float64(l.Measured))
			}
			// The calls are the same in both: not even one block differs.
			if same := noiseOf(t, s, "syscalls", "no-block"); same.Measured != 0 || same.Largest != 0 || same.called() {
				t.Errorf("calls of no-block %+v, want no change", same)
			}
		})
	}
}

func TestTheLargestChangeCountsHalfLikeDouble(t *testing.T) {
	of := func(values ...float64) *Variant {
		v := new(Variant)
		for i, x := range values {
			v.trials, v.blocks = append(v.trials, &Metrics{BlockTimeUS: Number(x)}), append(v.blocks, i+1)
		}
		return v
	}
	inf := math.Inf(1)
	tests := map[string]struct {
		with, without []float64
		want          float64
	}{
		"more":              {[]float64{10, 12, 11}, []float64{10, 10, 10}, 20},
		"less":              {[]float64{10, 4, 20}, []float64{10, 10, 10}, -60},
		"two zeros":         {[]float64{0}, []float64{0}, 0},
		"to zero":           {[]float64{0, 99}, []float64{1, 1}, -100},
		"from zero":         {[]float64{1, 99}, []float64{0, 1}, inf},
		"none has a value":  {[]float64{math.NaN()}, []float64{1}, math.NaN()},
		"one has no value":  {[]float64{math.NaN(), 11}, []float64{1, 10}, 10},
		"one is not paired": {[]float64{11}, []float64{10, 1}, 10},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := float64(largest(of(test.with...), of(test.without...), MetricByID("block-time")))
			if got != test.want && math.Abs(got-test.want) > 1e-9 && !(math.IsNaN(got) && math.IsNaN(test.want)) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestTheGoalOfMeasuringIsHeldAgainstTheInterval(t *testing.T) {
	of := func(low, high Number) *Evidence {
		return &Evidence{Blocks: 10, Method: "signed ranks", Low: low, High: high}
	}
	none := noEvidence()
	tests := map[string]struct {
		change Number
		e      *Evidence
		want   Goal
	}{
		"narrow around zero":        {0.1, of(-0.4, 0.6), GoalReached},
		"narrow beside zero":        {-0.6, of(-0.9, -0.2), GoalReached},
		"wide around zero":          {0.1, of(-2, 2), GoalWider},
		"to the goal itself":        {-0.5, of(-1, -0.1), GoalWider},
		"over it, with less inside": {-1.4, of(-2, -0.5), GoalUnsure},
		"a cost for sure":           {-3, of(-4, -2), GoalMissed},
		"a gain for sure":           {3, of(2, 4), GoalMissed},
		"no interval":               {0, &none, GoalTooFew},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := goal(test.change, test.e); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestAnUnmeasuredTrialHasNoFiguresOfItsServer(t *testing.T) {
	run, err := results.Open(withArm(closed(1), results.Unmeasured, 1).write(t))
	must(t, err)
	v, _, err := newSummary(run).readVariant(run, run.Manifest.Experiment.Variants[0], results.Unmeasured)
	must(t, err)
	m := v.Metrics
	for what, n := range map[string]Number{
		"CPU": m.CPU.Mean, "busy CPUs": m.BusyCPUs.Mean, "memory": m.MemoryBytes.P90, "peak": m.MemoryBytes.Peak,
		"system calls": m.Syscalls.Calls, "the probe's cost": m.Probe.CPUPercent, "lost datagrams": m.UDP.RcvbufErrors,
	} {
		if n.known() {
			t.Errorf("%s: %v", what, float64(n))
		}
	}
	if !m.Throughput.Arithmetic.known() || !m.Duration.P99.known() {
		t.Errorf("throughput %v, p99 %v", m.Throughput.Arithmetic, m.Duration.P99)
	}
}

func TestARunThatEndedBeforeItsFirstPlainTrialSaysSo(t *testing.T) {
	s := withArm(closed(1), results.Unmeasured, 1)
	s.trials = s.trials[1:]
	_, err := Write(s.write(t), Options{})
	if !errors.Is(err, ErrNoTrials) || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("error %v, want ErrNoTrials with what to do", err)
	}
}

func TestARunOfTheFirstLayoutIsStillReported(t *testing.T) {
	dir := oneBlock().write(t)
	w, err := results.Open(dir)
	must(t, err)
	w.Manifest.Schema = results.OldestSchema
	writer := results.Writer{Dir: dir}
	must(t, writer.WriteManifest(&w.Manifest))
	if s := write(t, dir); s.Noise != nil || s.Cost != nil || len(s.Claims) == 0 {
		t.Errorf("noise %+v, cost %+v, %d claims", s.Noise, s.Cost, len(s.Claims))
	}
}
