package results

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestSweepTakesOnlyRunsThatNeverBegan(t *testing.T) {
	tests := map[string]struct {
		holds []string // folders have a slash at their end
		stays bool
	}{
		"nothing was made in it yet":           {nil, false},
		"it has no trial and no scenario yet":  {[]string{"trials/"}, false},
		"its scenario was being written":       {[]string{"trials/", temporary + "1"}, false},
		"its manifest was being written":       {[]string{"trials/", "scenario.yaml", temporary + "2"}, false},
		"it has a manifest":                    {[]string{"trials/", "scenario.yaml", "manifest.json"}, true},
		"it has a trial, and its manifest not": {[]string{"trials/001-no-block/", "scenario.yaml"}, true},
		"it has half a trial":                  {[]string{"trials/" + partial + "001-no-block/"}, true},
		"it holds a report":                    {[]string{"trials/", "scenario.yaml", "report/"}, true},
		"it holds somebody's notes":            {[]string{"trials/", "scenario.yaml", "notes.md"}, true},
		"a folder of its has a file's name":    {[]string{"trials/", "scenario.yaml/"}, true},
		"a file of its has a folder's name":    {[]string{"trials"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "20260102T120000Z-dead")
			testkit.Must(t, os.Mkdir(dir, 0o755))
			for _, path := range test.holds {
				if folder, ok := strings.CutSuffix(path, "/"); ok {
					testkit.Must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
				} else {
					testkit.Must(t, os.WriteFile(filepath.Join(dir, path), nil, 0o600))
				}
			}
			testkit.Must(t, Sweep(root))
			if _, err := os.Stat(dir); (err == nil) != test.stays {
				t.Errorf("after the sweep %v; want that it stays: %v", err, test.stays)
			}
		})
	}
}

func TestSweepLeavesAloneWhatIsNoRunDirectory(t *testing.T) {
	root := t.TempDir()
	whole := writeRun(t, root)
	testkit.Must(t, os.MkdirAll(filepath.Join(root, "notes-of-mine", TrialsDir), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(root, "20260102T120001Z-file"), nil, 0o600))
	testkit.Must(t, os.Symlink(t.TempDir(), filepath.Join(root, "20260102T120002Z-link")))
	measured, err := Scratch(root)
	testkit.Must(t, err)
	testkit.Must(t, os.Mkdir(filepath.Join(measured, "20260102T120003Z-capacity"), 0o755))
	for _, name := range []string{".scratch-notes", ".scratch-2026"} { // not ours
		testkit.Must(t, os.MkdirAll(filepath.Join(root, name, "of-mine"), 0o755))
	}
	testkit.Must(t, Sweep(root))
	entries, err := os.ReadDir(root)
	testkit.Must(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{
		".scratch-2026", ".scratch-notes", whole.ID, "20260102T120001Z-file", "20260102T120002Z-link", "notes-of-mine",
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	testkit.Must(t, Sweep(filepath.Join(root, "nowhere")))
}

func TestAReportThatIsBeingDrawnIsNoPartOfTheRun(t *testing.T) {
	w := writeWholeRun(t)
	half := filepath.Join(w.Dir, HalfReport+"123")
	testkit.Must(t, os.Mkdir(half, 0o700))
	testkit.Must(t, os.WriteFile(filepath.Join(half, "figure-3.svg"), []byte("<svg"), 0o600))
	for when, before := range map[string]func() error{
		"after the seal": func() error { return nil },
		"at the seal":    w.Seal,
	} {
		testkit.Must(t, before())
		if named := faults(verify(t, w.Dir)); len(named) > 0 {
			t.Errorf("it is there %s, and verify names %v", when, named)
		}
	}
	testkit.Must(t, os.RemoveAll(half))
	if named := faults(verify(t, w.Dir)); len(named) > 0 {
		t.Errorf("it is gone, and verify names %v", named)
	}
}

func TestOnlyAFolderBesideTheManifestIsAHalfReport(t *testing.T) {
	w := writeWholeRun(t)
	file, deep := HalfReport+"1", filepath.Join(TrialsDir, HalfReport+"2", "x")
	testkit.Must(t, os.WriteFile(filepath.Join(w.Dir, file), nil, 0o600))
	testkit.Must(t, os.Mkdir(filepath.Join(w.Dir, filepath.Dir(deep)), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(w.Dir, deep), nil, 0o600))
	named := status(t, verify(t, w.Dir), "no other files").Faults
	if len(named) != 2 || named[0].File != file || named[1].File != deep {
		t.Errorf("verify names %v, want %s and %s", named, file, deep)
	}
}

func TestAHalfReportGoesOnceNobodyDrawsInIt(t *testing.T) {
	w := writeWholeRun(t)
	fresh, dead := filepath.Join(w.Dir, HalfReport+"fresh"), filepath.Join(w.Dir, HalfReport+"dead")
	for _, dir := range []string{fresh, dead} {
		testkit.Must(t, os.Mkdir(dir, 0o700))
		testkit.Must(t, os.WriteFile(filepath.Join(dir, "figure-3.svg"), nil, 0o600))
	}
	long := time.Now().Add(-2 * deadReport)
	testkit.Must(t, os.Chtimes(dead, long, long))
	left := func() []string {
		paths, err := halves(w.Dir, HalfReport)
		testkit.Must(t, err)
		return paths
	}
	testkit.Must(t, SweepReports(w.Dir))
	if diff := cmp.Diff([]string{fresh}, left()); diff != "" {
		t.Errorf("after the next report (-want +got):\n%s", diff)
	}
	r, err := Open(w.Dir)
	testkit.Must(t, err)
	_, err = Reopen(r)
	testkit.Must(t, err)
	if still := left(); len(still) > 0 {
		t.Errorf("the run goes on with %v", still)
	}
	testkit.Must(t, SweepReports(filepath.Join(w.Dir, "nowhere")))
}
