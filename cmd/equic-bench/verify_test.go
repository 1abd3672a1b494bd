package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// smallRun makes a sealed run of one short trial, generated and not measured, and a
// folder with the program that it names. The trial is valid by its records; change may
// record something else.
func smallRun(t *testing.T, change ...func(*results.Trial)) (run, bin string) {
	t.Helper()
	bin = t.TempDir()
	program := []byte("a program")
	testkit.Must(t, os.WriteFile(filepath.Join(bin, "equic-server"), program, 0o600))
	w, err := results.Create(t.TempDir(), "small", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	testkit.Must(t, err)
	scenario := []byte("name: small\n")
	planned := results.PlannedTrial{Index: 1, Block: 1, Variant: "no-block"}
	manifest := &results.Manifest{
		Schema: results.SchemaVersion, ID: w.ID, Ended: time.Unix(1, 0), Scenario: "small", ScenarioSHA256: sha(scenario),
		Plan: []results.PlannedTrial{planned}, Binaries: map[string]string{"equic-server": sha(program)}, Version: "v1",
		Experiment: results.Experiment{
			Variants: []string{"no-block"}, ServerCPUs: []int{0},
			Sequential: results.Load{Clients: 1, Requests: 20, RatePerSecond: 10},
		},
	}
	testkit.Must(t, w.WriteScenario(scenario))
	testkit.Must(t, w.WriteManifest(manifest))
	tw, err := w.BeginTrial(planned, 1)
	testkit.Must(t, err)
	trial := &results.Trial{PlannedTrial: planned, Attempt: 1}
	ends := []results.NodeEnd{results.EndedAsked, results.EndedItself}
	for i, role := range []string{results.RoleServer, results.RoleSequential} {
		lines := nodeLines(role)
		f, err := tw.Create(role + ".jsonl")
		testkit.Must(t, err)
		testkit.Must(t, errors.Join(record.NewPrinter(f).Print(lines...), f.Close()))
		trial.Nodes = append(trial.Nodes,
			results.Node{Name: role, Role: role, Ended: ends[i], Records: role + ".jsonl", Lines: len(lines)})
	}
	verdict, err := validity.Judge(manifest, trial, func(n *results.Node, yield func(*record.Line) error) error {
		f, err := os.Open(tw.Path(n.Records))
		testkit.Must(t, err)
		defer f.Close()
		return record.ReadLines(f, n.Name, yield)
	})
	testkit.Must(t, err)
	trial.Valid, trial.Checks = verdict.Valid(), verdict.Checks
	if !trial.Valid {
		t.Fatalf("the run is not valid: %+v", trial.Checks)
	}
	for _, c := range change {
		c(trial)
	}
	testkit.Must(t, tw.Commit(trial))
	testkit.Must(t, w.Seal())
	return w.Dir, bin
}

func sha(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func nodeLines(role string) []record.Line {
	lines := []record.Line{{Ready: &record.Ready{Node: role, AtNS: -1}}}
	for i := range 20 {
		at := int64(i) * 1e8
		lines = append(lines, record.Line{Sample: &record.Sample{AtNS: at, CPUNS: at / 5, RSSBytes: 1 << 24}})
		if role == results.RoleSequential {
			lines = append(lines, record.Line{Request: &record.Request{
				Seq: i, ScheduledNS: at, StartNS: at, EndNS: 1e7,
				Outcome: record.OK,
			}})
		}
	}
	if role == results.RoleSequential {
		lines = append(lines, record.Line{Client: &record.Client{Requests: 20}})
	} else {
		lines = append(lines, record.Line{Connection: &record.Connection{Served: 20}}, record.Line{Server: &record.Server{}})
	}
	return append(lines, record.Line{Probe: &record.Probe{CPUs: []int{0}, Samples: 20}})
}

// command runs the program.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, progress bytes.Buffer
	code = run(t.Context(), nil, args, &out, &progress)
	return code, out.String(), progress.String()
}

func TestVerifyOfAWholeRun(t *testing.T) {
	dir, bin := smallRun(t)
	code, out, _ := command(t, "verify", dir)
	if code != exitFine || !strings.Contains(out, "not checked report          not drawn") ||
		!strings.HasSuffix(out, "\nverified: "+dir+"\n") {
		t.Errorf("without a report: exit code %d\n%s", code, out)
	}
	if code, _, stderr := command(t, "report", dir); code != exitFine {
		t.Fatal(stderr)
	}
	code, out, stderr := command(t, "verify", dir, "--bin", bin)
	if lines := strings.Count(out, "\nok "); code != exitFine || lines != 9 || stderr != "" ||
		strings.Contains(out, "not checked") {
		t.Errorf("exit code %d, standard error %q\n%s", code, stderr, out)
	}
}

// Covers raw files, report and checksums alike. A bit is flipped near the end of each
// file; verify names the file and exits 4.
func TestVerifyNamesTheChangedFile(t *testing.T) {
	testkit.Slow(t, "draws a report for each file of a run")
	t.Parallel()
	dir, _ := smallRun(t)
	if code, _, stderr := command(t, "report", dir); code != exitFine {
		t.Fatal(stderr)
	}
	files := readTree(t, dir)
	if len(files) < 19 { // 5 raw files, and at least 14 of the report
		t.Errorf("only %d files", len(files))
	}
	for name, whole := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := filepath.Join(t.TempDir(), "run")
			testkit.Must(t, os.CopyFS(of, os.DirFS(dir)))
			whole[len(whole)-2] ^= 1
			testkit.Must(t, os.WriteFile(filepath.Join(of, name), whole, 0o600))
			if code, out, stderr := command(t, "verify", of); code != exitTrial || !strings.Contains(out, name) ||
				!strings.Contains(stderr, "not verified: "+of) {
				t.Errorf("exit code %d\n%s%s", code, out, stderr)
			}
		})
	}
}

