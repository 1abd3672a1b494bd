package compare_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/compare"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// compared compares two runs at a threshold of 5 %, with the default metrics if none
// are given.
func compared(t *testing.T, base, fresh *synth, metrics ...string) *compare.Comparison {
	t.Helper()
	c, err := compare.Runs(t.Context(),
		compare.Options{Base: base.write(t), New: fresh.write(t), Threshold: 0.05, Metrics: metrics})
	testkit.Must(t, err)
	return c
}

// row returns the row of a metric of xdp-block.
func row(t *testing.T, c *compare.Comparison, metric string) compare.Row {
	t.Helper()
	at := slices.IndexFunc(c.Rows, func(r compare.Row) bool { return r.Metric == metric && r.Variant == "xdp-block" })
	if at < 0 {
		t.Fatalf("there is no row of %s", metric)
	}
	return c.Rows[at]
}

func TestComparisonIsAsKept(t *testing.T) {
	base, fresh := ordinary(1), ordinary(2)
	base.variants = append([]string{"no-block"}, base.variants...)
	fresh.variants = append(fresh.variants, "userspace-early")
	fresh.cpu, fresh.memory, fresh.duration, fresh.drop = 1.2, 0.8, 1.045, 1.001
	fresh.invalid = func(variant string, block int) bool { return variant == "xdp-block" && block == 3 }
	fresh.manifest = func(m *results.Manifest) {
		m.Version, m.Binaries = "v1.1.0", map[string]string{"equic-server": "cc", "equic-client": "bb"}
	}
	c := compared(t, base, fresh)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text.txt":        func(b *bytes.Buffer) error { return c.Text(b, 0) },
		"text-80.txt":     func(b *bytes.Buffer) error { return c.Text(b, 80) },
		"text-140.txt":    func(b *bytes.Buffer) error { return c.Text(b, 140) },
		"markdown.md":     func(b *bytes.Buffer) error { return c.Markdown(b) },
		"comparison.json": func(b *bytes.Buffer) error { return c.JSON(b) },
	} {
		var got bytes.Buffer
		testkit.Must(t, write(&got))
		golden.Check(t, name, got.Bytes())
	}
}

func TestEachStateFollowsFromTheTrials(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*synth)
		metric  string
		state   compare.State
		effect  compare.Effect
		reason  string
		verdict compare.Verdict
	}{
		{"the same figures are not changed", func(*synth) {}, "cpu", compare.NotChanged, "", "", compare.NoRegression},
		{
			"a fifth more CPU is worse", func(s *synth) { s.cpu = 1.2 }, "cpu", compare.Changed, compare.Worse, "",
			compare.Regression,
		},
		{
			"a fifth less CPU is better, and no regression", func(s *synth) { s.cpu = 0.8 }, "cpu", compare.Changed,
			compare.Better, "", compare.NoRegression,
		},
		{
			"one percent more is a difference, but not changed", func(s *synth) { s.cpu, s.scatter = 1.01, 0.001 }, "cpu",
			compare.NotChanged, "", "", compare.NoRegression,
		},
		{
			"a change just below the threshold is open", func(s *synth) { s.cpu = 1.045 }, "cpu", compare.Unsure, "",
			"as large as the threshold is open", compare.Undecided,
		},
		{
			"figures that scatter are unsure", func(s *synth) { s.scatter = 0.3 }, "cpu", compare.Unsure, "",
			"both zero change and the threshold", compare.Undecided,
		},
		{
			"one trial is too few", func(s *synth) { s.blocks, s.cpu = 1, 1.2 }, "cpu", compare.Unsure, "",
			"too few for a 95 % interval", compare.Undecided,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fresh := ordinary(2)
			tt.change(fresh)
			c := compared(t, ordinary(1), fresh, tt.metric)
			r := row(t, c, tt.metric)
			if r.State != tt.state || r.Effect != tt.effect || !strings.Contains(r.Reason, tt.reason) ||
				(r.Reason == "") != (tt.reason == "") {
				t.Errorf("%s %s, reason %q; want %s %s, %q (%+v)", r.State, r.Effect, r.Reason, tt.state, tt.effect, tt.reason, r)
			}
			if c.Verdict != tt.verdict {
				t.Errorf("verdict %q, want %q", c.Verdict, tt.verdict)
			}
		})
	}
}

