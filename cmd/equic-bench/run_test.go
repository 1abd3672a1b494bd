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
		"paper.yaml": {"paper: 3 trials of 1:45, 5:15 in all", `"expected_ns":315000000000,`},
		"cost.yaml":  {"cost: 16 trials, each as long as its requests take, which nobody knows before", `"expected_ns":null,`},
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

func TestAResumedRunIsLookedForWhereItIs(t *testing.T) {
	text, err := os.ReadFile(faults)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	w, err := results.Create(root, "faults", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteScenario(text); err != nil {
		t.Fatal(err)
	}
	m := &results.Manifest{Schema: results.SchemaVersion, ID: w.ID, Experiment: results.Experiment{Variants: []string{"no-block"}}}
	if err := w.WriteManifest(m); err != nil {
		t.Fatal(err)
	}
	t.Chdir(w.Dir)
	for name, run := range map[string]string{
		"by its path":           w.Dir,
		"by a path with a dot":  w.Dir + "/.",
		"from its own folder":   ".",
		"from the folder above": filepath.Join("..", w.ID),
	} {
		t.Run(name, func(t *testing.T) {
			o := runOptions{runtime: runtimeAuto, results: defaultResults, resume: run}
			if _, err := o.scenario(runCommand(), nil); err != nil {
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
	code := run(t.Context(), args, io.Discard, &stderr)
	const want = "--keep needs the runtime docker: network namespaces end with the run"
	if code != exitUsage || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d: %s, want %d: %s", code, &stderr, exitUsage, want)
	}
}
