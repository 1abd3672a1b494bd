package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestADryRunOfASearchHasItsFirstRound(t *testing.T) {
	scenario := filepath.Join("..", "..", "scenarios", "knee-smoke.yaml")
	var stdout, stderr strings.Builder
	if code := run(t.Context(), nil, []string{"run", "--dry-run", "--seed", "1", scenario}, &stdout, &stderr); code != exitFine {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, want := range []string{
		"search", "no-block-0.5x", "userspace-early-0.5x", "at most 6 more, depending on the results of these",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	if code := run(t.Context(), nil, []string{"run", "--dry-run", "--aa", scenario}, &stdout, &stderr); code != exitUsage ||
		!strings.Contains(stderr.String(), "--aa: a search has no differences between variants") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

func TestASearchRunsInNamespaces(t *testing.T) {
	testkit.Slow(t, "runs two trials")
	testkit.NeedRoot(t)
	needBinary(t)
	root := t.TempDir()
	b := startBench(t, "run", filepath.Join("..", "..", "scenarios", "knee-smoke.yaml"), "--runtime", "netns",
		"--variants", "userspace-early", "--set", "search.to=1x", "--capacity", "200", "--results", root)
	if code := b.exit(); code != exitFine {
		t.Fatalf("exit code %d", code)
	}
	run := openRun(t, root)
	for _, trial := range run.Trials {
		want := trial.Strength * 200 / 2
		if e := run.Manifest.Experiment.At(trial.PlannedTrial).Parallel; e.RatePerSecond != want {
			t.Errorf("%s: each of two attackers starts %v/s, want %v", trial.Name(), e.RatePerSecond, want)
		}
	}
	if !strings.Contains(b.stdout.String()+b.stderr.String(), "Breaking points") {
		t.Error("the breaking point is not shown")
	}
	if code, out, stderr := command(t, "verify", run.Dir); code != exitFine || !strings.Contains(out, "ok          search") {
		t.Errorf("verify: exit code %d\n%s%s", code, out, stderr)
	}
}
