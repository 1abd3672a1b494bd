package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// The report of a packed run is identical to that of the run.
func TestAPackedRunHasTheSameReport(t *testing.T) {
	testkit.Slow(t, "draws a report four times")
	t.Parallel()
	dir, _ := smallRun(t)
	packed := filepath.Join(t.TempDir(), "published")
	if code, out, stderr := command(t, "pack", dir, packed); code != exitFine || out != packed+"\n" {
		t.Fatalf("pack: exit code %d, %q\n%s", code, out, stderr)
	}
	for _, run := range []string{dir, packed} {
		if code, _, stderr := command(t, "report", run); code != exitFine {
			t.Fatal(stderr)
		}
		if code, out, _ := command(t, "verify", run); code != exitFine {
			t.Errorf("verify: exit code %d\n%s", code, out)
		}
	}
	first, second := readTree(t, filepath.Join(dir, "report")), readTree(t, filepath.Join(packed, "report"))
	if len(first) < 14 || len(first) != len(second) {
		t.Errorf("%d and %d files of the reports", len(first), len(second))
	}
	for name := range first {
		if string(first[name]) != string(second[name]) {
			t.Errorf("report/%s differs", name)
		}
	}
}

func TestPackRefusesWhatItShouldNotPublish(t *testing.T) {
	dir, _ := smallRun(t)
	changed, _ := smallRun(t)
	testkit.Must(t, os.WriteFile(filepath.Join(changed, "scenario.yaml"), []byte("name: other\n"), 0o600))
	forged, _ := smallRun(t)
	if code, _, stderr := command(t, "report", forged); code != exitFine {
		t.Fatalf("report: exit code %d\n%s", code, stderr)
	}
	page := filepath.Join(forged, "report", "report.md")
	text, err := os.ReadFile(page)
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(page, append(text, '!'), 0o600))
	taken := t.TempDir()
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"a run that was changed": {
			[]string{changed, filepath.Join(taken, "a")},
			exitTrial,
			"checksums, scenario; `equic-bench verify " + changed + "` names the files",
		},
		"a report that was changed": {
			[]string{"--report", forged, filepath.Join(taken, "a")},
			exitTrial,
			"report; `equic-bench verify " + forged + "` names the files",
		},
		"a folder that is there":    {[]string{dir, taken}, exitUsage, "exists already: name a new folder"},
		"a folder in the run":       {[]string{dir, filepath.Join(dir, "packed")}, exitUsage, "is inside the run"},
		"a folder that is no run":   {[]string{taken, filepath.Join(taken, "a")}, exitUsage, "no run"},
		"no folder to copy the run": {[]string{dir}, exitUsage, "an argument is missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := command(t, append([]string{"pack"}, test.args...)...)
			if code != test.code || out != "" || !strings.Contains(stderr, test.says) {
				t.Errorf("exit code %d, %q\n%s\nwant %d and %q", code, out, stderr, test.code, test.says)
			}
		})
	}
	if left, err := os.ReadDir(taken); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
