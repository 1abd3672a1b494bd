package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

func TestThePlanSaysHowLongItTakesOrThatNobodyKnows(t *testing.T) {
	for file, want := range map[string]struct{ words, asJSON string }{
		"quick.yaml": {"quick: 3 trials of 0:32, 1:36 in all", `"expected_ns":96000000000,`},
		"paper.yaml": {"paper: 6 trials, 5:30 or more in all", `"expected_ns":null,`},
		"cost.yaml": {
			"cost: 16 trials, each as long as its requests take, which is not yet known",
			`"expected_ns":null,`,
		},
		"knee-smoke.yaml": {
			"knee-smoke: at most 8 trials of 0:13, 1:44 in all", `"most_trials":8}`,
		},
	} {
		s, err := scenarios.Load(filepath.Join("..", "..", "scenarios", file))
		if err != nil {
			t.Fatal(err)
		}
		for asJSON, says := range map[bool]string{false: want.words, true: want.asJSON} {
			var out strings.Builder
			o := runOptions{seed: 1, json: asJSON}
			if err := o.describe(&out, s); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), says) {
				t.Errorf("%s: %s; want %q", file, out.String(), says)
			}
		}
	}
}

// startedRun makes a run directory with only a scenario and a manifest.
func startedRun(t *testing.T, root, scenario string) *results.Writer {
	t.Helper()
	text, err := os.ReadFile(scenario)
	if err != nil {
		t.Fatal(err)
	}
	w, err := results.Create(root, "faults", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteScenario(text); err != nil {
		t.Fatal(err)
	}
	m := &results.Manifest{
		Schema: results.SchemaVersion, ID: w.ID,
		Experiment: results.Experiment{Variants: []string{"no-block"}},
	}
	if err := w.WriteManifest(m); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAnOldRunOfARemovedKeyIsNotResumed(t *testing.T) {
	w := startedRun(t, t.TempDir(), filepath.Join("..", "..", "scenarios", "testdata", "bad", "removed-keys.yaml"))
	var stdout, stderr strings.Builder
	if code := run(t.Context(), nil, []string{"run", "--resume", w.Dir}, &stdout, &stderr); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	want := "equic-bench: cannot resume " + w.Dir + ": " + filepath.Join(w.Dir, results.ScenarioFile) + ":5:3: " +
		"trial.unmeasured was removed; use trial.alternate, which measures the cost of measuring within a trial: start a " +
		"new run\n"
	if stderr.String() != want || stdout.Len() > 0 {
		t.Errorf("it printed %q and %q, want %q", &stdout, &stderr, want)
	}
}

func TestAResumedRunIsLookedForWhereItIs(t *testing.T) {
	root := t.TempDir()
	w := startedRun(t, root, faults)
	t.Chdir(w.Dir)
	for name, run := range map[string]string{
		"by its path":           w.Dir,
		"by a path with a dot":  w.Dir + "/.",
		"from its own folder":   ".",
		"from the folder above": filepath.Join("..", w.ID),
	} {
		t.Run(name, func(t *testing.T) {
			o := runOptions{runtime: runtimeAuto, results: defaultResults, resume: run}
			if _, err := o.scenario(runCommand(nil), nil); err != nil {
				t.Fatal(err)
			}
			if o.results != root {
				t.Errorf("the machine is examined and swept for %s, want %s", o.results, root)
			}
		})
	}
}

func TestNodesAreKeptOnlyByARuntimeThatCan(t *testing.T) {
	needRoot(t)
	var stderr bytes.Buffer
	args := []string{"run", "../../scenarios/smoke.yaml", "--keep", "--runtime", runtimeNetns, "--bin", t.TempDir()}
	code := run(t.Context(), nil, args, io.Discard, &stderr)
	const want = "--keep needs the runtime docker: network namespaces end with the run"
	if code != exitUsage || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d: %s, want %d: %s", code, &stderr, exitUsage, want)
	}
}
