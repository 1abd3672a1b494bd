package results

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// writeWholeRun makes a run of two trials, ended and sealed.
func writeWholeRun(t *testing.T) *Writer {
	t.Helper()
	w, err := Create(t.TempDir(), "demo", noon)
	testkit.Must(t, err)
	scenario := []byte("name: demo\nrepetitions: 1\n")
	digest := sha256.Sum256(scenario)
	testkit.Must(t, w.WriteScenario(scenario))
	plan := []PlannedTrial{{Index: 1, Block: 1, Variant: "no-block"}, {Index: 2, Block: 1, Variant: "xdp-block"}}
	testkit.Must(t, w.WriteManifest(&Manifest{
		Schema: SchemaVersion, ID: w.ID, Started: noon, Ended: noon.Add(1), Seed: 7, Plan: plan,
		ScenarioSHA256: hex.EncodeToString(digest[:]), Version: "v1",
	}))
	for _, p := range plan {
		tw, err := w.BeginTrial(p, 1)
		testkit.Must(t, err)
		trial := &Trial{PlannedTrial: p, Attempt: 1, Valid: true}
		for _, node := range []string{"server", "sequential-1"} {
			f, err := tw.Create(node + ".jsonl")
			testkit.Must(t, err)
			testkit.Must(t, record.NewPrinter(f).Print(record.Line{Ready: &record.Ready{Node: node, AtNS: int64(-p.Index)}},
				record.Line{Server: &record.Server{Served: 3}}))
			testkit.Must(t, f.Close())
			testkit.Must(t, os.WriteFile(tw.Path(node+".log"), []byte(node+" of "+p.Variant+"\n"), 0o600))
			trial.Nodes = append(trial.Nodes, Node{Name: node, Records: node + ".jsonl", Log: node + ".log", Lines: 2})
		}
		testkit.Must(t, tw.Commit(trial))
	}
	testkit.Must(t, w.Seal())
	return w
}

func verify(t *testing.T, dir string) []Finding {
	t.Helper()
	v, err := Verify(t.Context(), dir)
	testkit.Must(t, err)
	return v.Findings
}

// status returns the finding of one check. It must be there.
func status(t *testing.T, findings []Finding, check string) Finding {
	t.Helper()
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.Check == check })
	if i < 0 {
		t.Fatalf("no check %q in %+v", check, findings)
	}
	return findings[i]
}

// faults returns the files that failed checks name.
func faults(findings []Finding) []string {
	var names []string
	for _, f := range findings {
		if f.Status != Broken {
			continue
		}
		for _, fault := range f.Faults {
			names = append(names, fault.File)
		}
	}
	return names
}

// allFiles returns the paths of all files of a run, relative to it.
func allFiles(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	testkit.Must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			rel, relErr := filepath.Rel(dir, path)
			names, err = append(names, rel), relErr
		}
		return err
	}))
	return names
}

func TestAWholeRunVerifies(t *testing.T) {
	w := writeWholeRun(t)
	testkit.Must(t, os.Mkdir(filepath.Join(w.Dir, ReportDir), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(w.Dir, ReportDir, "report.md"), []byte("x"), 0o600))
	findings := verify(t, w.Dir)
	if len(findings) != 7 {
		t.Errorf("%d checks, want 7", len(findings))
	}
	for _, f := range findings {
		if f.Status != Holds || len(f.Faults) > 0 || f.Evidence == "" {
			t.Errorf("%+v", f)
		}
	}
}

