package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/figures"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

// write reports on a run that must have valid trials.
func write(t *testing.T, dir string) *analysis.Report {
	t.Helper()
	s, err := Write(t.Context(), dir, Options{})
	testkit.Must(t, err)
	return s
}

func reported(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, results.ReportDir, name))
	testkit.Must(t, err)
	return text
}

func TestReportOfASyntheticRunIsAsKept(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	s := write(t, dir)
	var text bytes.Buffer
	testkit.Must(t, tables.Text(&text, s, 0))
	got := map[string][]byte{"text.txt": text.Bytes()}
	for _, name := range []string{
		"summary.json", "report.md", "figure-claims.csv", "figure-3.csv", "figure-4.csv",
		"figure-5.csv", "figure-6.csv", "figure-recovery.csv", "figure-block-time.csv", "figure-latency.csv",
	} {
		got[name] = reported(t, dir, name)
	}
	golden.CheckAll(t, "synthetic", got)
}

func TestReportIsByteIdenticalWhenWrittenTwice(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	all := func() map[string][]byte {
		write(t, dir)
		entries, err := os.ReadDir(filepath.Join(dir, results.ReportDir))
		testkit.Must(t, err)
		files := map[string][]byte{}
		for _, e := range entries {
			files[e.Name()] = reported(t, dir, e.Name())
		}
		return files
	}
	first, second := all(), all()
	if len(first) != 35 { // eight figures in four formats, summary.json, report.md, report.html
		t.Errorf("the report has %d files, want 35", len(first))
	}
	for name := range first {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s differs the second time", name)
		}
	}
	if len(first) != len(second) {
		t.Errorf("%d files, then %d", len(first), len(second))
	}
}

func TestReportReplacesAnOldOneWhole(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	stale := filepath.Join(dir, results.ReportDir, "figure-9.svg")
	testkit.Must(t, os.MkdirAll(filepath.Dir(stale), 0o755))
	testkit.Must(t, os.WriteFile(stale, nil, 0o644))
	write(t, dir)
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a stale figure is still there: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".report-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The public code of the paper also draws the CPU samples as memory.
func TestMemoryDistributionIsOfMemory(t *testing.T) {
	s := synth.OneBlock()
	const resident = 64 << 20
	for i := range s.Trials {
		s.Trials[i].Server = func(line *record.Line) {
			if line.Sample != nil {
				line.Sample.RSSBytes = resident
			}
		}
	}
	dir := s.Write(t)
	write(t, dir)
	rows, err := csv.NewReader(bytes.NewReader(reported(t, dir, "figure-6.csv"))).ReadAll()
	testkit.Must(t, err)
	memory, cpu := map[string]bool{}, map[string]bool{}
	for _, row := range rows[1:] {
		if row[3] == "published" {
			continue
		}
		if row[1] == "memory" {
			memory[row[5]] = true
		} else {
			cpu[row[5]] = true
		}
	}
	if want := map[string]bool{"64": true}; !cmp.Equal(memory, want) {
		t.Errorf("memory values in the figure: %v, want 64 MiB only", memory)
	}
	if len(cpu) < 100 {
		t.Errorf("only %d distinct CPU values in the figure", len(cpu))
	}
}

func TestEmptySecondIsKept(t *testing.T) {
	s := synth.OneBlock()
	s.Trials[1].Request = func(role string, q *record.Request) {
		if at := q.StartNS + q.EndNS; role == results.RoleSequential && at >= 20*synth.Second && at < 25*synth.Second {
			q.Outcome = record.Failed
		}
	}
	sum := summarise(t, s.Write(t))
	got := sum.Variants[1].Throughput
	if got.Harmonic != 0 || got.Min != 0 || got.ZeroBins != 5 {
		t.Errorf("harmonic %v, min %v, empty bins %v; want 0, 0 and 5", got.Harmonic, got.Min, got.ZeroBins)
	}
	if !(got.Paper > 20) || got.PaperZeroBins != 1 {
		t.Errorf("paper's estimator %v over bins of which %v are empty; want above 20, and 1", got.Paper, got.PaperZeroBins)
	}
	claim := sum.Claims[0]
	want := 100 * (sum.Variants[2].Throughput.Paper/got.Paper - 1)
	if math.Abs(float64(claim.Measured-want)) > 1e-9 || !strings.Contains(claim.Caveat, "is judged instead") {
		t.Errorf("claim on throughput, want a change of %v: %+v", want, claim)
	}
}

func TestInvalidTrialIsListedAndNeverAveraged(t *testing.T) {
	clean := summarise(t, synth.OneBlock().Write(t))
	s := synth.OneBlock()
	s.Trials = append(s.Trials, synth.Trial{
		Variant: "xdp-block", Block: 2, Invalid: "sequential-2 was ready 0.3 s late",
		Request: func(_ string, q *record.Request) { q.EndNS *= 1000 },
	})
	dir := s.Write(t)
	sum := write(t, dir)
	want, err := json.Marshal(clean.Variants)
	testkit.Must(t, err)
	got, err := json.Marshal(sum.Variants)
	testkit.Must(t, err)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the invalid trial changed the figures:\n%s", diff)
	}
	if last := sum.Trials[3]; last.Valid || len(last.Reasons) != 1 || !strings.Contains(last.Reasons[0], "0.3 s late") {
		t.Errorf("the invalid trial is listed as %+v", last)
	}
	if !bytes.Contains(reported(t, dir, "report.md"), []byte("0.3 s late")) {
		t.Error("report.md does not say why the trial is invalid")
	}
}

