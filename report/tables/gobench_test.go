package tables

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"golang.org/x/perf/benchfmt"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

// benchmarks reads Go benchmark text as benchstat does; every line must be valid.
func benchmarks(t *testing.T, text []byte) ([]*benchfmt.Result, benchfmt.UnitMetadataMap) {
	t.Helper()
	r := benchfmt.NewReader(bytes.NewReader(text), "trials")
	var all []*benchfmt.Result
	for r.Scan() {
		switch record := r.Result().(type) {
		case *benchfmt.Result:
			all = append(all, record.Clone())
		case *benchfmt.SyntaxError:
			t.Error(record)
		}
	}
	testkit.Must(t, r.Err())
	return all, r.Units()
}

func goBench(t *testing.T, s *synth.Run) []byte {
	t.Helper()
	var b bytes.Buffer
	testkit.Must(t, GoBench(&b, judged(t, s.Write(t))))
	return b.Bytes()
}

func TestBenchstatReadsEachValidTrial(t *testing.T) {
	s := synth.OneBlock()
	s.Trials = append(s.Trials,
		synth.Trial{Variant: "xdp-block", Block: 2},
		synth.Trial{Variant: "no-block", Block: 2, Invalid: "the server was throttled"})
	text := goBench(t, s)
	golden.CheckAll(t, "synthetic", map[string][]byte{"gobench.txt": text})
	all, units := benchmarks(t, text)
	var names []string
	for _, r := range all {
		names = append(names, r.Name.String())
		if r.Iters != 1 || r.GetConfig("goos") != "linux" || r.GetConfig("kernel") != "6.18" ||
			r.GetConfig("scenario") != "synthetic" {
			t.Errorf("%s: %d iterations, configuration %v", r.Name, r.Iters, r.Config)
		}
		if r.GetConfig("version") != "" {
			t.Error("runs of two versions could not be compared")
		}
	}
	want := []string{
		"Trial/variant=no-block", "Trial/variant=userspace-block", "Trial/variant=xdp-block", "Trial/variant=xdp-block",
	}
	if !slices.Equal(names, want) {
		t.Errorf("trials %q, want %q", names, want)
	}
	for _, m := range benchMetrics() {
		if got := units.GetBetter(m.Bench); got == 0 {
			t.Errorf("%s: benchstat does not know what is better", m.Bench)
		}
	}
	if units.GetBetter("requests/s") != 1 || units.GetBetter("p99-response-sec") != -1 {
		t.Error("more throughput is not better, or more time is")
	}
}

func TestBenchmarkValuesAreThoseOfTheTrial(t *testing.T) {
	s := synth.OneBlock()
	sum := judged(t, s.Write(t))
	all, _ := benchmarks(t, goBench(t, s))
	for i, r := range all {
		m := sum.Variants[i].TrialMetrics[0]
		for unit, want := range map[string]analysis.Number{
			"requests/s": m.Throughput.Harmonic, "p50-response-sec": m.Duration.P50 / 1000,
			"block-sec": m.BlockTimeUS / 1e6, "peak-RSS-B": m.MemoryBytes.Peak,
		} {
			got, has := r.Value(unit)
			if has != want.Known() {
				t.Errorf("%s %s: there %v, measured %v", r.Name, unit, has, want.Known())
			}
			if has && math.Abs(got-float64(want)) > 1e-5*float64(want) {
				t.Errorf("%s %s: %v, want %v", r.Name, unit, got, float64(want))
			}
		}
	}
}

func TestWhatWasNotMeasuredIsNoBenchmarkValue(t *testing.T) {
	s := synth.OneBlock()
	s.Experiment.Parallel = results.Load{}
	all, _ := benchmarks(t, goBench(t, s))
	for _, r := range all {
		for _, unit := range []string{"recovery-sec", "p50-response-in-attack-sec", "syscalls-in-attack/s"} {
			if v, has := r.Value(unit); has {
				t.Errorf("%s without an attack: %v %s", r.Name, v, unit)
			}
		}
		if _, has := r.Value("requests/s"); !has {
			t.Errorf("%s has no throughput", r.Name)
		}
	}
}

func TestBenchmarkTextThatCannotBeWrittenIsAnError(t *testing.T) {
	if err := GoBench(brokenPipe{}, judged(t, synth.OneBlock().Write(t))); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

var errBroken = errors.New("broken pipe")

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

// judged reads a run directory and judges the claims by it.
func judged(t *testing.T, dir string) *analysis.Report {
	t.Helper()
	run, err := results.Open(dir)
	testkit.Must(t, err)
	s, err := claims.Read(run)
	testkit.Must(t, err)
	return s
}
