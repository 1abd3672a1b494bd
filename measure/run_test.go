package measure

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

func TestRunReturnsTheCommandsExitCode(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		signal string
	}{
		{"success is 0", []string{"exit", "0"}, 0, ""},
		{"a failure keeps its code", []string{"exit", "3"}, 3, ""},
		{"death by SIGKILL is 137", []string{"die", "9"}, 137, "SIGKILL"},
		{"death by SIGTERM is 143", []string{"die", "15"}, 143, "SIGTERM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := runProbe(t, Options{Command: self(t, test.args...)})
			if o.code != test.code || o.probe.ExitCode != test.code || o.probe.Signal != test.signal {
				t.Errorf("got code %d, record %d %q; want %d %q",
					o.code, o.probe.ExitCode, o.probe.Signal, test.code, test.signal)
			}
		})
	}
}

func TestRunSaysWhyACommandDidNotStart(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		name    string
		command []string
		code    int
	}{
		{"no command is the probe's own failure", nil, ExitFailed},
		{"a name that is not in PATH is not found", []string{"no-command-of-that-name"}, ExitNotFound},
		{"a path that does not exist is not found", []string{filepath.Join(dir, "nothing")}, ExitNotFound},
		{"a file without execute permission cannot be executed", []string{script("plain", "text", 0o644)}, ExitNotExecutable},
		{"a file that is no program cannot be executed", []string{script("bytes", "\x01\x02", 0o755)}, ExitNotExecutable},
		{"a directory cannot be executed", []string{dir}, ExitNotExecutable},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, err := Run(t.Context(), Options{Command: test.command, Stdout: io.Discard})
			if err == nil || code != test.code {
				t.Errorf("got code %d, error %v; want code %d", code, err, test.code)
			}
		})
	}
}

func TestRunRejectsACPUThatDoesNotExist(t *testing.T) {
	code, err := Run(t.Context(), Options{Command: self(t, "idle"), CPUs: []int{4095}, Stdout: io.Discard})
	if err == nil || code != ExitFailed {
		t.Errorf("got code %d, error %v", code, err)
	}
}

func TestRunForwardsSignals(t *testing.T) {
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2} {
		t.Run(unix.SignalName(s)+" reaches the command", func(t *testing.T) {
			ready := make(chan string, 1)
			stdout := &lineWriter{first: ready}
			done := make(chan int, 1)
			go func() {
				code, err := Run(t.Context(), Options{Command: self(t, "await-signal"), Stdout: stdout})
				if err != nil {
					t.Error(err)
				}
				done <- code
			}()
			<-ready
			if err := unix.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			if code := <-done; code != int(s) {
				t.Errorf("the command got signal %d, want %d", code, s)
			}
		})
	}
}

func TestRunKillsTheCommandWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan string, 1)
	stdout := &lineWriter{first: ready}
	go func() {
		<-ready
		cancel()
	}()
	code, err := Run(ctx, Options{Command: self(t, "await-signal"), Stdout: stdout})
	if err != nil || code != 137 {
		t.Errorf("got code %d, error %v; want 137", code, err)
	}
	takeApart(t, stdout.Bytes())
}

func TestOutputPassesUnchangedAndInWholeLines(t *testing.T) {
	o := runProbe(t, Options{Command: self(t, "write")})
	if want := manyLines() + "\n"; o.output != want {
		t.Errorf("got %d bytes, want %d, or they differ", len(o.output), len(want))
	}
}

func TestRunReportsAnOutputThatCannotBeWritten(t *testing.T) {
	code, err := Run(t.Context(), Options{Command: self(t, "write"), Stdout: fullWriter{}})
	if !errors.Is(err, unix.ENOSPC) || code != ExitFailed {
		t.Errorf("got code %d, error %v", code, err)
	}
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, unix.ENOSPC }

func TestRunDoesNotWaitForAnHeirOfTheOutput(t *testing.T) {
	o := runProbe(t, Options{Command: self(t, "leave-heir")})
	heir, err := strconv.Atoi(strings.TrimSpace(o.output))
	if err != nil || heir <= 0 { // kill(2) takes 0 and less for many processes
		t.Fatalf("the heir's process id is %q: %v", o.output, err)
	}
	if err := unix.Kill(heir, unix.SIGKILL); err != nil {
		t.Errorf("the heir should have outlived the command: %v", err)
	}
}

func TestProcessOneReapsOrphansAndCountsInItsNamespace(t *testing.T) {
	testkit.NeedRoot(t)
	for _, what := range []string{"make-orphans", "call"} {
		path, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, path, "as-process-1", what)
		cmd.Stderr = &stderr
		cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		stdout, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s under process 1: %v: %s", what, err, &stderr)
		}
		o := takeApart(t, stdout)
		if o.probe.ExitCode != 0 || len(o.samples) == 0 {
			t.Errorf("%s: got %+v", what, o.probe)
		}
		if what == "call" && o.syscalls["getppid"].Calls != 1000 {
			t.Errorf("got %+v, want 1000 calls", o.syscalls["getppid"])
		}
	}
}

func TestCPUTimeOfABurningCommandIsItsResourceUsage(t *testing.T) {
	o := runProbe(t, Options{Command: self(t, "burn"), Interval: 10 * time.Millisecond})
	last := o.samples[len(o.samples)-1].CPUNS
	used := o.probe.UserNS + o.probe.SystemNS
	if diff := last - used; diff < -10e6 || diff > 10e6 {
		t.Errorf("the last sample has %d ns, the resource usage %d ns", last, used)
	}
	if last < 300e6 {
		t.Errorf("the last sample has %d ns, less than was burnt", last)
	}
	if o.probe.OwnCPUNS <= 0 {
		t.Errorf("own CPU time is %d ns", o.probe.OwnCPUNS)
	}
}

func TestMemoryOfAGrowingCommandRises(t *testing.T) {
	o := runProbe(t, Options{Command: self(t, "grow"), Interval: 5 * time.Millisecond})
	low, high := o.samples[0].RSSBytes, int64(0)
	for _, s := range o.samples {
		low, high = min(low, s.RSSBytes), max(high, s.RSSBytes)
	}
	if low <= 0 || high-low < 48<<20 {
		t.Errorf("resident set from %d to %d bytes, want a rise of 64 MiB", low, high)
	}
	if o.probe.PeakRSSBytes < high {
		t.Errorf("peak %d is below a sample of %d bytes", o.probe.PeakRSSBytes, high)
	}
}

func TestSamplesAreCountedAndNeverGoBack(t *testing.T) {
	epoch := time.Now().Add(time.Hour)
	o := runProbe(t, Options{
		Command: self(t, "burn"), Interval: 5 * time.Millisecond, Clock: record.ClockAt(epoch), CPUs: []int{0},
	})
	if o.probe.Samples != len(o.samples) || len(o.samples) < 2 {
		t.Errorf("%d samples, the record says %d", len(o.samples), o.probe.Samples)
	}
	if !slices.Equal(o.probe.CPUs, []int{0}) {
		t.Errorf("CPUs are %v", o.probe.CPUs)
	}
	for i, s := range o.samples {
		if s.AtNS > 0 || s.AtNS < -int64(time.Hour) {
			t.Fatalf("sample %d is at %d ns, an hour before the epoch", i, s.AtNS)
		}
		if i == 0 {
			continue
		}
		p := o.samples[i-1]
		if s.AtNS <= p.AtNS || s.CPUNS < p.CPUNS || s.BusyNS < p.BusyNS || s.UDPInDatagrams < p.UDPInDatagrams {
			t.Errorf("sample %d goes back: %+v after %+v", i, s, p)
		}
	}
}