// As in the paper, throughput is the only figure of which more is better.
func TestMoreThroughputIsBetterAndMoreOfAllElseIsWorse(t *testing.T) {
	for _, m := range analysis.ComparedMetrics() {
		if want := strings.HasPrefix(m.ID, "throughput"); (m.Better == analysis.Higher) != want {
			t.Errorf("%s: more is better: %v, want %v", m.ID, m.Better, want)
		}
	}
	fresh := ordinary(2)
	fresh.manifest = func(m *results.Manifest) { m.Experiment.Sequential.Requests = 900 } // a window twice as long
	c, err := compare.Runs(t.Context(), compare.Options{
		Base: ordinary(1).write(t), New: fresh.write(t), Threshold: 0.05,
		Metrics: []string{"throughput-mean"}, Force: true,
	})
	testkit.Must(t, err)
	if r := row(t, c, "throughput-mean"); r.Effect != compare.Worse || r.Change > -40 {
		t.Errorf("half the throughput is %q, %v %%, want worse", r.Effect, r.Change)
	}
}

func TestRunsOfOtherThingsAreRefusedUnlessForced(t *testing.T) {
	tests := map[string]struct {
		change func(*synth)
		says   string
	}{
		"another scenario file":             {func(s *synth) { s.manifest = func(m *results.Manifest) { m.ScenarioSHA256 = "4567" } }, "scenario file, SHA-256: 0123 in BASE, 4567 in NEW"},
		"another meaning of the same file":  {func(s *synth) { s.manifest = func(m *results.Manifest) { m.Experiment.Quota = 7 } }, "scenario, quota: 0 in BASE, 7 in NEW"},
		"another layout that is still read": {func(s *synth) { s.manifest = func(m *results.Manifest) { m.Schema = results.OldestSchema } }, "layout version: 4 in BASE, 1 in NEW"},
		"another kernel":                    {func(s *synth) { s.manifest = func(m *results.Manifest) { m.Machine.Kernel = "6.1" } }, "kernel: 6.18 in BASE, 6.1 in NEW"},
		"another CPU":                       {func(s *synth) { s.manifest = func(m *results.Manifest) { m.Machine.CPUModel = "Other" } }, "CPU model: Example CPU in BASE, Other in NEW"},
		"more CPUs":                         {func(s *synth) { s.manifest = func(m *results.Manifest) { m.Machine.CPUs = 64 } }, "number of CPUs: 2 in BASE, 64 in NEW"},
		"another governor":                  {func(s *synth) { s.manifest = func(m *results.Manifest) { m.Machine.Governor = "powersave" } }, "CPU frequency governor: none in BASE, powersave in NEW"},
		"another runtime":                   {func(s *synth) { s.manifest = func(m *results.Manifest) { m.Runtime.Name = "netns" } }, "runtime: docker in BASE, netns in NEW"},
		"another XDP mode in force": {func(s *synth) {
			s.trial = func(t *results.Trial) {
				if t.XDPMode != "" {
					t.XDPMode = "generic"
				}
			}
		}, "XDP mode in force, xdp-block: native in BASE, generic in NEW"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			base, fresh := ordinary(1), ordinary(2)
			base.blocks, fresh.blocks = 1, 1
			tt.change(fresh)
			o := compare.Options{Base: base.write(t), New: fresh.write(t), Threshold: 0.05}
			_, err := compare.Runs(t.Context(), o)
			if !errors.Is(err, compare.ErrIncomparable) || !strings.Contains(err.Error(), tt.says) ||
				!strings.Contains(err.Error(), "--force") {
				t.Errorf("error %v, want one that says %q and --force", err, tt.says)
			}
			o.Force = true
			c, err := compare.Runs(t.Context(), o)
			testkit.Must(t, err)
			if !slices.Equal(c.Forced, []string{tt.says}) {
				t.Errorf("the forced comparison says %q, want %q", c.Forced, tt.says)
			}
		})
	}
}

