package analysis

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/stats"
)

// durationShapes returns generators of durations in ns, as requests may have them.
func durationShapes() map[string]func(*rand.Rand) int64 {
	return map[string]func(*rand.Rand) int64{
		"around 9 ms, with a long tail": func(r *rand.Rand) int64 { return int64(9e6 * math.Exp(0.5*r.NormFloat64())) },
		"a few ns to some hours":        func(r *rand.Rand) int64 { return int64(math.Exp(30 * r.Float64())) },
		"all the same":                  func(*rand.Rand) int64 { return 123_456_789 },
		"the largest there are":         func(r *rand.Rand) int64 { return math.MaxInt64 - r.Int64N(1000) },
	}
}

func TestFromAMillionOnQuantilesAreTheHistogramsWithinItsError(t *testing.T) {
	for name, draw := range durationShapes() {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			got := new(tally)
			var ms, us []float64
			for range exactBelow + 1000 {
				ns := draw(rng)
				got.add(ns)
				ms, us = append(ms, float64(ns)/1e6), append(us, float64(ns)/1e3)
			}
			if got.counts == nil || got.values != nil {
				t.Fatal("all are still kept")
			}
			slices.Sort(ms)
			want, have := statistics(ms), got.statistics()
			if have.Count != want.Count || have.Max != want.Max {
				t.Errorf("count %v and largest %v, want %v and %v", have.Count, have.Max, want.Count, want.Max)
			}
			near(t, "harmonic mean", have.Harmonic, want.Harmonic, -1e-9, 1e-9)
			near(t, "arithmetic mean", have.Arithmetic, want.Arithmetic, -1e-9, 1e-9)
			// A quantile between two values is read as the lower or the upper one.
			const between, above = 1e-4, histogramErrorPercent / 100.
			near(t, "median", have.P50, want.P50, -between, above)
			near(t, "p95", have.P95, want.P95, -between, above)
			near(t, "p99", have.P99, want.P99, -between, above+between)
			mean, median := got.meanAndMedian()
			near(t, "mean in us", mean, Number(stats.Arithmetic(us)), -1e-9, 1e-9)
			near(t, "median in us", median, Number(stats.Median(us)), -between, above)
		})
	}
}

// near checks that a number is off by a share between low and high.
func near(t *testing.T, what string, got, want Number, low, high float64) {
	t.Helper()
	if off := float64(got/want) - 1; !(off >= low && off <= high) {
		t.Errorf("%s %v, want %v: off by %.3g, want %.3g to %.3g", what, got, want, off, low, high)
	}
}

func TestBelowAMillionAllIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	got := new(tally)
	var ms []float64
	for range exactBelow - 1 {
		ns := rng.Int64N(1e9)
		got.add(ns)
		ms = append(ms, float64(ns)/1e6)
	}
	slices.Sort(ms)
	if have, want := got.statistics(), statistics(ms); have != want {
		t.Errorf("%+v, want %+v", have, want)
	}
}

func TestANegativeDurationIsNoQuantileOfTheHistogram(t *testing.T) {
	got := new(tally)
	for range exactBelow {
		got.add(5e6)
	}
	got.add(-1)
	have := got.statistics()
	if have.P50.Known() || have.Harmonic.Known() || !have.Arithmetic.Known() || have.Count != exactBelow+1 {
		t.Errorf("%+v, want no quantile and no harmonic mean", have)
	}
}

func TestAZeroDurationMakesTheHarmonicMeanZero(t *testing.T) {
	got := new(tally)
	got.add(0)
	for range exactBelow {
		got.add(5e6)
	}
	if have := got.statistics(); have.Harmonic != 0 {
		t.Errorf("harmonic mean %v, want 0", have.Harmonic)
	}
}

func TestATrialWithAMillionRefusalsIsNamedInTheWarnings(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	const have = 4 * (300 - 5) // refusals of the synthetic trial
	warned := func(more int) bool {
		file, err := os.OpenFile(filepath.Join(dir, results.TrialsDir, "002-userspace-block", "server.jsonl"),
			os.O_APPEND|os.O_WRONLY, 0)
		testkit.Must(t, err)
		_, err = file.WriteString(strings.Repeat(`{"refusal":{"client":"","at_ns":0,"stage":"accepted","wall_ns":9,"cpu_ns":7}}`+"\n", more))
		testkit.Must(t, errors.Join(err, file.Close()))
		return strings.Contains(strings.Join(analysed(t, dir).Warnings, "\n"),
			"1 of the trials have a million durations of one kind or more (002-userspace-block first)")
	}
	if warned(exactBelow - 1 - have) {
		t.Error("warned of one too few")
	}
	if !warned(1) {
		t.Error("not warned")
	}
}

func TestAMillionSequentialRequestsAreReadFromAHistogram(t *testing.T) {
	r := &reading{
		attack: span{fromNS: 1}, experiment: new(results.Experiment),
		requests: map[string]map[string]Number{results.RoleSequential: noRequests()},
	}
	for range exactBelow {
		if r.fromHistogram() {
			t.Fatal("too early")
		}
		r.takeSequential(&record.Line{Request: &record.Request{EndNS: 5, Outcome: record.OK}})
	}
	if !r.fromHistogram() {
		t.Error("all are kept")
	}
}

// analysed summarises a run directory.
func analysed(t *testing.T, dir string) *Summary {
	t.Helper()
	run, err := results.Open(dir)
	testkit.Must(t, err)
	s, _, err := Analyse(run)
	testkit.Must(t, err)
	return s
}