// A verdict that was changed before the run was sealed: no checksum shows it. A packed
// run is judged in the same way.
func TestVerifyNamesARecordedVerdictThatTheRulesDoNotGive(t *testing.T) {
	dir, _ := smallRun(t, func(trial *results.Trial) {
		i := slices.IndexFunc(trial.Checks, func(c results.Check) bool { return c.Rule == validity.RuleQuota })
		trial.Checks[i].OK, trial.Valid = false, false
	})
	packed := filepath.Join(t.TempDir(), "packed")
	if code, _, stderr := command(t, "pack", dir, packed); code != exitTrial || !strings.Contains(stderr, "verdicts") {
		t.Errorf("pack: exit code %d\n%s", code, stderr)
	}
	run, err := results.Open(dir)
	testkit.Must(t, err)
	testkit.Must(t, results.Pack(t.Context(), run, packed))
	for _, of := range []string{dir, packed} {
		code, out, stderr := command(t, "verify", of)
		if code != exitTrial || !strings.HasSuffix(strings.TrimSpace(stderr), "not verified: "+of+": verdicts") ||
			!strings.Contains(out, "/001-no-block: quota-held: recorded not ok, judged ok: at most 0 connections") {
			t.Errorf("exit code %d\n%s%s", code, out, stderr)
		}
	}
}

func TestVerifyAsJSONNamesEveryFileAtFault(t *testing.T) {
	dir, _ := smallRun(t)
	for i := range mostFaults + 5 {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i))), nil, 0o600))
	}
	_, out, _ := command(t, "verify", dir)
	if !strings.Contains(out, "... and 5 more; --json names all") {
		t.Errorf("text:\n%s", out)
	}
	code, out, _ := command(t, "verify", dir, "--json")
	var got struct {
		Run      string
		Verified bool
		Checks   []results.Finding
	}
	testkit.Must(t, json.Unmarshal([]byte(out), &got))
	faults := 0
	for _, f := range got.Checks {
		faults += len(f.Faults)
	}
	if code != exitTrial || got.Verified || got.Run != dir || len(got.Checks) != 10 || faults != mostFaults+5 {
		t.Errorf("exit code %d, %d faults: %s", code, faults, out)
	}
}

func TestVerifyOfBinaries(t *testing.T) {
	dir, bin := smallRun(t)
	testkit.Must(t, os.WriteFile(filepath.Join(bin, "equic-server"), []byte("another"), 0o600))
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"those that are not beside this program are not checked": {nil, exitFine, "not checked binaries"},
		"others in the folder that was named are a failure":      {[]string{"--bin", bin}, exitTrial, "FAILED      binaries"},
		"none in the folder that was named are one, too": {
			[]string{"--bin", t.TempDir()},
			exitTrial,
			"FAILED      binaries",
		},
		"a folder that is not there is wrong usage": {
			[]string{"--bin", filepath.Join(bin, "none")},
			exitUsage,
			"",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if code, out, _ := command(t, append([]string{"verify", dir}, tt.args...)...); code != tt.code ||
				!strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, want %d and %q\n%s", code, tt.code, tt.says, out)
			}
		})
	}
}

func TestVerifyOfWhatIsNoRunIsWrongUsage(t *testing.T) {
	if code, out, stderr := command(t, "verify", t.TempDir()); code != exitUsage || out != "" ||
		!strings.Contains(stderr, "neither manifest.json nor SHA256SUMS") {
		t.Errorf("exit code %d, %q, %q", code, out, stderr)
	}
}

func TestReportPrintsInTheFormatThatWasAskedFor(t *testing.T) {
	testkit.Slow(t, "draws a report four times")
	t.Parallel()
	dir, _ := smallRun(t)
	_, out, _ := command(t, "report", dir, "--json")
	want, err := os.ReadFile(filepath.Join(dir, results.ReportDir, "summary.json"))
	testkit.Must(t, err)
	if out != string(want) {
		t.Errorf("not summary.json:\n%s", out)
	}
	if _, out, _ := command(t, "report", dir, "--format", "gobench"); !strings.Contains(out,
		"\nBenchmarkTrial/variant=no-block 1 10 requests/s ") {
		t.Errorf("gobench:\n%s", out)
	}
	_, plain, _ := command(t, "report", dir)
	if _, out, _ := command(t, "report", dir, "--format", "text"); out != plain ||
		!strings.Contains(out, "requests/s") || strings.Contains(out, "Figures by variant") {
		t.Errorf("text:\n%s", out)
	}
	if _, out, _ := command(t, "report", dir, "--all"); !strings.Contains(out, "Figures by variant") {
		t.Errorf("every table:\n%s", out)
	}
	for _, wrong := range [][]string{{"--format", "html"}, {"--json", "--format", "gobench"}, {"--all", "--json"}} {
		if code, _, stderr := command(t, append([]string{"report", dir}, wrong...)...); code != exitUsage ||
			!strings.Contains(stderr, "--help") {
			t.Errorf("%v: exit code %d, %s", wrong, code, stderr)
		}
	}
}
