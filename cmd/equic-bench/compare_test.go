package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// tinyRun makes a run directory whose trials have one figure, the peak memory, in MiB.
func tinyRun(t *testing.T, day int, kernel string, peaks ...int64) string {
	t.Helper()
	started := time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)
	w, err := results.Create(t.TempDir(), "tiny", started)
	check(t, err)
	check(t, w.WriteManifest(&results.Manifest{
		Schema: results.SchemaVersion, ID: w.ID, Started: started, Scenario: "tiny",
		Experiment: results.Experiment{Variants: []string{"no-block"}}, Machine: results.Machine{Kernel: kernel},
	}))
	for i, peak := range peaks {
		p := results.PlannedTrial{Index: i + 1, Block: i + 1, Variant: "no-block"}
		trial, err := w.BeginTrial(p, 1)
		check(t, err)
		line, err := json.Marshal(record.Line{Probe: &record.Probe{PeakRSSBytes: peak << 20}})
		check(t, err)
		check(t, os.WriteFile(trial.Path("server.jsonl"), append(line, '\n'), 0o644))
		check(t, trial.Commit(&results.Trial{
			PlannedTrial: p, Attempt: 1, Valid: true,
			Nodes: []results.Node{{Name: "server", Role: results.RoleServer, Records: "server.jsonl"}},
		}))
	}
	return w.Dir
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCompareEndsWithACodeForEachOutcome(t *testing.T) {
	base := tinyRun(t, 1, "6.18", 100, 101, 100, 101, 100)
	damaged := tinyRun(t, 8, "6.18", 100)
	check(t, os.WriteFile(filepath.Join(damaged, results.ManifestFile), []byte("{"), 0o644))
	tests := []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"the same figures are fine", []string{base, tinyRun(t, 2, "6.18", 101, 100, 101, 100, 101)}, 0, "not changed", ""},
		{"less memory is fine", []string{base, tinyRun(t, 3, "6.18", 50, 51, 50, 51, 50)}, 0, "changed, better", ""},
		{
			"more memory is a regression",
			[]string{base, tinyRun(t, 4, "6.18", 200, 201, 200, 201, 200)},
			5, "changed, worse",
			"a regression: memory-peak of no-block +100.0 %",
		},
		{
			"one trial is too few to be sure",
			[]string{base, tinyRun(t, 5, "6.18", 200)},
			6, "unsure",
			"unsure: memory-peak of no-block",
		},
		{
			"a change by exactly the threshold counts",
			[]string{tinyRun(t, 1, "6.18", 100, 100, 100, 100), tinyRun(t, 2, "6.18", 105, 105, 105, 105)},
			5, "changed, worse",
			"+5.0 %",
		},
		{
			"one just below it does not",
			[]string{tinyRun(t, 1, "6.18", 1000, 1000, 1000, 1000), tinyRun(t, 2, "6.18", 1049, 1049, 1049, 1049)},
			0,
			"not changed", "",
		},
		{
			"a change below a wider threshold is fine",
			[]string{base, tinyRun(t, 4, "6.18", 200, 201, 200, 201, 200), "--threshold", "200%"},
			0, "not changed", "",
		},
		{"another kernel is refused", []string{base, tinyRun(t, 6, "6.1", 100)}, 2, "", "kernel: 6.18 in BASE, 6.1 in NEW"},
		{
			"another kernel is compared by force",
			[]string{base, tinyRun(t, 6, "6.1", 100, 101, 100, 101, 100), "--force"},
			0,
			"compared by force, though they differ: kernel", "",
		},
		{
			"Markdown is a table",
			[]string{base, tinyRun(t, 2, "6.18", 101, 100, 101, 100, 101), "--format", "markdown"},
			0,
			"| memory-peak (MiB) | no-block |", "",
		},
		{
			"JSON has the verdict",
			[]string{base, tinyRun(t, 4, "6.18", 200, 201, 200, 201, 200), "--format", "json"},
			5,
			`"verdict": "regression"`, "a regression",
		},
		{"a folder that is no run is refused", []string{base, t.TempDir()}, 2, "", "NEW: no run"},
		{"a damaged run is refused", []string{base, damaged}, 2, "", "manifest.json"},
		{"a run is not compared to itself", []string{base, base}, 2, "", "are one run"},
		{"two runs are needed", []string{base}, 2, "", "an argument is missing: compare BASE NEW"},
		{
			"a threshold without % is refused",
			[]string{base, base, "--threshold", "5"},
			2, "",
			`"5" is not a percentage above zero; write it as 5%`,
		},
		{"a threshold of zero is refused", []string{base, base, "--threshold", "0%"}, 2, "", "not a percentage above zero"},
		{
			"a format that does not exist is refused",
			[]string{base, base, "--format", "xml"},
			2, "",
			`format "xml" is unknown, use text, markdown or json`,
		},
		{"a metric that does not exist is refused", []string{base, base, "--metrics", "joy"}, 2, "", `unknown metric "joy"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), nil, append([]string{"compare"}, tt.args...), &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d; %s", code, tt.code, stderr.String())
			}
			for what, v := range map[string][2]string{
				"output": {stdout.String(), tt.stdout},
				"error":  {stderr.String(), tt.stderr},
			} {
				if !strings.Contains(v[0], v[1]) || (v[0] == "") != (v[1] == "") {
					t.Errorf("standard %s is %q, want it to say %q", what, v[0], v[1])
				}
			}
		})
	}
}
