package results

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// writeRun makes a run with one whole trial and an incomplete one.
func writeRun(t *testing.T, root string) *Writer {
	t.Helper()
	w, err := Create(root, "demo", noon)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Must(t, w.WriteScenario([]byte("name: demo\n")))
	testkit.Must(t, w.WriteManifest(&Manifest{
		Schema: SchemaVersion, ID: w.ID, Started: noon, Ended: noon.Add(time.Minute), Scenario: "demo", Seed: 7,
		Command: []string{"equic-bench", "run", "demo.yaml"}, Version: "v1.2.3",
		Plan: []PlannedTrial{{Index: 1, Block: 1, Variant: "no-block"}, {Index: 2, Block: 1, Variant: "xdp-block"}},
	}))
	whole, err := w.BeginTrial(PlannedTrial{Index: 1, Block: 1, Variant: "no-block"}, 2)
	testkit.Must(t, err)
	f, err := whole.Create("server.jsonl")
	testkit.Must(t, err)
	testkit.Must(t, record.NewPrinter(f).Print(record.Line{Ready: &record.Ready{Node: "server", AtNS: -5}},
		record.Line{Server: &record.Server{Served: 3}}))
	testkit.Must(t, f.Close())
	testkit.Must(t, whole.Commit(&Trial{
		PlannedTrial: PlannedTrial{Index: 1, Block: 1, Variant: "no-block"}, Attempt: 2, Valid: true,
		Nodes: []Node{{Name: "server", Records: "server.jsonl"}},
	}))
	_, err = w.BeginTrial(PlannedTrial{Index: 2, Block: 1, Variant: "xdp-block"}, 1)
	testkit.Must(t, err)
	testkit.Must(t, w.Seal())
	return w
}

func TestARunReadsBackAsItWasWritten(t *testing.T) {
	root := t.TempDir()
	w := writeRun(t, root)
	if w.ID != "20260102T120000Z-demo" {
		t.Errorf("id %q", w.ID)
	}
	dir, err := Newest(root)
	testkit.Must(t, err)
	r, err := Open(dir)
	testkit.Must(t, err)
	if r.Manifest.Seed != 7 || len(r.Trials) != 1 {
		t.Fatalf("seed %d, %d trials; want 7 and the whole one alone", r.Manifest.Seed, len(r.Trials))
	}
	trial := r.Trials[0]
	if trial.Name() != "001-no-block-attempt-2" || !trial.Valid {
		t.Errorf("trial %q, valid %v", trial.Name(), trial.Valid)
	}
	var got []record.Line
	testkit.Must(t, r.Lines(trial, &trial.Nodes[0], func(l *record.Line) error { got = append(got, *l); return nil }))
	want := []record.Line{{Ready: &record.Ready{Node: "server", AtNS: -5}}, {Server: &record.Server{Served: 3}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestARunThatGoesOnLosesWhatWasHalfWritten(t *testing.T) {
	w := writeRun(t, t.TempDir())
	half := filepath.Join(w.Dir, temporary+"123")
	testkit.Must(t, os.WriteFile(half, nil, 0o600))
	r, err := Open(w.Dir)
	testkit.Must(t, err)
	_, err = Reopen(r)
	testkit.Must(t, err)
	for _, gone := range []string{
		half, filepath.Join(w.Dir, TrialsDir, partial+"002-xdp-block"),
		filepath.Join(w.Dir, CrateFile), filepath.Join(w.Dir, ChecksumsFile),
	} {
		if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", gone, err)
		}
	}
	if _, err := os.Stat(filepath.Join(w.Dir, TrialsDir, "001-no-block-attempt-2", TrialFile)); err != nil {
		t.Errorf("the whole trial: %v, want it kept", err)
	}
}

func TestChecksumsCoverTheRawFilesAndNotTheReport(t *testing.T) {
	w := writeRun(t, t.TempDir())
	testkit.Must(t, os.Mkdir(filepath.Join(w.Dir, ReportDir), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(w.Dir, ReportDir, "report.md"), []byte("x"), 0o600))
	testkit.Must(t, w.Seal())
	text, err := os.ReadFile(filepath.Join(w.Dir, ChecksumsFile))
	testkit.Must(t, err)
	var names []string
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got, err := FileSHA256(filepath.Join(w.Dir, name)); err != nil || got != sum {
			t.Errorf("%s: sum %s, file %s, %v", name, sum, got, err)
		}
		names = append(names, name)
	}
	want := []string{
		"manifest.json", "ro-crate-metadata.json", "scenario.yaml",
		"trials/001-no-block-attempt-2/server.jsonl", "trials/001-no-block-attempt-2/trial.json",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTwoRunsOfOneSecondHaveTwoFolders(t *testing.T) {
	root := t.TempDir()
	first, err := Create(root, "demo", noon)
	testkit.Must(t, err)
	second, err := Create(root, "demo", noon)
	testkit.Must(t, err)
	if first.Dir == second.Dir || second.ID != first.ID+"-2" {
		t.Errorf("%q and %q", first.ID, second.ID)
	}
}

func TestARunOfAnotherLayoutIsRefused(t *testing.T) {
	w, err := Create(t.TempDir(), "demo", noon)
	testkit.Must(t, err)
	testkit.Must(t, w.WriteManifest(&Manifest{Schema: SchemaVersion + 1}))
	if _, err := Open(w.Dir); err == nil || !strings.Contains(err.Error(), "layout version 5") {
		t.Errorf("got %v", err)
	}
}

func TestNoRunIsAnErrorThatSaysWhatToDo(t *testing.T) {
	_, err := Newest(filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "equic-bench run") {
		t.Errorf("got %v", err)
	}
}

func TestScheduledNS(t *testing.T) {
	if got := (Load{Requests: 1000, RatePerSecond: 10}).ScheduledNS(); got != 100e9 {
		t.Errorf("1000 requests at 10/s last %d ns", got)
	}
	if got := (Load{Requests: 1000}).ScheduledNS(); got != 0 {
		t.Errorf("a closed loop has a schedule of %d ns", got)
	}
}

func TestTheNewestRunIsOneThatCreateNamed(t *testing.T) {
	root := t.TempDir()
	ours := writeRun(t, root).Dir
	testkit.Must(t, os.CopyFS(filepath.Join(root, "published"), os.DirFS(ours)))
	if got, err := Newest(root); got != ours || err != nil {
		t.Errorf("%s, %v; want %s", got, err, ours)
	}
	testkit.Must(t, os.RemoveAll(ours))
	if got, err := Newest(root); got != filepath.Join(root, "published") || err != nil {
		t.Errorf("%s, %v; want the only one", got, err)
	}
}
