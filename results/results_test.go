package results

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// writeRun makes a run with one whole trial and one that was left half done.
func writeRun(t *testing.T, root string) *Writer {
	t.Helper()
	w, err := Create(root, "demo", noon)
	if err != nil {
		t.Fatal(err)
	}
	must(t, w.WriteScenario([]byte("name: demo\n")))
	must(t, w.WriteManifest(&Manifest{
		Schema: SchemaVersion, ID: w.ID, Started: noon, Ended: noon.Add(time.Minute), Scenario: "demo", Seed: 7,
		Command: []string{"equic-bench", "run", "demo.yaml"}, Version: "v1.2.3",
		Plan: []PlannedTrial{{Index: 1, Block: 1, Variant: "no-block"}, {Index: 2, Block: 1, Variant: "xdp-block"}},
	}))
	whole, err := w.BeginTrial(PlannedTrial{Index: 1, Block: 1, Variant: "no-block"}, 2)
	must(t, err)
	f, err := whole.Create("server.jsonl")
	must(t, err)
	must(t, NewPrinter(f).Print(Line{Ready: &Ready{Node: "server", AtNS: -5}}, Line{Server: &Server{Served: 3}}))
	must(t, f.Close())
	must(t, whole.Commit(&Trial{
		PlannedTrial: PlannedTrial{Index: 1, Block: 1, Variant: "no-block"}, Attempt: 2, Valid: true,
		Nodes: []Node{{Name: "server", Records: "server.jsonl"}},
	}))
	_, err = w.BeginTrial(PlannedTrial{Index: 2, Block: 1, Variant: "xdp-block"}, 1)
	must(t, err)
	must(t, w.Seal())
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestARunReadsBackAsItWasWritten(t *testing.T) {
	root := t.TempDir()
	w := writeRun(t, root)
	if w.ID != "20260102T120000Z-demo" {
		t.Errorf("id %q", w.ID)
	}
	dir, err := Newest(root)
	must(t, err)
	r, err := Open(dir)
	must(t, err)
	if r.Manifest.Seed != 7 || len(r.Trials) != 1 {
		t.Fatalf("seed %d, %d trials; want 7 and the whole one alone", r.Manifest.Seed, len(r.Trials))
	}
	trial := r.Trials[0]
	if trial.Name() != "001-no-block-attempt-2" || !trial.Valid {
		t.Errorf("trial %q, valid %v", trial.Name(), trial.Valid)
	}
	var got []Line
	must(t, r.Lines(trial, &trial.Nodes[0], func(l *Line) error { got = append(got, *l); return nil }))
	want := []Line{{Ready: &Ready{Node: "server", AtNS: -5}}, {Server: &Server{Served: 3}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestARunThatGoesOnLosesWhatWasHalfWritten(t *testing.T) {
	w := writeRun(t, t.TempDir())
	half := filepath.Join(w.Dir, temporary+"123")
	must(t, os.WriteFile(half, nil, 0o600))
	r, err := Open(w.Dir)
	must(t, err)
	_, err = Reopen(r)
	must(t, err)
	for _, gone := range []string{half, filepath.Join(w.Dir, TrialsDir, partial+"002-xdp-block"), filepath.Join(w.Dir, CrateFile), filepath.Join(w.Dir, ChecksumsFile)} {
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
	must(t, os.Mkdir(filepath.Join(w.Dir, ReportDir), 0o755))
	must(t, os.WriteFile(filepath.Join(w.Dir, ReportDir, "report.md"), []byte("x"), 0o600))
	must(t, w.Seal())
	text, err := os.ReadFile(filepath.Join(w.Dir, ChecksumsFile))
	must(t, err)
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
	must(t, err)
	second, err := Create(root, "demo", noon)
	must(t, err)
	if first.Dir == second.Dir || second.ID != first.ID+"-2" {
		t.Errorf("%q and %q", first.ID, second.ID)
	}
}

func TestARunOfAnotherLayoutIsRefused(t *testing.T) {
	w, err := Create(t.TempDir(), "demo", noon)
	must(t, err)
	must(t, w.WriteManifest(&Manifest{Schema: SchemaVersion + 1}))
	if _, err := Open(w.Dir); err == nil || !strings.Contains(err.Error(), "layout version 3") {
		t.Errorf("got %v", err)
	}
}

func TestNoRunIsAnErrorThatSaysWhatToDo(t *testing.T) {
	_, err := Newest(filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "equic-bench run") {
		t.Errorf("got %v", err)
	}
}

func TestABrokenRecordIsNamedByFileAndLine(t *testing.T) {
	in := strings.NewReader("{\"server\":{}}\nhello\n")
	err := ReadLines(in, "server.jsonl", func(*Line) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "server.jsonl:2:") {
		t.Errorf("got %v", err)
	}
	stop := errors.New("stop")
	err = ReadLines(strings.NewReader("{\"server\":{}}\n"), "x", func(*Line) error { return stop })
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "x:1:") {
		t.Errorf("got %v", err)
	}
}

func TestResponseTimeHoldsTheWaitBeforeTheStart(t *testing.T) {
	r := Request{ScheduledNS: 100, StartNS: 130, EndNS: 20}
	if r.ResponseNS() != 50 || r.ServiceNS() != 20 {
		t.Errorf("response %d, service %d; want 50 and 20", r.ResponseNS(), r.ServiceNS())
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

func TestClock(t *testing.T) {
	epoch := time.Now().Add(time.Hour)
	c, err := NewClock(func(string) string { return strconv.FormatInt(epoch.UnixNano(), 10) })
	must(t, err)
	if got := time.Duration(c.Now()); got > -59*time.Minute || got < -time.Hour {
		t.Errorf("an hour before the epoch the clock says %v", got)
	}
	if got := c.Until(0); got < 59*time.Minute || got > time.Hour {
		t.Errorf("an hour before the epoch it is %v until then", got)
	}
	if _, err := NewClock(func(string) string { return "noon" }); err == nil {
		t.Error("noon is an epoch")
	}
	c, err = NewClock(func(string) string { return "" })
	must(t, err)
	if got := time.Duration(c.Now()); got < 0 || got > time.Minute {
		t.Errorf("without an epoch the clock starts at %v", got)
	}
}

func TestPrintSaysWhenTheOutputIsGone(t *testing.T) {
	if err := NewPrinter(brokenWriter{}).Print(Line{Server: new(Server)}); err == nil {
		t.Error("no error")
	}
	var out bytes.Buffer
	must(t, NewPrinter(&out).Print(Line{Progress: &Progress{Done: 1}}))
	if got := out.String(); got != `{"progress":{"at_ns":0,"started":0,"done":1,"ok":0}}`+"\n" {
		t.Errorf("printed %q", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }
