package report

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

func TestTheWordsOfATrialAreItsFigures(t *testing.T) {
	dir := synth.TwoLoads().Write(t)
	run, err := results.Open(dir)
	testkit.Must(t, err)
	form := map[bool]*regexp.Regexp{
		true:  regexp.MustCompile(`^[0-9.,]+/s, p99 [0-9.,]+ ms, CPU [0-9.,]+ %$`),
		false: regexp.MustCompile(`^attack [0-9.,]+/s, CPU [0-9.,]+ %$`),
	}
	seen := map[bool]bool{}
	for _, trial := range run.Trials {
		words, err := analysis.Words(run, trial)
		testkit.Must(t, err)
		honest := run.Manifest.ExperimentOf(trial.Cell).Sequential.Clients > 0
		seen[honest] = true
		if !form[honest].MatchString(words) {
			t.Errorf("%s: %q", trial.Name(), words)
		}
	}
	if len(seen) != 2 {
		t.Errorf("loads with and without sequential clients: %v", seen)
	}
	lost := *run.Trials[0]
	lost.Cell = "nowhere"
	if _, err := analysis.Words(run, &lost); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
}

func TestAReportGoesToAFolderOfItsOwn(t *testing.T) {
	run := synth.OneBlock().Write(t)
	out := filepath.Join(t.TempDir(), "new", "report")
	for range 2 { // the second replaces the first
		_, err := Write(t.Context(), run, Options{Out: out + "/"})
		testkit.Must(t, err)
	}
	if _, err := os.Stat(filepath.Join(out, HTMLFile)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(run, results.ReportDir)); err == nil {
		t.Error("the run has a report, too")
	}
	if _, err := Write(t.Context(), run, Options{Out: filepath.Join(run, "figures")}); !errors.Is(err, ErrNotAReport) {
		t.Errorf("in the run: error %v", err)
	}
	precious := t.TempDir()
	testkit.Must(t, os.WriteFile(filepath.Join(precious, "letter.txt"), nil, 0o600))
	testkit.Must(t, os.WriteFile(filepath.Join(precious, SummaryFile), nil, 0o600)) // another program's
	if _, err := Write(t.Context(), run, Options{Out: precious}); !errors.Is(err, ErrNotAReport) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(precious, "letter.txt")); err != nil {
		t.Error("a report has replaced what was no report")
	}
}
