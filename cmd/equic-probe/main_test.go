package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/measure"
	"github.com/equic-bench/equic-bench/record"
)

func TestExitCodeAndMessage(t *testing.T) {
	for _, test := range []struct {
		name, epoch string
		args        []string
		code        int
		message     string // on standard error
	}{
		{name: "the command's success is passed on", args: []string{"--", "sh", "-c", "exit 0"}},
		{name: "the command's failure is passed on", args: []string{"--", "sh", "-c", "exit 3"}, code: 3},
		{
			name: "a command that does not exist is 127", args: []string{"--", "/nothing"}, code: 127,
			message: "start /nothing",
		},
		{name: "a directory as command is 126", args: []string{"--", "/"}, code: 126, message: "start /"},
		{
			name: "a measurement that fails is 125", args: []string{"--cpus", "65535", "--", "sh"}, code: 125,
			message: "/proc/stat",
		},
		{name: "no command is bad usage", code: 2, message: "no command"},
		{name: "an unknown flag is bad usage", args: []string{"--nothing"}, code: 2, message: "nothing"},
		{
			name: "a list of CPUs that is none is bad usage", args: []string{"--cpus", "0,x", "--", "sh"}, code: 2,
			message: `"x"`,
		},
		{
			name: "an interval of zero is bad usage", args: []string{"--interval", "0s", "--", "sh"}, code: 2,
			message: "--interval",
		},
		{
			name: "an epoch that is none is bad usage", epoch: "noon", args: []string{"--", "sh"}, code: 2,
			message: "EQUIC_EPOCH",
		},
		{name: "help is no failure", args: []string{"--help"}, message: "usage:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stderr")
			stderr, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			var stdout bytes.Buffer
			code := run(t.Context(), test.args, environment(test.epoch), &stdout, stderr)
			if err := stderr.Close(); err != nil {
				t.Fatal(err)
			}
			message, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if code != test.code || !strings.Contains(string(message), test.message) {
				t.Errorf("got %d, %q; want %d, %q", code, message, test.code, test.message)
			}
			if test.message == "" && !strings.Contains(stdout.String(), `{"probe":`) {
				t.Errorf("no record in %q", &stdout)
			}
		})
	}
}

func TestParseFillsTheOptions(t *testing.T) {
	var stderr bytes.Buffer
	args := []string{"--interval", "50ms", "--syscalls", "--cpus", "1,0", "--", "/equic-server", "--quota", "5"}
	got, _, err := parse(args, environment("1500000000000000001"), &stderr)
	if err != nil {
		t.Fatal(err)
	}
	want := measure.Options{
		Command:  []string{"/equic-server", "--quota", "5"},
		Interval: 50 * time.Millisecond,
		CPUs:     []int{1, 0},
		Syscalls: true,
	}
	if since, want := got.Clock.Now(), time.Since(time.Unix(1_500_000_000, 1)).Nanoseconds(); since > want ||
		since < want-int64(time.Minute) {
		t.Errorf("the clock shows %d ns since the epoch, not %d", since, want)
	}
	got.Clock = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// environment returns the environment of a node with the given epoch.
func environment(epoch string) func(string) string {
	return func(name string) string {
		if name == record.EnvEpoch {
			return epoch
		}
		return ""
	}
}

func TestPinBindsTheProbeAndItsCommand(t *testing.T) {
	probe := filepath.Join(testkit.Build(t, "."), "equic-probe")
	allowed, err := host.Affinity()
	testkit.Must(t, err)
	last := strconv.Itoa(allowed[len(allowed)-1])
	run := func(pin string) (stdout, stderr string) {
		c := exec.CommandContext(t.Context(), probe, "--pin", pin, "--", "grep", "Cpus_allowed_list", "/proc/self/status")
		c.Env = append(os.Environ(), record.EnvEpoch+"=1500000000000000001")
		var out, log strings.Builder
		c.Stdout, c.Stderr = &out, &log
		_ = c.Run() // the exit code is in what it prints
		return out.String(), log.String()
	}
	if out, log := run(last); !strings.Contains(out, "Cpus_allowed_list:\t"+last+"\n") {
		t.Errorf("pinned to %s: %s%s", last, out, log)
	}
	if out, log := run("1000"); !strings.Contains(log, "--pin [1000]") {
		t.Errorf("pinned to a CPU that is not there: %s%s", out, log)
	}
}