func TestClaimsWithoutAVariantAreNotRun(t *testing.T) {
	s := synth.OneBlock()
	s.Trials[2].Invalid = "the server was throttled"
	sum := summarise(t, s.Write(t))
	for _, c := range sum.Claims {
		if c.Experiment != "mixed" || c.With != "xdp-block" {
			continue
		}
		if c.Verdict != analysis.NotRun || c.Reason != "no valid trial of xdp-block" || !math.IsNaN(float64(c.Measured)) {
			t.Errorf("%s: %s, measured %v, because %s", c.ID, c.Verdict, c.Measured, c.Reason)
		}
	}
	if v := sum.Variants[2]; v.Trials != 0 || v.Metrics != nil {
		t.Errorf("xdp-block has figures: %+v", v)
	}
}

func TestRunWithNothingToReportIsAnError(t *testing.T) {
	empty := synth.OneBlock()
	empty.Trials = nil
	bad := synth.OneBlock()
	for i := range bad.Trials {
		bad.Trials[i].Invalid = "the server died"
	}
	tests := []struct {
		name string
		run  *synth.Run
		says string
	}{
		{"a run without trials", empty, "no whole trial at all"},
		{"a run of invalid trials only", bad, "the server died"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.run.Write(t)
			_, err := Write(t.Context(), dir, Options{})
			if !errors.Is(err, analysis.ErrNoTrials) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
			if _, err := os.Stat(filepath.Join(dir, results.ReportDir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a report was left: %v", err)
			}
		})
	}
	t.Run("no run at all", func(t *testing.T) {
		if _, err := Write(t.Context(), t.TempDir(), Options{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v, want that the manifest does not exist", err)
		}
	})
}

func TestBrokenRecordIsAnErrorThatNamesItsLine(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	path := filepath.Join(dir, results.TrialsDir, "002-userspace-block", "sequential-3.jsonl")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	testkit.Must(t, err)
	_, err = f.WriteString("{\"request\":\n")
	testkit.Must(t, errors.Join(err, f.Close()))
	_, err = Write(t.Context(), dir, Options{})
	if err == nil || !strings.Contains(err.Error(), "sequential-3.jsonl:502") {
		t.Errorf("error %v, want one that names sequential-3.jsonl:502", err)
	}
}

func TestVariantIsTheMedianOfItsTrials(t *testing.T) {
	s := synth.OneBlock()
	s.Experiment.Variants = []string{"xdp-block"}
	s.Trials = nil
	for i, rss := range []int64{30, 10, 20} {
		s.Trials = append(s.Trials, synth.Trial{Variant: "xdp-block", Block: i + 1, Server: func(line *record.Line) {
			if line.Sample != nil {
				line.Sample.RSSBytes = rss << 20
			}
		}})
	}
	sum := summarise(t, s.Write(t))
	v := sum.Variants[0]
	if v.Trials != 3 || v.MemoryBytes.P90 != 20<<20 || v.Note != "median of 3 trials, too few for a 95 % interval" {
		t.Errorf("%d trials, memory %v, note %q", v.Trials, v.MemoryBytes.P90, v.Note)
	}
}

func TestClosedLoopWithoutAttack(t *testing.T) {
	s := synth.OneBlock()
	s.Experiment.Sequential.RatePerSecond = 0
	s.Experiment.Parallel = results.Load{}
	sum := summarise(t, s.Write(t))
	v := sum.Variants[0]
	// 500 requests of about 9 ms each: a window of slightly over 4 s.
	if v.Throughput.ZeroBins != 0 || !(v.Throughput.Harmonic > 400 && v.Throughput.Harmonic < 480) {
		t.Errorf("throughput %+v", v.Throughput)
	}
	if !math.IsNaN(float64(v.Recovery.OnsetS)) || v.Duration.During.Count != 0 || v.Duration.Before.Count != 2000 {
		t.Errorf("there was no attack, yet recovery is %v and %v requests were during it", v.Recovery.OnsetS,
			v.Duration.During.Count)
	}
}

func TestWithoutMemoryLimitThereIsNoPercentage(t *testing.T) {
	s := synth.OneBlock()
	s.Experiment.ServerMemoryBytes = 0
	dir := s.Write(t)
	v := write(t, dir).Variants[2]
	if !math.IsNaN(float64(v.Memory.P90)) || v.MemoryBytes.P90 != 45<<20 {
		t.Errorf("memory %v %%, %v bytes; want none and 45 MiB", v.Memory.P90, v.MemoryBytes.P90)
	}
	if !bytes.Contains(reported(t, dir, "figure-6.csv"), []byte("memory,MiB,all trials,1,45\n")) {
		t.Error("figure 6 does not show memory in MiB")
	}
}

// Every value of the synthetic run below can be calculated by hand.
func TestFiguresThatCanBeWorkedOutByHand(t *testing.T) {
	s := synth.OneBlock()
	flat := func(role string, q *record.Request) {
		q.StartNS, q.EndNS = q.ScheduledNS, 10e6
		if role == results.RoleSequential && q.ScheduledNS >= 20*synth.Second && q.ScheduledNS < 23*synth.Second {
			q.Outcome = record.Timeout
		}
	}
	for i := range s.Trials {
		s.Trials[i].Request = flat
	}
	v := summarise(t, s.Write(t)).Variants[1]
	// 50 bins of 40 requests, three of them empty.
	checks := map[string][2]analysis.Number{
		"harmonic":                       {v.Throughput.Harmonic, 0},
		"arithmetic":                     {v.Throughput.Arithmetic, 40 * 47.0 / 50},
		"paper: 9 bins of 40, one of 16": {v.Throughput.Paper, 10 / (9.0/40 + 1.0/16)},
		"median before":                  {v.Throughput.MedianBefore, 40},
		"response p99":                   {v.Duration.P99, 10},
		"during":                         {v.Duration.During.Count, 5 * 40},
		"before":                         {v.Duration.Before.Count, 15 * 40},
		"scheduled":                      {v.Attack.ScheduledRPS, 200},
		"achieved":                       {v.Attack.AchievedRPS, 200},
		"recovery":                       {v.Recovery.OnsetS, 0},
		"seconds below":                  {v.Recovery.BelowS, 3},
		"calls per offered":              {v.Syscalls.PerOffered, 51999.0 / 3200},
		"calls per admitted":             {v.Syscalls.PerAdmitted, 51999.0 / 2000},
		"refused":                        {v.Requests["parallel"]["refused"], 4 * 295},
		"timeouts":                       {v.Requests["sequential"]["timeout"], 120},
		"turned away":                    {v.BlockTime.TurnedAway, 4 * 295},
	}
	for what, c := range checks {
		if math.Abs(float64(c[0]-c[1])) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, float64(c[0]), float64(c[1]))
		}
	}
}

