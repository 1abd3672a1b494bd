package testkit

import (
	"os"
	"os/exec"
	"testing"
)

// With -short a test needs neither root nor an engine, and takes no more than a few
// seconds: NeedRoot, NeedEngine and Slow skip the others. Without -short, a test is
// skipped only if the machine lacks something. With CI=true that is a failure, since
// the skip would hide untested code.

// NeedRoot skips a test that needs root: it loads programs into the kernel or
// makes namespaces.
func NeedRoot(tb testing.TB) {
	tb.Helper()
	skipShort(tb, "needs root")
	if os.Geteuid() != 0 {
		Lack(tb, "needs root")
	}
}

// NeedEngine skips a test that needs a Docker engine.
func NeedEngine(tb testing.TB) {
	tb.Helper()
	skipShort(tb, "needs a Docker engine")
	if err := exec.CommandContext(tb.Context(), "docker", "version").Run(); err != nil {
		Lack(tb, "no Docker engine answers: "+err.Error())
	}
}

// NeedTool skips a test that runs a program that is not installed.
func NeedTool(tb testing.TB, name string) {
	tb.Helper()
	if _, err := exec.LookPath(name); err != nil {
		Lack(tb, err.Error())
	}
}

// Slow skips a test with -short. The reason is what takes so long.
func Slow(tb testing.TB, reason string) {
	tb.Helper()
	skipShort(tb, reason)
}

// Lack skips a test because this machine lacks something. With CI=true and without
// -short, it fails the test instead.
func Lack(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("CI") == "true" && !testing.Short() {
		tb.Fatalf("%s, and CI=true forbids skipping", reason)
	}
	tb.Skip(reason)
}

func skipShort(tb testing.TB, reason string) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("-short: " + reason)
	}
}
