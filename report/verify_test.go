package report

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

func verified(t *testing.T, dir string) results.Finding {
	t.Helper()
	f, err := Verify(t.Context(), dir)
	testkit.Must(t, err)
	return f
}

// quick returns a run whose report is drawn fast.
func quick(t *testing.T) string {
	t.Helper()
	s := synth.OneBlock()
	s.Trials = s.Trials[1:2]
	s.Experiment.Variants = []string{"userspace-block"}
	dir := s.Write(t)
	write(t, dir)
	return dir
}

func TestAReportFollowsFromItsRecords(t *testing.T) {
	dir := quick(t)
	t.Setenv("TMPDIR", t.TempDir())
	if f := verified(t, dir); f.Status != results.Holds || len(f.Faults) > 0 ||
		!strings.Contains(f.Evidence, "byte for byte") {
		t.Errorf("%+v", f)
	}
	for _, place := range []string{os.TempDir(), dir} {
		left, err := filepath.Glob(filepath.Join(place, ".report-*"))
		testkit.Must(t, err)
		more, err := filepath.Glob(filepath.Join(place, "equic-bench-*"))
		testkit.Must(t, err)
		if len(left)+len(more) > 0 {
			t.Errorf("left behind: %v %v", left, more)
		}
	}
}

// endsAfter is a context that ends when its error has been asked for some times.
type endsAfter struct {
	context.Context
	left *atomic.Int64
}

func (e endsAfter) Err() error {
	if e.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

func TestAnInterruptionLeavesTheOldReportAndNothingElse(t *testing.T) {
	dir := quick(t)
	t.Setenv("TMPDIR", t.TempDir())
	before := filesIn(t, dir)
	for name, do := range map[string]func(context.Context) error{
		"Write":  func(ctx context.Context) error { _, err := Write(ctx, dir, Options{}); return err },
		"Verify": func(ctx context.Context) error { _, err := Verify(ctx, dir); return err },
	} {
		interrupted := 0
		for asked := int64(0); ; asked = 2*asked + 1 {
			left := new(atomic.Int64)
			left.Store(asked)
			err := do(endsAfter{t.Context(), left})
			if after := filesIn(t, dir); !slices.Equal(after, before) {
				t.Errorf("%s: files %q, want %q", name, after, before)
			}
			if left := filesIn(t, os.TempDir()); len(left) > 1 { // the folder itself
				t.Errorf("%s: left behind: %q", name, left)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v, want %v", name, err, context.Canceled)
			}
			interrupted++
		}
		if interrupted < 3 { // at the first file, in between, and at the figures
			t.Errorf("%s: interrupted %d times", name, interrupted)
		}
	}
}

// filesIn returns the paths of everything in a folder, and of the folder.
func filesIn(t *testing.T, dir string) (paths []string) {
	t.Helper()
	testkit.Must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	return paths
}

// A report on another paper keeps its claims, so that it can be drawn again.
func TestAReportWithClaimsOfItsOwnFollowsFromThem(t *testing.T) {
	dir := synth.ShortBlocks(1).Write(t)
	path := filepath.Join(t.TempDir(), "mine.yaml")
	mine := strings.Replace(string(claims.EQUIC().Text()), "paper: eQUIC Gateway", "paper: Mine", 1)
	testkit.Must(t, os.WriteFile(path, []byte(mine), 0o644))
	given, err := claims.Load(path)
	testkit.Must(t, err)
	_, err = Write(t.Context(), dir, Options{Claims: given})
	testkit.Must(t, err)
	if !strings.Contains(string(reported(t, dir, MarkdownFile)), "## Mine: paper against measured") {
		t.Error("the claims of the other paper are not in the report")
	}
	if f := verified(t, dir); f.Status != results.Holds {
		t.Errorf("%+v", f)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(dir, results.ReportDir, ClaimsFile), []byte("paper: Other\n"), 0o644))
	if f := verified(t, dir); f.Status != results.Broken {
		t.Errorf("with other claims: %+v", f)
	}
}

// Flips one bit of many bytes of each file of a report in turn, including its first and
// last byte.
func TestAChangedByteInAReportIsFoundAndNamed(t *testing.T) {
	dir := quick(t)
	drawn := filepath.Join(t.TempDir(), "drawn")
	testkit.Must(t, os.CopyFS(drawn, os.DirFS(filepath.Join(dir, results.ReportDir))))
	files, _ := reportFiles(os.DirFS(drawn))
	for name, whole := range files {
		path := filepath.Join(dir, results.ReportDir, filepath.FromSlash(name))
		for i := range 12 {
			at := i * (len(whole) - 1) / 11
			changed := bytes.Clone(whole)
			changed[at] ^= 1 << (i % 8)
			testkit.Must(t, os.WriteFile(path, changed, 0o600))
			f, err := compareReports("report", dir, drawn)
			testkit.Must(t, err)
			if f.Status != results.Broken || len(f.Faults) != 1 || f.Faults[0].File != results.ReportDir+"/"+name {
				t.Fatalf("byte %d of %s was changed: %+v", at, name, f)
			}
		}
		testkit.Must(t, os.WriteFile(path, whole, 0o600))
	}
	if f, err := compareReports("report", dir, drawn); err != nil || f.Status != results.Holds {
		t.Errorf("put back: %+v, %v", f, err)
	}
}