func TestSummaryJSONHasNullsAndNoNaN(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	write(t, dir)
	var back map[string]any
	testkit.Must(t, json.Unmarshal(reported(t, dir, "summary.json"), &back))
	for i, v := range back["variants"].([]any) {
		v := v.(map[string]any)
		for _, key := range []string{
			"throughput_rps", "duration_ms", "block_time_us", "block_time", "cpu_percent", "memory_percent", "syscalls",
			"requests",
		} {
			if _, ok := v[key]; !ok {
				t.Errorf("variant %d has no %s", i, key)
			}
		}
		if isNull := v["block_time_us"] == nil; isNull != (v["name"] == "no-block") {
			t.Errorf("%s: block_time_us is %v", v["name"], v["block_time_us"])
		}
	}
	var summary analysis.Summary
	testkit.Must(t, json.Unmarshal(reported(t, dir, "summary.json"), &summary))
	if got := summary.Variants[2].BlockTimeUS.String(); got != strconv.FormatFloat(0.0825, 'f', -1, 64) {
		t.Errorf("xdp-block takes %s us, want 0.0825", got)
	}
}

// summarise summarises a run directory and judges the claims by it.
func summarise(t *testing.T, dir string) *analysis.Report {
	t.Helper()
	run, err := results.Open(dir)
	testkit.Must(t, err)
	s, err := claims.Read(run)
	testkit.Must(t, err)
	return s
}

func TestAVariantThatIsUnknownIsAnError(t *testing.T) {
	run := synth.OneBlock()
	run.Experiment.Variants = append(run.Experiment.Variants, "no-such-block")
	_, err := Write(t.Context(), run.Write(t), Options{})
	if err == nil || !strings.Contains(err.Error(), `unknown variant "no-such-block"`) ||
		!strings.Contains(err.Error(), "xdp-block-new") {
		t.Errorf("error %v, want one that names the variant and those that are known", err)
	}
}

func TestAnAttackThatIsWeakerThanAskedForIsMarkedEverywhere(t *testing.T) {
	run := synth.TwoLoads()
	for i := range run.Cells {
		attack := &run.Cells[i].Experiment.Parallel
		attack.Strength, attack.Reached = 2, 1.3
	}
	dir := run.Write(t)
	s := write(t, dir)
	text := string(reported(t, dir, "report.md"))
	if want := "the clients can start 1.3 times what the server serves, and the scenario asks for 2 times."; !strings.Contains(text, want) {
		t.Errorf("report.md does not say: %s", want)
	}
	for line := range strings.Lines(text) {
		cell := strings.HasPrefix(line, "## mixed") || strings.HasPrefix(line, "## parallel")
		if cell && !strings.Contains(line, "attack at 1.3x, not 2x: ") {
			t.Errorf("no mark in: %s", line)
		}
	}
	for _, f := range figures.All(s) {
		if svg := string(reported(t, dir, f.Name+".svg")); !strings.Contains(svg, "attack at 1.3x the capacity, not 2x") {
			t.Errorf("no mark in %s", f.Name)
		}
	}
}
