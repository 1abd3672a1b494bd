package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestADryRunOfASearchHasItsFirstRound(t *testing.T) {
	scenario := filepath.Join("..", "..", "scenarios", "knee-smoke.yaml")
	var stdout, stderr strings.Builder
	if code := run(t.Context(), nil, []string{"run", "--dry-run", "--seed", "1", scenario}, &stdout, &stderr); code != exitFine {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, want := range []string{"search", "no-block-0.5x", "userspace-early-0.5x", "at most 6 more, by what these show"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, stdout.String())
		}
	}
	if code := run(t.Context(), nil, []string{"run", "--dry-run", "--aa", scenario}, &stdout, &stderr); code != exitUsage ||
		!strings.Contains(stderr.String(), "--aa: a search has no differences between variants") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}
