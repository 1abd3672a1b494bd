package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

var knee = filepath.Join("..", "..", "scenarios", "knee-smoke.yaml")

// briefSearch makes the trials of that search as short as its least number of answers allows.
var briefSearch = []string{
	"--set", "search.to=1x", "--set", "server.key=ecdsa-p256", "--set", "trial.settle=0s",
	"--set", "clients.sequential.rate=50/s", "--set", "clients.sequential.duration=5s",
	"--set", "clients.parallel.delay=2500ms", "--set", "clients.parallel.duration=2500ms",
}

func TestADryRunOfASearchHasItsFirstRound(t *testing.T) {
	var stdout, stderr strings.Builder
	args := []string{"run", "--dry-run", "--seed", "1", knee}
	if code := run(t.Context(), nil, args, &stdout, &stderr); code != exitFine {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, want := range []string{
		"search", "no-block-0.5x", "userspace-early-0.5x", "at most 6 more, depending on the results of these",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	if code := run(t.Context(), nil, []string{"run", "--dry-run", "--aa", knee}, &stdout, &stderr); code != exitUsage ||
		!strings.Contains(stderr.String(), "--aa: a search has no differences between variants") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

func TestASearchRunsInNamespaces(t *testing.T) {
	testkit.Slow(t, "runs two trials")
	testkit.NeedRoot(t)
	needBinary(t)
	root := t.TempDir()
	args := []string{
		"run", knee, "--runtime", runtimeNetns, "--variants", "userspace-early", "--capacity", "100", "--results", root,
	}
	b := startBench(t, append(args, briefSearch...)...)
	if code := b.exit(); code != exitFine {
		t.Fatalf("exit code %d", code)
	}
	run := openRun(t, root)
	for _, trial := range run.Trials {
		want := trial.Strength * 100 / 2
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
