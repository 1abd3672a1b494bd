package main

import (
	"path/filepath"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestEachKindOfFloodRunsInNamespacesOverBothVersionsOfIP(t *testing.T) {
	testkit.NeedRoot(t)
	needBinary(t)
	root := t.TempDir()
	b := startBench(t, "run", "../../scenarios/floods.yaml", "--results", root, "--runtime", runtimeNetns,
		"--variants", "xdp-block-new", "--set", "network.family=both", "--set", "trial.settle=0s")
	if code := b.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	r := openRun(t, root)
	seen := map[string]bool{}
	for _, trial := range r.Trials {
		if !trial.Valid {
			continue
		}
		seen[trial.Label()] = true
		if trial.FloodFrames == nil || *trial.FloodFrames == 0 {
			t.Errorf("%s: nothing counted its frames", trial.Label())
		}
	}
	together := r.Manifest.ExperimentOf("together")
	if together.Parallel.Kind != record.Hold || len(together.Background) != 1 || together.Neighbour.Clients != 1 {
		t.Errorf("two attacks and a neighbour: %+v", together)
	}
	if want := len(r.Manifest.Plan); len(seen) != want {
		t.Errorf("valid trials of %d cells and variants, want %d", len(seen), want)
	}
	if files := readTree(t, filepath.Join(r.Dir, results.ReportDir)); len(files["report.md"]) == 0 {
		t.Error("there is no report")
	}
}