func TestRunsThatCannotBeReadSayWhich(t *testing.T) {
	good := ordinary(1).write(t)
	damaged := ordinary(2)
	damaged.manifest = func(m *results.Manifest) { m.Schema = 99 }
	never := ordinary(3)
	never.invalid = func(string, int) bool { return true }
	other := ordinary(4)
	other.variants = []string{"no-block"}
	search := ordinary(5)
	search.manifest = func(m *results.Manifest) { m.Experiment.Search = &results.Search{Repetitions: 1} }
	tests := map[string]struct {
		dir  string
		is   error
		says string
	}{
		"no run at all":        {t.TempDir(), results.ErrNoRun, "NEW: no run"},
		"another layout":       {damaged.write(t), compare.ErrIncomparable, "layout version 99"},
		"no valid trial":       {never.write(t), analysis.ErrNoTrials, "all 20 are invalid"},
		"the same run twice":   {good, compare.ErrIncomparable, "BASE and NEW are one run"},
		"a search":             {search.write(t), compare.ErrIncomparable, "is a search"},
		"no variant in common": {other.write(t), compare.ErrIncomparable, "no variant is in both"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := compare.Runs(t.Context(), compare.Options{Base: good, New: tt.dir, Threshold: 0.05})
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v that says %q", err, tt.is, tt.says)
			}
		})
	}
}

func TestAnInterruptionIsNotAnAnswer(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := compare.Runs(interrupted,
		compare.Options{Base: ordinary(1).write(t), New: ordinary(2).write(t), Threshold: 0.05})
	if !errors.Is(err, context.Canceled) || errors.Is(err, compare.ErrIncomparable) {
		t.Errorf("error %v, want %v only", err, context.Canceled)
	}
}

func TestAVariantThatLostItsTrialsIsUnsureAndNotDropped(t *testing.T) {
	fresh := ordinary(2)
	fresh.invalid = func(variant string, _ int) bool { return variant == "xdp-block" }
	c := compared(t, ordinary(1), fresh, "cpu")
	r := row(t, c, "cpu")
	if r.State != compare.Unsure || r.Reason != "NEW has no valid trial with a value" || c.Verdict != compare.Undecided {
		t.Errorf("%s, %q, verdict %s; want unsure, as NEW has no valid trial", r.State, r.Reason, c.Verdict)
	}
	if r.BaseTrials != 10 || r.NewTrials != 0 {
		t.Errorf("%d and %d trials, want 10 and none", r.BaseTrials, r.NewTrials)
	}
	if !slices.Contains(c.Notes, "NEW has 10 invalid of 20 trials, which are in no figure") {
		t.Errorf("notes %q do not tell of the invalid trials", c.Notes)
	}
}

func TestSecondArmsAreInNoFigure(t *testing.T) {
	fresh := ordinary(2)
	fresh.manifest = func(m *results.Manifest) { m.Experiment.Arms = []results.Arm{results.Again} }
	fresh.trial = func(trial *results.Trial) {
		if trial.Block > 6 {
			trial.Arm, trial.XDPMode = results.Again, "generic"
		}
	}
	c := compared(t, ordinary(1), fresh, "cpu")
	if r := row(t, c, "cpu"); r.NewTrials != 6 || c.New.Trials != 12 {
		t.Errorf("%d trials in the row and %d in the run, want 6 and 12: ten blocks of two variants, four of them of "+
			"another arm", r.NewTrials, c.New.Trials)
	}
	if !slices.Contains(c.Differs, "arms: [] in BASE, [again] in NEW") {
		t.Errorf("information %q does not tell of the arms", c.Differs)
	}
}