// The test flips one bit of every seventh byte of each file, and of every byte of
// SHA256SUMS. The file must be named.
func TestAChangedByteAnywhereIsFoundAndNamed(t *testing.T) {
	testkit.Slow(t, "verifies a run for each of a thousand bytes")
	w := writeWholeRun(t)
	flips := 0
	for _, name := range allFiles(t, w.Dir) {
		path := filepath.Join(w.Dir, name)
		whole, err := os.ReadFile(path)
		testkit.Must(t, err)
		step := 7
		if name == ChecksumsFile {
			step = 1
		}
		for at := 0; at < len(whole); at += step {
			changed := bytes.Clone(whole)
			changed[at] ^= 1 << (at % 8)
			testkit.Must(t, os.WriteFile(path, changed, 0o600))
			if named := faults(verify(t, w.Dir)); !namesFlip(name, string(whole), at, named) {
				t.Fatalf("byte %d of %s was changed; named are %q", at, name, named)
			}
			flips++
		}
		testkit.Must(t, os.WriteFile(path, whole, 0o600))
	}
	if flips < 1000 {
		t.Errorf("only %d bytes", flips)
	}
	if named := faults(verify(t, w.Dir)); len(named) > 0 {
		t.Errorf("put back, named are %q", named)
	}
}

// namesFlip reports whether the changed file is named. A changed digest in SHA256SUMS
// looks like a change of the file with that digest, so that file is named instead.
func namesFlip(name, text string, at int, named []string) bool {
	if slices.Contains(named, name) {
		return true
	}
	line := text[strings.LastIndexByte(text[:at], '\n')+1:]
	line, _, _ = strings.Cut(line, "\n")
	_, of, _ := strings.Cut(line, "  ")
	return name == ChecksumsFile && slices.Contains(named, of)
}

func TestAMissingFileIsFoundAndNamed(t *testing.T) {
	for _, name := range allFiles(t, writeWholeRun(t).Dir) {
		if name == ChecksumsFile {
			continue // then the run is not sealed, which another test covers
		}
		dir := writeWholeRun(t).Dir
		testkit.Must(t, os.Remove(filepath.Join(dir, name)))
		if named := faults(verify(t, dir)); !slices.Contains(named, name) {
			t.Errorf("%s was removed; named are %q", name, named)
		}
	}
}

