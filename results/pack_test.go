package results

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// packedRun makes a packed copy of a whole run, beside it.
func packedRun(t *testing.T) (whole, packed *Run) {
	t.Helper()
	whole, err := Open(writeWholeRun(t).Dir)
	testkit.Must(t, err)
	dir := filepath.Join(t.TempDir(), "published", "demo")
	testkit.Must(t, Pack(t.Context(), whole, dir+"/")) // with a slash, as shells complete it
	packed, err = Open(dir)
	testkit.Must(t, err)
	return whole, packed
}

// allLines returns the records of all nodes of a run.
func allLines(t *testing.T, r *Run) []*record.Line {
	t.Helper()
	var all []*record.Line
	for _, trial := range r.Trials {
		for i := range trial.Nodes {
			testkit.Must(t, r.Lines(trial, &trial.Nodes[i], func(l *record.Line) error { all = append(all, l); return nil }))
		}
	}
	return all
}

func TestAPackedRunIsReadAndVerifiedAsTheRun(t *testing.T) {
	whole, packed := packedRun(t)
	if diff := cmp.Diff(allLines(t, whole), allLines(t, packed)); diff != "" || len(allLines(t, packed)) != 8 {
		t.Errorf("records (-whole +packed):\n%s", diff)
	}
	for _, f := range verify(t, packed.Dir) {
		if f.Status != Holds {
			t.Errorf("%+v", f)
		}
	}
	for _, name := range allFiles(t, packed.Dir) {
		if strings.HasSuffix(name, ".jsonl") {
			t.Errorf("%s is not compressed", name)
		}
	}
}

func TestAPackedRunIsPackedAgainAsItIs(t *testing.T) {
	_, packed := packedRun(t)
	again := filepath.Join(t.TempDir(), "again")
	testkit.Must(t, Pack(t.Context(), packed, again))
	for _, name := range allFiles(t, packed.Dir) {
		a, errA := os.ReadFile(filepath.Join(packed.Dir, name))
		b, errB := os.ReadFile(filepath.Join(again, name))
		if testkit.Must(t, errors.Join(errA, errB)); !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestAChangedByteOfAPackedRunIsFoundAndNamed(t *testing.T) {
	_, packed := packedRun(t)
	flips := 0
	for _, name := range allFiles(t, packed.Dir) {
		if !strings.HasSuffix(name, packedSuffix) {
			continue // the same in any run
		}
		path := filepath.Join(packed.Dir, name)
		text, err := os.ReadFile(path)
		testkit.Must(t, err)
		for at := range text {
			changed := bytes.Clone(text)
			changed[at] ^= 1 << (at % 8)
			testkit.Must(t, os.WriteFile(path, changed, 0o600))
			if named := faults(verify(t, packed.Dir)); !slices.Contains(named, name) {
				t.Fatalf("byte %d of %s was changed; named are %q", at, name, named)
			}
			flips++
		}
		testkit.Must(t, os.WriteFile(path, append(bytes.Clone(text), 0), 0o600))
		if named := faults(verify(t, packed.Dir)); !slices.Contains(named, name) {
			t.Errorf("a byte was added to %s; named are %q", name, named)
		}
		testkit.Must(t, os.WriteFile(path, text, 0o600))
	}
	if flips < 100 {
		t.Errorf("only %d bytes", flips)
	}
}

func TestCompressedRecordsThatAreTooFewAreFound(t *testing.T) {
	whole, packed := packedRun(t)
	records := filepath.Join(TrialsDir, "001-no-block", "server.jsonl")
	text, err := os.ReadFile(filepath.Join(whole.Dir, records))
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(whole.Dir, records), text[:bytes.IndexByte(text, '\n')+1], 0o600))
	testkit.Must(t, packFile(filepath.Join(whole.Dir, records), filepath.Join(packed.Dir, records)))
	testkit.Must(t, (&Writer{Dir: packed.Dir}).Seal())
	if f := status(t, verify(t, packed.Dir), "records"); f.Status != Broken ||
		f.Faults[0].File != filepath.ToSlash(records)+packedSuffix {
		t.Errorf("%+v", f)
	}
}

func TestACopyWithTheReportInPlaceOfTheRecordsIsVerifiedAsFarAsItGoes(t *testing.T) {
	_, packed := packedRun(t)
	dir := filepath.Join(t.TempDir(), "small")
	if err := PackReport(t.Context(), packed, dir); !errors.Is(err, ErrNoReport) {
		t.Fatalf("error %v, want ErrNoReport", err)
	}
	testkit.Must(t, os.Mkdir(filepath.Join(packed.Dir, ReportDir), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(packed.Dir, ReportDir, "report.md"), []byte("x"), 0o600))
	testkit.Must(t, PackReport(t.Context(), packed, dir))
	want := slices.DeleteFunc(allFiles(t, packed.Dir), func(name string) bool {
		return isRecords(name) || name == CrateFile
	})
	if diff := cmp.Diff(want, allFiles(t, dir)); diff != "" || !slices.Contains(want, ReportDir+"/report.md") {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	v, err := Verify(t.Context(), dir)
	testkit.Must(t, err)
	for _, f := range v.Findings {
		if want := map[bool]Status{true: NotChecked, false: Holds}[f.Check == "records"]; f.Status != want {
			t.Errorf("%+v, want %q", f, want)
		}
	}
	if !v.NoRecords {
		t.Error("that the records are missing is not reported")
	}
	testkit.Must(t, os.WriteFile(filepath.Join(dir, TrialsDir, "001-no-block", TrialFile), []byte("{}"), 0o600))
	if f := status(t, verify(t, dir), "checksums"); f.Status != Broken {
		t.Errorf("a trial was changed: %+v", f)
	}
}

func TestIfSomeRecordsAreThereNoneMayBeMissing(t *testing.T) {
	_, packed := packedRun(t)
	testkit.Must(t, os.Remove(filepath.Join(packed.Dir, TrialsDir, "001-no-block", "server.jsonl"+packedSuffix)))
	for _, check := range []string{"checksums", "records"} {
		if f := status(t, verify(t, packed.Dir), check); f.Status != Broken {
			t.Errorf("%+v", f)
		}
	}
}

func TestPackLeavesNothingWhereItFails(t *testing.T) {
	whole, _ := packedRun(t)
	parent := t.TempDir()
	taken := filepath.Join(parent, "taken")
	testkit.Must(t, os.Mkdir(taken, 0o755))
	if err := Pack(t.Context(), whole, taken); !errors.Is(err, fs.ErrExist) {
		t.Errorf("to a folder that is there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Pack(ctx, whole, filepath.Join(parent, "new")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	testkit.Must(t, os.Remove(filepath.Join(whole.Dir, TrialsDir, "001-no-block", TrialFile)))
	if err := Pack(t.Context(), whole, filepath.Join(parent, "new")); err == nil {
		t.Error("a run without a trial.json was packed")
	}
	if left := allFiles(t, parent); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestAPackedRunIsNotContinued(t *testing.T) {
	_, packed := packedRun(t)
	if _, err := Reopen(packed); !errors.Is(err, ErrPacked) {
		t.Errorf("%v", err)
	}
	if f := status(t, verify(t, packed.Dir), "checksums"); f.Status != Holds {
		t.Errorf("after the refusal: %+v", f)
	}
}
