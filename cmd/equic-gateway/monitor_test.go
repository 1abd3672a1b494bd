package main

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestMonitorModeDropsNothingUntilItIsTurnedOff(t *testing.T) {
	client := newPair(t)
	p := start(t, "--quota", "1", "--monitor", "--events")
	s := p.dial(t)
	s.want(t, "tryinc "+clientAddress, "ok")
	s.want(t, "tryinc "+clientAddress, "ok")
	s.want(t, "begin 1 "+clientAddress+":50000 validated", "ok")
	s.want(t, "complete 1", "ok")
	awaitMonitored := func() {
		t.Helper()
		before := p.status(t).WouldDrop[equic.DropOverQuota]
		testkit.Await(t, "a packet that would be dropped", func() bool {
			sendInitial(client)
			return p.status(t).WouldDrop[equic.DropOverQuota] > before
		})
	}
	awaitMonitored()
	wantEvent(t, p, equic.Blocked)
	if got := p.status(t); !got.Monitor || got.Dropped != 0 || got.Ports[0].TurnedAway != 1 {
		t.Errorf("status %+v, want monitor mode, nothing dropped, and one client", got)
	}
	s.want(t, "monitor off", "ok")
	p.awaitCount(t, client, equic.DropOverQuota)
	s.want(t, "tryinc "+clientAddress, "over")
	s.want(t, "monitor on", "ok")
	awaitMonitored()
	for _, want := range []string{"monitor mode is on: nothing is dropped", "monitor mode is off"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log does not have %q", want)
		}
	}
}
