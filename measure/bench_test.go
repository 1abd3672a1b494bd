package measure

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// BenchmarkSystemCall measures the cost for a command of a system call that does
// nothing, in CPU time by the command's own clock. Compare it with and without
// counting.
func BenchmarkSystemCall(b *testing.B) {
	testkit.NeedRoot(b)
	for _, test := range []struct {
		name    string
		counted bool
	}{{"not counted", false}, {"counted", true}} {
		b.Run(test.name, func(b *testing.B) {
			o := runProbe(b, Options{Command: self(b, "many-calls", strconv.Itoa(b.N)), Syscalls: test.counted})
			ns, err := strconv.ParseInt(strings.TrimSpace(o.output), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			if got := o.syscalls["getppid"].Calls; test.counted && got != uint64(b.N) {
				b.Errorf("%d calls counted of %d", got, b.N)
			}
			b.ReportMetric(0, "ns/op") // it would include the probe's start and end
			b.ReportMetric(float64(ns)/float64(b.N), "cpu-ns/call")
		})
	}
}

// manyCalls makes n system calls and prints their CPU time in nanoseconds.
func manyCalls(n int) int {
	before, err1 := processCPUTime(os.Getpid())
	for range n {
		unix.Getppid()
	}
	after, err2 := processCPUTime(os.Getpid())
	if err1 != nil || err2 != nil {
		return 1
	}
	fmt.Println(after - before)
	return 0
}

// BenchmarkSample measures one sample, with warm caches and without the wake-up. The
// samples of a run cost more (Probe.OwnCPUNS).
func BenchmarkSample(b *testing.B) {
	testkit.NeedRoot(b)
	calls, err := attachCounter()
	if err != nil {
		b.Fatal(err)
	}
	defer calls.Close()
	s, err := newSampler(os.Getpid(), Options{Clock: record.ClockAt(time.Now()), CPUs: []int{0}}, calls)
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	before, err1 := processCPUTime(os.Getpid())
	for b.Loop() {
		if _, err := s.read(false); err != nil {
			b.Fatal(err)
		}
	}
	after, err2 := processCPUTime(os.Getpid())
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op") // on a busy machine it is mostly waiting
	b.ReportMetric(float64(after-before)/float64(b.N), "cpu-ns/sample")
}
