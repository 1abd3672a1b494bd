package measure

import (
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// late is the most time between reading the clock and the sample.
const late = int64(5 * time.Millisecond)

func TestAnAlternationMeasuresInHalfOfTheStretches(t *testing.T) {
	testkit.NeedRoot(t)
	const interval, stretch = 20 * time.Millisecond, 200 * time.Millisecond
	o := runProbe(t, Options{
		Command: self(t, "call-for", "4s"), Interval: interval, Alternate: stretch, Syscalls: true,
		Clock: record.ClockAt(time.Now().Add(200 * time.Millisecond)),
	})
	if len(o.syscalls) > 0 || o.probe.SyscallCounter {
		t.Errorf("%d system calls are told of half a run, counter %v", len(o.syscalls), o.probe.SyscallCounter)
	}
	// Time and calls between two samples in the same stretch, and between two samples
	// on either side of stretches that are not measured.
	var within, across struct{ ns, calls int64 }
	seen := map[int64]bool{}
	live := o.samples[:len(o.samples)-1] // the last is the one at the end, at any time
	for i, s := range live {
		n := floor(s.AtNS, int64(stretch))
		if !record.MeasuredStretch(n) && !record.MeasuredStretch(floor(s.AtNS-late, int64(stretch))) {
			t.Errorf("a sample at %s, in stretch %d, which is not measured", time.Duration(s.AtNS), n)
		}
		seen[n] = true
		if i == 0 {
			continue
		}
		was := live[i-1]
		sum := &within
		if floor(was.AtNS, int64(stretch)) < n-1 {
			sum = &across
		} else if floor(was.AtNS, int64(stretch)) != n {
			continue
		}
		sum.ns += s.AtNS - was.AtNS
		sum.calls += int64(s.Syscalls - was.Syscalls)
	}
	for n := floor(live[0].AtNS, int64(stretch)); n < int64(3*time.Second/stretch); n++ { // slow machines begin late
		if record.MeasuredStretch(n) && !seen[n] {
			t.Errorf("no sample in stretch %d, which is measured", n)
		}
	}
	if within.calls == 0 || across.ns == 0 {
		t.Fatalf("%d calls in %s of measured stretches, %s across others", within.calls, time.Duration(within.ns),
			time.Duration(across.ns))
	}
	rate := float64(within.calls) / float64(within.ns)
	if counted := float64(across.calls) / float64(across.ns); counted > rate/2 {
		t.Errorf("%.0f calls/ms counted across stretches that are not measured, %.0f in those that are", counted*1e6,
			rate*1e6)
	}
}

// Without a counter, alternation needs no capability that the probe does not have.
func TestAnAlternationOfSamplesAlone(t *testing.T) {
	const interval, stretch = 20 * time.Millisecond, 60 * time.Millisecond
	o := runProbe(t, Options{
		Command: self(t, "call-for", "1s"), Interval: interval, Alternate: stretch,
		Clock: record.ClockAt(time.Now()),
	})
	if len(o.samples) < 5 {
		t.Errorf("%d samples", len(o.samples))
	}
	for _, s := range o.samples[:len(o.samples)-1] {
		if n := floor(s.AtNS, int64(stretch)); !record.MeasuredStretch(n) &&
			!record.MeasuredStretch(floor(s.AtNS-late, int64(stretch))) {
			t.Errorf("a sample at %s, in stretch %d, which is not measured", time.Duration(s.AtNS), n)
		}
	}
}

func TestStretchesAreWholeIntervals(t *testing.T) {
	for _, alternate := range []time.Duration{-time.Second, 150 * time.Millisecond} {
		code, err := Run(t.Context(),
			Options{Command: self(t, "exit", "0"), Interval: 100 * time.Millisecond, Alternate: alternate})
		if code != ExitFailed || err == nil {
			t.Errorf("stretches of %s: code %d, error %v", alternate, code, err)
		}
	}
}
