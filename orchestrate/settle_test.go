package orchestrate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// readings returns a reader of two CPUs. Each reading is 40 ticks after the last; the
// given numbers of ticks were busy and in softirq. The last reading is repeated.
func readings(t *testing.T, ticks ...[2]int64) cpuReader {
	t.Helper()
	var sum host.CPUTimes
	n := -1
	return func([]int) (host.CPUTimes, error) {
		if n++; n > 0 {
			use := ticks[min(n, len(ticks))-1]
			sum.All, sum.Busy, sum.SoftIRQ = sum.All+40, sum.Busy+use[0], sum.SoftIRQ+use[1]
		}
		return sum, nil
	}
}

func TestSettlingWaitsUntilTheCPUsAreQuiet(t *testing.T) {
	quiet, busy := [2]int64{1, 0}, [2]int64{20, 1}
	tests := map[string]struct {
		ticks         [][2]int64
		limit, waited time.Duration
		quiet         bool
		busy, softIRQ float64
	}{
		"quiet at once": {[][2]int64{quiet}, 5 * time.Second, 600 * time.Millisecond, true, 0.025, 0},
		"quiet after a while": {
			[][2]int64{busy, busy, quiet},
			5 * time.Second, time.Second, true, 0.025,
			0,
		},
		"quiet once is not quiet": {
			[][2]int64{quiet, quiet, busy, quiet},
			5 * time.Second,
			1200 * time.Millisecond, true, 0.025, 0,
		},
		"never quiet":                           {[][2]int64{busy}, 2 * time.Second, 2 * time.Second, false, 0.5, 0.025},
		"a tenth is busy":                       {[][2]int64{{4, 0}}, time.Second, time.Second, false, 0.1, 0},
		"little is busy, but that with packets": {[][2]int64{{2, 2}}, time.Second, time.Second, false, 0.05, 0.05},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := settle(t.Context(), []int{0, 1}, test.limit, readings(t, test.ticks...))
				if err != nil {
					t.Fatal(err)
				}
				want := results.Settling{
					WaitNS: test.waited.Nanoseconds(), LimitNS: test.limit.Nanoseconds(),
					Busy: test.busy, SoftIRQ: test.softIRQ, Quiet: test.quiet,
				}
				if *s != want {
					t.Errorf("%+v, want %+v", *s, want)
				}
				if warned := settleWarning(s) != ""; warned == test.quiet {
					t.Errorf("a warning: %v", warned)
				}
			})
		})
	}
}

func TestSettlingEndsWhereTheTimesCannotBeRead(t *testing.T) {
	s, err := settle(t.Context(), nil, time.Hour, func([]int) (host.CPUTimes, error) { return host.CPUTimes{}, errEngine })
	if err != nil || s.Quiet || !strings.Contains(settleWarning(s), errEngine.Error()) {
		t.Errorf("%+v, %v; want a warning with the reader's error", s, err)
	}
}

func TestSettlingIsRecordedOutsideOfTheOverheadOfEachTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Repetitions, s.Trial.Settle = 2, 3*time.Second
		o.CPUTimes = readings(t, [2]int64{40, 0})
		settles := 0
		o.OnEvent = func(e Event) {
			if e.Phase == PhaseSettle {
				settles++
			}
		}
		outcome, err := Run(t.Context(), s, newFake(s), o)
		if err != nil {
			t.Fatal(err)
		}
		if outcome.Settled != 3*time.Second || outcome.Overhead >= 3*time.Second || settles != 2 {
			t.Errorf("%s to settle, overhead %s, %d times; want 3s, and less, twice", outcome.Settled, outcome.Overhead, settles)
		}
		for _, trial := range checkSealed(t, outcome.Dir).Trials {
			if trial.Settling == nil || trial.Settling.Quiet || trial.Settling.WaitNS != 3e9 {
				t.Errorf("%s: settling %+v", trial.Name(), trial.Settling)
			}
			if !trial.Valid || len(trial.Warnings) != 1 || !strings.Contains(trial.Warnings[0], "100 % busy") {
				t.Errorf("%s: valid %v, warnings %q", trial.Name(), trial.Valid, trial.Warnings)
			}
		}
	})
}

func TestSettlingEndsWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := oneTrial(record.NoBlock), testOptions(t)
		s.Trial.Settle = time.Hour
		o.CPUTimes = readings(t, [2]int64{40, 0})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		rt := newFake(s)
		if _, err := Run(ctx, s, rt, o); !errors.Is(err, context.DeadlineExceeded) || rt.opened != 0 {
			t.Errorf("error %v and %d trials, want that of the context and none", err, rt.opened)
		}
	})
}
