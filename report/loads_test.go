package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

func TestReportOfTwoLoadsIsAsKept(t *testing.T) {
	dir := synth.TwoLoads().Write(t)
	r := write(t, dir)
	var text, bench bytes.Buffer
	testkit.Must(t, tables.Text(&text, r, 0))
	testkit.Must(t, tables.GoBench(&bench, r))
	golden.CheckAll(t, "two-loads", map[string][]byte{
		"text.txt": text.Bytes(), "gobench.txt": bench.Bytes(), "report.md": reported(t, dir, MarkdownFile),
		"summary.json": reported(t, dir, SummaryFile), "figure-6.csv": reported(t, dir, "figure-6.csv"),
	})
	if f := verified(t, dir); f.Status != results.Holds {
		t.Errorf("verify: %+v", f)
	}
	for _, name := range []string{"figure-3.svg", "figure-latency.pdf", HTMLFile} {
		if _, err := os.Stat(filepath.Join(dir, results.ReportDir, name)); err != nil {
			t.Error(err)
		}
	}
}

// A claim is judged by the load that the paper used for it.
func TestClaimsAreJudgedByTheLoadOfThePaper(t *testing.T) {
	r := summarise(t, synth.TwoLoads().Write(t))
	for _, c := range r.Claims {
		if c.Load != c.Experiment || !c.Change.Known() && !strings.HasPrefix(c.ID, "cpu") {
			t.Errorf("%s is judged by the load %q, %v; want %s", c.Label, c.Load, c.Change, c.Experiment)
		}
	}
}

func TestTheReportOfASweepHasTheStrengthOfEachCell(t *testing.T) {
	run := synth.TwoLoads()
	for i, strength := range []string{"0.5x", "2x"} {
		cell := &run.Cells[i]
		for j := range run.Trials {
			if run.Trials[j].Cell == cell.Name {
				run.Trials[j].Cell = strength
			}
		}
		cell.Name, cell.Load, cell.Point = strength, "", strength
		cell.Experiment = run.Cells[0].Experiment
		cell.Experiment.Parallel.Strength = []float64{0.5, 2}[i]
	}
	dir := run.Write(t)
	write(t, dir)
	text := string(reported(t, dir, MarkdownFile))
	for _, want := range []string{
		"## 0.5x: Figures by variant", "## 2x: The attack", "at 50/s (together 0.5x the server's capacity)",
		"at 50/s (together 2x the server's capacity)", "(figure-3-2x.svg)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %q", MarkdownFile, want)
		}
	}
}