func TestWhatIsDoneToARunIsFoundAndNamed(t *testing.T) {
	const first, second = TrialsDir + "/001-no-block", TrialsDir + "/002-xdp-block"
	tests := map[string]struct {
		do    func(t *testing.T, dir string)
		check string
		named string
		says  string
	}{
		"a file is added": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.WriteFile(filepath.Join(dir, first, "more.jsonl"), nil, 0o600))
		}, "no other files", first + "/more.jsonl", "not named"},
		"half a trial is left": {func(t *testing.T, dir string) {
			t.Helper()
			half := filepath.Join(dir, TrialsDir, partial+"003-x")
			testkit.Must(t, os.Mkdir(half, 0o755))
			testkit.Must(t, os.WriteFile(filepath.Join(half, "server.jsonl"), nil, 0o600))
		}, "no other files", TrialsDir + "/" + partial + "003-x/server.jsonl", "not named"},
		"a link is added": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.Symlink("/dev/zero", filepath.Join(dir, "zero")))
		}, "no other files", "zero", "neither"},
		"a record file becomes a link out of the run": {func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, first, "server.jsonl")
			testkit.Must(t, os.Rename(path, filepath.Join(filepath.Dir(dir), "elsewhere")))
			testkit.Must(t, os.Symlink("../../../elsewhere", path))
		}, "checksums", first + "/server.jsonl", "not there"},
		"a line is appended and the run sealed again": {func(t *testing.T, dir string) {
			t.Helper()
			appendTo(t, filepath.Join(dir, second, "server.jsonl"), "{\"server\":{}}\n")
			testkit.Must(t, (&Writer{Dir: dir}).Seal())
		}, "records", second + "/server.jsonl", "has 3 lines, trial.json says 2"},
		"half a line is appended and the run sealed again": {func(t *testing.T, dir string) {
			t.Helper()
			appendTo(t, filepath.Join(dir, second, "server.jsonl"), "{")
			testkit.Must(t, (&Writer{Dir: dir}).Seal())
		}, "records", second + "/server.jsonl", "has no end"},
		"two trials swap their folders": {swapTrials, "checksums", first + "/trial.json", "changed"},
		"two trials swap their folders and the run is sealed again": {func(t *testing.T, dir string) {
			t.Helper()
			swapTrials(t, dir)
			testkit.Must(t, (&Writer{Dir: dir}).Seal())
		}, "trials", first, "is of trial 002-xdp-block"},
		"a trial that nobody planned, sealed again": {func(t *testing.T, dir string) {
			t.Helper()
			w := &Writer{Dir: dir}
			tw, err := w.BeginTrial(PlannedTrial{Index: 3, Block: 1, Variant: "no-block"}, 1)
			testkit.Must(t, err)
			testkit.Must(t, tw.Commit(&Trial{PlannedTrial: PlannedTrial{Index: 3, Block: 1, Variant: "no-block"}, Attempt: 1}))
			testkit.Must(t, w.Seal())
		}, "trials", TrialsDir + "/003-no-block/trial.json", "not in the plan"},
		"another scenario, sealed again": {func(t *testing.T, dir string) {
			t.Helper()
			appendTo(t, filepath.Join(dir, ScenarioFile), "# a comment\n")
			testkit.Must(t, (&Writer{Dir: dir}).Seal())
		}, "scenario", ScenarioFile, "its SHA-256 is"},
		"a manifest of another layout": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, (&Writer{Dir: dir}).WriteManifest(&Manifest{Schema: SchemaVersion + 1}))
		}, "ended", ManifestFile, "layout version 5"},
		"a checksum file that names a file twice": {func(t *testing.T, dir string) {
			t.Helper()
			sums, err := os.ReadFile(filepath.Join(dir, ChecksumsFile))
			testkit.Must(t, err)
			line, _, _ := strings.Cut(string(sums), "\n")
			appendTo(t, filepath.Join(dir, ChecksumsFile), line+"\n")
		}, "sealed", ChecksumsFile, "again"},
		"a checksum file that leaves the run": {func(t *testing.T, dir string) {
			t.Helper()
			appendTo(t, filepath.Join(dir, ChecksumsFile), strings.Repeat("0", 64)+"  ../../etc/passwd\n")
		}, "sealed", ChecksumsFile, "no raw file"},
		"an empty checksum file": {func(t *testing.T, dir string) {
			t.Helper()
			testkit.Must(t, os.WriteFile(filepath.Join(dir, ChecksumsFile), nil, 0o600))
		}, "sealed", ChecksumsFile, "is empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := writeWholeRun(t)
			tt.do(t, w.Dir)
			f := status(t, verify(t, w.Dir), tt.check)
			found := slices.ContainsFunc(f.Faults,
				func(x Fault) bool { return x.File == tt.named && strings.Contains(x.Fault, tt.says) })
			if f.Status != Broken || !found || f.Means == "" {
				t.Errorf("want %s named (%q), got %+v", tt.named, tt.says, f)
			}
		})
	}
}

