package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

// aTrial is what a run tells of one trial, and when.
func aTrial() (events []orchestrate.Event, at []time.Duration) {
	add := func(after time.Duration, e orchestrate.Event) {
		if e.Phase != orchestrate.PhasePrepare {
			e.Trial = results.PlannedTrial{Index: 2, Block: 1, Variant: "xdp-block"}
		}
		e.Trials = 3
		events, at = append(events, e), append(at, after)
	}
	load := func(after time.Duration, phase string, requests int) {
		add(after, orchestrate.Event{Phase: phase, Elapsed: after, Expected: 105 * time.Second, Requests: requests, RequestsTotal: 8000})
	}
	add(0, orchestrate.Event{Phase: orchestrate.PhasePrepare})
	load(1*time.Second, orchestrate.PhaseStart, 0)
	load(5*time.Second, orchestrate.PhaseBefore, 0)
	load(6*time.Second, orchestrate.PhaseBefore, 40)
	load(14*time.Second, orchestrate.PhaseBefore, 360)
	load(15*time.Second, orchestrate.PhaseBefore, 400)
	load(35*time.Second, orchestrate.PhaseAttack, 1200)
	add(40*time.Second, orchestrate.Event{Phase: orchestrate.PhaseDone, Message: "valid"})
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
2 of 3, xdp-block: start, 0:01 of 1:45, 0 of 8000 requests
2 of 3, xdp-block: before attack, 0:05 of 1:45, 0 of 8000 requests
2 of 3, xdp-block: before attack, 0:15 of 1:45, 400 of 8000 requests
2 of 3, xdp-block: attack, 0:35 of 1:45, 1200 of 8000 requests
2 of 3, xdp-block: valid
`
	if diff := cmp.Diff(want, shown(&progress{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProgressOnATerminalIsOneLineNoWiderThanTheTerminal(t *testing.T) {
	const again = "\r\x1b[K"
	want := again + "prepare" +
		again + "2 of 3, xdp-block: start, 0:0" +
		again + "2 of 3, xdp-block: before att" +
		again + "2 of 3, xdp-block: before att" +
		again + "2 of 3, xdp-block: before att" +
		again + "2 of 3, xdp-block: before att" +
		again + "2 of 3, xdp-block: attack, 0:" +
		again + "2 of 3, xdp-block: valid\n"
	if diff := cmp.Diff(want, shown(&progress{width: 30})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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