func TestWhatIsDoneToAReportIsFoundAndNamed(t *testing.T) {
	testkit.Slow(t, "draws a report for each thing that is done")
	t.Parallel()
	tests := map[string]struct {
		do    func(t *testing.T, dir string)
		named string
		says  string
	}{
		"a byte of a table is another": {func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, results.ReportDir, MarkdownFile)
			text, err := os.ReadFile(path)
			testkit.Must(t, err)
			text[7] ^= 1
			testkit.Must(t, os.WriteFile(path, text, 0o600))
		}, "report/report.md", "differs from byte 8 on"},
		"a figure is missing": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.Remove(filepath.Join(dir, results.ReportDir, "figure-3.svg")))
		}, "report/figure-3.svg", "not there"},
		"a figure is added": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.WriteFile(filepath.Join(dir, results.ReportDir, "figure-9.svg"), nil, 0o600))
		}, "report/figure-9.svg", "no part of the report"},
		"a figure is a link": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.Symlink("figure-3.svg", filepath.Join(dir, results.ReportDir, "figure-9.svg")))
		}, "report/figure-9.svg", "neither a file nor a folder"},
		"the summary is a pipe, which never ends": {func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, results.ReportDir, SummaryFile)
			testkit.Must(t, os.Remove(path))
			testkit.Must(t, syscall.Mkfifo(path, 0o600))
		}, "report/summary.json", "neither a file nor a folder"},
		"the claims are a pipe": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, syscall.Mkfifo(filepath.Join(dir, results.ReportDir, ClaimsFile), 0o600))
		}, "report/claims.yaml", "neither a file nor a folder"},
		"the records are a pipe": {func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, results.TrialsDir, "001-userspace-block", "server.jsonl")
			testkit.Must(t, os.Remove(path))
			testkit.Must(t, syscall.Mkfifo(path, 0o600))
		}, "report", "server.jsonl is no file"},
		"a record has a time that no trial reaches": {func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, results.TrialsDir, "001-userspace-block", "sequential-1.jsonl")
			late := `{"request":{"seq":0,"outcome":"ok","end_ns":900000000000000000}}` + "\n"
			testkit.Must(t, os.WriteFile(path, []byte(late), 0o600))
		}, "report", "a time of more than"},
		"a record is no record": {func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, results.TrialsDir, "001-userspace-block", "server.jsonl")
			testkit.Must(t, os.WriteFile(path, []byte("hello\n"), 0o600))
		}, "report", "server.jsonl:1: not a record"},
		"there is no manifest": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.Remove(filepath.Join(dir, results.ManifestFile)))
		}, "report", results.ManifestFile},
		"the report is a file": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.RemoveAll(filepath.Join(dir, results.ReportDir)))
			testkit.Must(t, os.WriteFile(filepath.Join(dir, results.ReportDir), nil, 0o600))
		}, "report", "no folder"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := quick(t)
			tt.do(t, dir)
			f := verified(t, dir)
			found := slices.ContainsFunc(f.Faults,
				func(x results.Fault) bool { return x.File == tt.named && strings.Contains(x.Fault, tt.says) })
			if f.Status != results.Broken || !found || f.Means == "" {
				t.Errorf("want %s named (%q), got %+v", tt.named, tt.says, f)
			}
		})
	}
}

func TestARequestThatWasTakenOutOfTheRecordsShowsInTheReport(t *testing.T) {
	dir := quick(t)
	path := filepath.Join(dir, results.TrialsDir, "001-userspace-block", "sequential-1.jsonl")
	text, err := os.ReadFile(path)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(path, text[bytes.IndexByte(text, '\n')+1:], 0o600))
	f := verified(t, dir)
	if !slices.ContainsFunc(f.Faults, func(x results.Fault) bool { return x.File == "report/"+SummaryFile }) {
		t.Errorf("%+v", f)
	}
}

func TestAReportThatWasNotDrawnIsNoFailure(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	if f := verified(t, dir); f.Status != results.NotChecked || f.Evidence != "not drawn" {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat(filepath.Join(dir, results.ReportDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("verifying drew it: %v", err)
	}
}

func TestTheNameOfACellIsNoPath(t *testing.T) {
	s := synth.OneBlock()
	s.Trials = s.Trials[1:2]
	s.Trials[0].Cell = "a"
	s.Experiment.Variants = []string{"userspace-block"}
	s.Cells = []results.Cell{{Name: "a", Point: "/../../../escaped", Experiment: s.Experiment}}
	dir := s.Write(t)
	if _, err := Write(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "cannot name a file") {
		t.Errorf("error %v", err)
	}
	if escaped, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "escaped*")); err != nil || len(escaped) > 0 {
		t.Errorf("files %q, error %v", escaped, err)
	}
}