func TestOnlyTrialsThatCanBeReadAreHandedOn(t *testing.T) {
	w := writeWholeRun(t)
	for _, want := range []int{2, 1} {
		v, err := Verify(t.Context(), w.Dir)
		testkit.Must(t, err)
		if len(v.Trials) != want {
			t.Errorf("%d trials, want %d", len(v.Trials), want)
		}
		path := filepath.Join(w.Dir, TrialsDir, v.Trials[0].Name(), "server.jsonl")
		testkit.Must(t, os.Remove(path))
		testkit.Must(t, os.Symlink("/dev/zero", path)) // it has no end
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	testkit.Must(t, err)
	_, err = f.WriteString(text)
	testkit.Must(t, errors.Join(err, f.Close()))
}

func swapTrials(t *testing.T, dir string) {
	t.Helper()
	trials := filepath.Join(dir, TrialsDir)
	testkit.Must(t, os.Rename(filepath.Join(trials, "001-no-block"), filepath.Join(trials, "x")))
	testkit.Must(t, os.Rename(filepath.Join(trials, "002-xdp-block"), filepath.Join(trials, "001-no-block")))
	testkit.Must(t, os.Rename(filepath.Join(trials, "x"), filepath.Join(trials, "002-xdp-block")))
}

func TestARunThatWasInterruptedIsSaidToBe(t *testing.T) {
	w := writeWholeRun(t)
	testkit.Must(t, os.Remove(filepath.Join(w.Dir, ChecksumsFile)))
	r, err := Open(w.Dir)
	testkit.Must(t, err)
	findings := verify(t, w.Dir)
	if f := status(t, findings, "sealed"); f.Status != Broken || !strings.Contains(f.Means, "power cut") {
		t.Errorf("unsealed: %+v", f)
	}
	for _, check := range []string{"checksums", "no other files"} {
		if f := status(t, findings, check); f.Status != NotChecked {
			t.Errorf("without checksums: %+v", f)
		}
	}
	if f := status(t, findings, "records"); f.Status != Holds {
		t.Errorf("the records can be counted still: %+v", f)
	}
	testkit.Must(t, w.WriteManifest(&Manifest{Schema: SchemaVersion, Plan: r.Manifest.Plan}))
	f := status(t, verify(t, w.Dir), "ended")
	if f.Status != Broken || !strings.Contains(f.Evidence, "no `ended`") || !strings.Contains(f.Means, "power cut") {
		t.Errorf("without an end: %+v", f)
	}
}

func TestAPlannedTrialThatWasNotRunIsToldAndNoFault(t *testing.T) {
	w := writeWholeRun(t)
	testkit.Must(t, os.RemoveAll(filepath.Join(w.Dir, TrialsDir, "002-xdp-block")))
	testkit.Must(t, w.Seal())
	f := status(t, verify(t, w.Dir), "trials")
	if f.Status != Holds || !strings.Contains(f.Evidence, "2 planned, of which 1 not run") {
		t.Errorf("%+v", f)
	}
}

func TestWhatIsNoRunIsNotVerified(t *testing.T) {
	for name, dir := range map[string]string{
		"an empty folder": t.TempDir(),
		"no folder":       filepath.Join(t.TempDir(), "none"),
	} {
		if _, err := Verify(t.Context(), dir); !errors.Is(err, ErrNoRun) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, writeWholeRun(t).Dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestBinariesAreComparedAsFarAsThatCanBeExpected(t *testing.T) {
	dir := t.TempDir()
	digests := map[string]string{}
	for _, name := range []string{"equic-client", "equic-server"} {
		path := filepath.Join(dir, name)
		testkit.Must(t, os.WriteFile(path, []byte(name), 0o600))
		sum, err := FileSHA256(path)
		testkit.Must(t, err)
		digests[name] = sum
	}
	others := map[string]string{"equic-client": digests["equic-client"], "equic-server": digests["equic-client"]}
	absent := map[string]string{"equic-client": digests["equic-client"], "equic-probe": digests["equic-client"]}
	tests := map[string]struct {
		binaries map[string]string
		with     Programs
		want     Status
		says     string
	}{
		"all are the same": {
			digests,
			Programs{Dir: dir, Version: "v1"},
			Holds,
			"the same: equic-client, equic-server",
		},
		"one is another, of the same version": {
			others,
			Programs{Dir: dir, Version: "v1"},
			Broken,
			"different: equic-server",
		},
		"one is another, as the version is": {
			others,
			Programs{Dir: dir, Version: "v2"},
			NotChecked,
			"different: equic-server",
		},
		"one is another in the folder that was named": {
			others,
			Programs{Dir: dir, Version: "v2", Asked: true},
			Broken,
			"different: equic-server",
		},
		"one is not there": {
			absent,
			Programs{Dir: dir, Version: "v1"},
			NotChecked,
			"not there: equic-probe",
		},
		"one is not in the folder that was named": {
			absent,
			Programs{Dir: dir, Version: "v1", Asked: true},
			Broken,
			"not there: equic-probe",
		},
		"the manifest names none": {nil, Programs{Dir: dir, Version: "v1"}, NotChecked, "cannot be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := VerifyBinaries(&Manifest{Version: "v1", Binaries: tt.binaries}, tt.with)
			if f.Status != tt.want || !strings.Contains(f.Evidence, tt.says) || (f.Status == Broken) != (len(f.Faults) > 0) {
				t.Errorf("want %s and %q, got %+v", tt.want, tt.says, f)
			}
		})
	}
}
