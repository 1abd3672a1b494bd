package orchestrate

import (
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestTheTimeOfAReadyNodeIsHeldAgainstItsArrival(t *testing.T) {
	epoch := time.Now()
	for name, test := range map[string]struct {
		at, arrived time.Duration // from the epoch
		moved       bool
	}{
		"it arrives at once":              {-time.Second, -time.Second, false},
		"its clock is a little ahead":     {-900 * time.Millisecond, -time.Second, false},
		"its clock is too far ahead":      {-899 * time.Millisecond, -time.Second, true},
		"a loaded machine delivers late":  {-5 * time.Second, -2 * time.Second, false},
		"nothing delivers so late":        {-5 * time.Second, -1999 * time.Millisecond, true},
		"it is late, and its clock right": {time.Second, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			seen := recorded{readies: 1, ready: record.Ready{AtNS: test.at.Nanoseconds()}, readyAt: epoch.Add(test.arrived)}
			if says := clockMoved(seen, epoch, 9); (says != "") != test.moved {
				t.Errorf("it says %q; want that a clock moved: %v", says, test.moved)
			}
		})
	}
	late := recorded{readies: 1, ready: record.Ready{AtNS: -20e9}, readyAt: epoch.Add(-10 * time.Second)}
	if says := clockMoved(late, epoch, 101); says != "" {
		t.Errorf("of one of many nodes, which are delivered later, it says %q", says)
	}
	if says := clockMoved(recorded{}, epoch, 9); says != "" {
		t.Errorf("of a node that is not ready it says %q", says)
	}
}

func TestAClockThatIsSetWhileNodesStartBreaksTheTrial(t *testing.T) {
	for name, test := range map[string]struct {
		step time.Duration
		says string // empty: the rule holds
	}{
		"it is not set":             {0, ""},
		"it is set by a little":     {-100 * time.Millisecond, ""},
		"it is set forward":         {101 * time.Millisecond, "was set forward by 0.101 s"},
		"it is set back by an hour": {-time.Hour, "was set back by 3600.000 s"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &evidence{step: test.step, nodes: []*nodeEvidence{{name: "server", readies: 1, ready: record.Ready{AtNS: -1}}}}
			ok, facts := readyBeforeEpoch(e)
			if ok != (test.says == "") || !strings.Contains(facts, test.says) {
				t.Errorf("it holds: %v, %q; want %q", ok, facts, test.says)
			}
			if !ok {
				expectFacts(t, results.Check{Rule: ruleReady, Evidence: facts})
			}
		})
	}
	if step := wallStep(time.Now(), time.Now()); step.Abs() > clockStep {
		t.Errorf("a step of %s where none was", step)
	}
}
