package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

// aTrial returns the events of one trial, with their times.
func aTrial() (events []orchestrate.Event, at []time.Duration) {
	add := func(after time.Duration, e orchestrate.Event) {
		if e.Phase != orchestrate.PhasePrepare {
			e.Trial = results.PlannedTrial{Index: 2, Block: 1, Variant: "xdp-block"}
		}
		e.Trials = 3
		events, at = append(events, e), append(at, after)
	}
	cpus := host.CPUTimes{All: 1_000_000, Busy: 500_000}
	load := func(after time.Duration, phase string, requests int, live *orchestrate.Live) {
		if live != nil { // in ticks of 10 ms; an eighth of them busy until the attack
			ticks, busy := int64((after-at[len(at)-1])/(10*time.Millisecond)), 0.125
			if phase == orchestrate.PhaseAttack {
				busy = 0.98
			}
			cpus.All, cpus.Busy = cpus.All+ticks, cpus.Busy+int64(busy*float64(ticks))
			live.ServerCPUs = cpus
		}
		add(after, orchestrate.Event{
			Phase: phase, Elapsed: after, Expected: 105 * time.Second, Requests: requests,
			RequestsTotal: 8000, Live: live,
		})
	}
	quiet := func(ok int) *orchestrate.Live {
		return &orchestrate.Live{Sequential: orchestrate.Tally{Started: ok, Done: ok, OK: ok}}
	}
	attack := func(ok, attacks int) *orchestrate.Live {
		l := quiet(ok)
		l.Attack = orchestrate.Tally{Started: attacks, Done: attacks / 2, OK: attacks / 10}
		l.Refused, l.Dropped = attacks/100, attacks*3
		return l
	}
	add(0, orchestrate.Event{Phase: orchestrate.PhasePrepare})
	load(1*time.Second, orchestrate.PhaseStart, 0, nil)
	load(5*time.Second, orchestrate.PhaseBefore, 0, quiet(0))
	load(6*time.Second, orchestrate.PhaseBefore, 40, quiet(40))
	load(14*time.Second, orchestrate.PhaseBefore, 360, quiet(360))
	load(15*time.Second, orchestrate.PhaseBefore, 400, quiet(400))
	load(35*time.Second, orchestrate.PhaseAttack, 1200, attack(1200, 0))
	load(36*time.Second, orchestrate.PhaseAttack, 1500, attack(1230, 600))
	load(46*time.Second, orchestrate.PhaseAttack, 1500, attack(1530, 6600))
	add(47*time.Second, orchestrate.Event{Phase: orchestrate.PhaseDone, Message: "valid"})
	return events, at
}

func shown(p *progress) string {
	var out bytes.Buffer
	p.out = &out
	events, at := aTrial()
	for i, e := range events {
		p.now = func() time.Time { return time.Unix(1000, 0).Add(at[i]) }
		p.event(e)
	}
	p.end()
	return out.String()
}

func TestProgressElsewhereIsALineForEachPhaseAndOneEveryTenSeconds(t *testing.T) {
	want := `prepare
2 of 3, xdp-block: start, 0:01 of 1:45, 3:29 left, 0 of 8000 requests
2 of 3, xdp-block: before attack, 0:05 of 1:45, 3:25 left, 0 of 8000 requests
2 of 3, xdp-block: before attack, 0:15 of 1:45, 3:15 left, 40/s ok, server CPU 12 %, 400 of 8000 requests
2 of 3, xdp-block: attack, 0:35 of 1:45, 2:55 left, 40/s ok, server CPU 98 %, 1200 of 8000 requests
2 of 3, xdp-block: attack, 0:46 of 1:45, 2:44 left, 30/s ok, server CPU 98 %, attack 600/s, 60/s of it ok, 6/s refused, 1800 packets/s dropped, 1500 of 8000 requests
2 of 3, xdp-block: valid
`
	if diff := cmp.Diff(want, shown(&progress{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The picture in between depends on when it is drawn; the last one does not.
func TestProgressOnATerminalHasBarsNoWiderThanTheTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	for width, want := range map[int][]string{
		40: {
			"2 of 3, xdp-block: valid",
			"30/s ok, server CPU 98 %, attack 600/s, ",
			"xdp-block, attack     44 % [###......]",
			"2 of 3 trials, 2:44~  48 % [####.....]",
		},
		80: {
			"2 of 3, xdp-block: valid",
			"30/s ok, server CPU 98 %, attack 600/s, 60/s of it ok, 6/s refused, 1800 packets",
			"xdp-block, attack                         44 % [############.................]",
			"2 of 3 trials, 2:44 left                  48 % [#############................]",
		},
	} {
		var out bytes.Buffer
		got := shown(&progress{screen: newScreen(&out, width, time.Hour)})
		if got != "" {
			t.Errorf("%d columns: %q beside the screen", width, got)
		}
		if diff := cmp.Diff(strings.Join(want, "\n")+"\n", strings.ReplaceAll(out.String(), "\x1b[K", "")); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", width, diff)
		}
	}
}

func TestQuietProgressIsNone(t *testing.T) {
	if got := shown(&progress{quiet: true}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestClockReadsAsOnAWatch(t *testing.T) {
	tests := map[time.Duration]string{
		0:                       "0:00",
		999 * time.Millisecond:  "0:01",
		105 * time.Second:       "1:45",
		time.Hour + time.Minute: "1:01:00",
	}
	for d, want := range tests {
		if got := clock(d); got != want {
			t.Errorf("clock(%s) = %s, want %s", d, got, want)
		}
	}
}

// The duration of a closed loop is not known before one has ended.
func TestProgressOfAClosedLoopKnowsWhatItHasSeen(t *testing.T) {
	start := time.Unix(1000, 0)
	event := func(trial int, elapsed time.Duration) *orchestrate.Event {
		return &orchestrate.Event{
			Trial: results.PlannedTrial{Index: trial}, Trials: 3, Phase: orchestrate.PhaseLoad,
			Elapsed: elapsed, Expected: 5 * time.Second, ClosedLoop: true,
		}
	}
	var p progress
	for _, test := range []struct {
		trial       int
		at, elapsed time.Duration
		want        string
	}{
		{1, 0, 0, "1 of 3, : load, 0:00"},
		{1, 14 * time.Second, 14 * time.Second, "1 of 3, : load, 0:14"},
		{2, 20 * time.Second, 0, "2 of 3, : load, 0:00, 0:40 left"},
		{2, 36 * time.Second, 16 * time.Second, "2 of 3, : load, 0:16, 0:24 left"},
		{3, 40 * time.Second, 0, "3 of 3, : load, 0:00, 0:20 left"},
	} {
		e := event(test.trial, test.elapsed)
		p.left.take(start.Add(test.at), e)
		if got := p.status(*e); got != test.want {
			t.Errorf("trial %d after %s: %q, want %q", test.trial, test.at, got, test.want)
		}
	}
}