func TestBinariesOfBothRunsAreToldApart(t *testing.T) {
	tests := map[string]struct {
		fresh map[string]string
		says  string
	}{
		"the same program": {
			map[string]string{"equic-server": "aa", "equic-client": "bb"},
			"binaries: the same in both, so the program is not the cause of a change",
		},
		"another server": {
			map[string]string{"equic-server": "cc", "equic-client": "bb"}, "binaries that differ: equic-server",
		},
		"no digests": {nil, "binaries: not recorded in both"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			base, fresh := ordinary(1), ordinary(2)
			base.blocks, fresh.blocks = 1, 1
			fresh.manifest = func(m *results.Manifest) { m.Binaries = tt.fresh }
			if c := compared(t, base, fresh); c.Differs[0] != tt.says {
				t.Errorf("information %q, want %q first", c.Differs, tt.says)
			}
		})
	}
}

func TestMetricsAreChosenByName(t *testing.T) {
	dirs := compare.Options{Base: ordinary(1).write(t), New: ordinary(2).write(t), Threshold: 0.05}
	tests := []struct {
		name    string
		metrics []string
		rows    int
		says    string
	}{
		{"none are the default ones, each in two variants", nil, 14, ""},
		{"two in two variants are four rows", []string{"cpu", "memory-peak"}, 4, ""},
		{"all are all that have a value", []string{"all"}, 24, ""},
		{
			"an unknown one is refused",
			[]string{"cpu", "wattage"},
			0,
			`unknown metric "wattage"; use all, or some of throughput`,
		},
		{"one given twice is refused", []string{"cpu", "cpu"}, 0, "cpu is given twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := dirs
			o.Metrics = tt.metrics
			c, err := compare.Runs(t.Context(), o)
			if tt.says != "" {
				if !errors.Is(err, compare.ErrMetric) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v, want one that says %q", err, tt.says)
				}
				return
			}
			testkit.Must(t, err)
			if len(c.Rows) != tt.rows {
				t.Errorf("%d rows, want %d", len(c.Rows), tt.rows)
			}
		})
	}
}

func TestTooFewTrialsForAnyChangeAreSaid(t *testing.T) {
	tests := []struct {
		name   string
		blocks int
		says   string
	}{
		{
			"five trials cannot show a change in fourteen rows", 5,
			"any of 14 rows, however large: run 6 of each variant in both",
		},
		{"six can", 6, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base, fresh := ordinary(1), ordinary(2)
			base.blocks, fresh.blocks, fresh.cpu = tt.blocks, tt.blocks, 2
			c := compared(t, base, fresh)
			said := slices.ContainsFunc(c.Notes,
				func(n string) bool { return strings.Contains(n, tt.says) && strings.Contains(n, "too few") })
			if said != (tt.says != "") {
				t.Errorf("notes %q, want one that says %q", c.Notes, tt.says)
			}
			if got := row(t, c, "cpu").State == compare.Changed; got == said {
				t.Errorf("twice the CPU is called changed: %v, though too few trials: %v", got, said)
			}
		})
	}
}

func TestEachCellIsComparedByItsOwnVariants(t *testing.T) {
	cells := func(s *synth) *synth {
		s.manifest = func(m *results.Manifest) {
			drops, service := m.Experiment, m.Experiment
			drops.Variants, service.Variants = []string{"xdp-block"}, []string{"userspace-block"}
			m.Experiment = drops
			m.Cells = []results.Cell{{Name: "drops", Experiment: drops}, {Name: "service", Experiment: service}}
		}
		s.trial = func(trial *results.Trial) {
			trial.Cell = map[string]string{"xdp-block": "drops", "userspace-block": "service"}[trial.Variant]
		}
		return s
	}
	fresh := cells(ordinary(2))
	fresh.cpu = 1.2
	var got []string
	for _, r := range compared(t, cells(ordinary(1)), fresh, "cpu").Rows {
		got = append(got, r.Variant)
	}
	if want := []string{"drops-xdp-block", "service-userspace-block"}; !slices.Equal(got, want) {
		t.Errorf("rows of %q, want %q", got, want)
	}
}
