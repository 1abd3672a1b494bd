package measure

import (
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestCounterCountsTheCommandAndNoOtherProcess(t *testing.T) {
	testkit.NeedRoot(t)
	// During the test, this process makes the same system calls.
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			_ = unix.Getppid()
			_ = unix.Unlinkat(unix.AT_FDCWD, "/nothing/of/that/name", 0)
		}
	}()
	o := runProbe(t, Options{Command: self(t, "call"), Syscalls: true})
	stop.Store(true)
	<-done

	if !o.probe.SyscallCounter {
		t.Error("the record says that nothing was counted")
	}
	for _, want := range []struct {
		name          string
		calls, errors uint64
	}{
		{"getppid", 1000, 0},
		{"unlinkat", 10, 10},
		{"exit_group", 1, 0},
	} {
		if got := o.syscalls[want.name]; got.Calls != want.calls || got.Errors != want.errors {
			t.Errorf("%s: got %+v, want %d calls, %d errors", want.name, got, want.calls, want.errors)
		}
	}
	if pause := o.syscalls["clock_nanosleep"]; pause.Calls == 0 || pause.TimeNS == 0 || pause.TimeNS >= 10e6 {
		t.Errorf("a pause of 20 ms: got %+v; want its CPU time, without the waiting", pause)
	}
	var sum uint64
	for _, call := range o.syscalls {
		sum += call.Calls
	}
	if last := o.samples[len(o.samples)-1]; last.Syscalls != sum {
		t.Errorf("the last sample has %d calls, the counts by number sum up to %d", last.Syscalls, sum)
	}
	if _, ok := o.syscalls["execve"]; ok {
		t.Error("the exec that began the command was counted")
	}
}

func TestCounterFollowsThreadsFromCPUToCPU(t *testing.T) {
	testkit.NeedRoot(t)
	o := runProbe(t, Options{Command: self(t, "call-from-threads"), Syscalls: true})
	for _, name := range []string{"getppid", "getpriority"} { // the runtime itself makes none of these
		if got := o.syscalls[name]; got.Calls != callingThreads*callsOfThread || got.Errors != 0 {
			t.Errorf("%s: got %+v, want %d calls", name, got, callingThreads*callsOfThread)
		}
	}
	var inCalls int64
	for _, call := range o.syscalls {
		inCalls += int64(call.TimeNS)
	}
	used := o.probe.UserNS + o.probe.SystemNS
	if inCalls == 0 || inCalls > used {
		t.Errorf("%d ns of CPU time in calls of a process that used %d ns", inCalls, used)
	}
	if pause := o.syscalls["nanosleep"]; int64(pause.TimeNS) > used/2 || pause.Calls < callingThreads*callsOfThread {
		t.Errorf("%d pauses took %d ns of %d ns: their waiting is counted", pause.Calls, pause.TimeNS, used)
	}
}

func TestCounterMissesNothing(t *testing.T) {
	testkit.NeedRoot(t)
	c, err := attachCounter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.read(); err == nil {
		t.Error("counts are read although no command was started")
	}
	child, err := startChild(self(t, "call"), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.reap(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.read(); err != nil {
		t.Error(err)
	}
	stats, err := c.objects.OnSysEnter.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.RecursionMisses != 0 {
		t.Errorf("the kernel left the program out %d times", stats.RecursionMisses)
	}
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	for _, test := range []struct {
		name      string
		effective uint64
		missing   []string
	}{
		{"without any both are missing", 0, []string{"CAP_BPF", "CAP_PERFMON"}},
		{"CAP_SYS_ADMIN is enough", 1 << unix.CAP_SYS_ADMIN, nil},
		{"CAP_BPF alone is not enough", 1 << unix.CAP_BPF, []string{"CAP_PERFMON"}},
		{"CAP_BPF and CAP_PERFMON are enough", 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := missingCapabilities(test.effective); !slices.Equal(got, test.missing) {
				t.Errorf("got %v, want %v", got, test.missing)
			}
		})
	}
}

func TestSystemCallsHaveNames(t *testing.T) {
	for number, want := range map[int]string{
		unix.SYS_WRITE:    "write",
		unix.SYS_RECVMMSG: "recvmmsg",
		unix.SYS_PREAD64:  "pread64",
		511:               "syscall_511",
	} {
		if got := syscallName(number); got != want {
			t.Errorf("%d is %q, want %q", number, got, want)
		}
	}
}
