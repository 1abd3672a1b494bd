package validity

import (
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

func TestTheTimeOfAReadyNodeIsComparedWithItsArrival(t *testing.T) {
	for name, test := range map[string]struct {
		at, arrived time.Duration // from the epoch
		nodes       int
		moved       bool
	}{
		"it arrives at once":                      {-time.Second, -time.Second, 9, false},
		"its clock is a little ahead":             {-900 * time.Millisecond, -time.Second, 9, false},
		"its clock is too far ahead":              {-899 * time.Millisecond, -time.Second, 9, true},
		"a loaded machine delivers late":          {-5 * time.Second, -2 * time.Second, 9, false},
		"nothing delivers so late":                {-5 * time.Second, -1999 * time.Millisecond, 9, true},
		"it is late, and its clock right":         {time.Second, time.Second, 9, false},
		"one of many nodes, delivered later":      {-20 * time.Second, -10 * time.Second, 101, false},
		"a node that is not ready has no arrival": {-time.Minute, 0, 9, false},
	} {
		t.Run(name, func(t *testing.T) {
			if says := ClockMoved(test.at.Nanoseconds(), test.arrived.Nanoseconds(), test.nodes); (says != "") != test.moved {
				t.Errorf("it says %q; want that a clock moved: %v", says, test.moved)
			}
		})
	}
}

func TestAClockThatIsSetWhileNodesStartBreaksTheTrial(t *testing.T) {
	for name, test := range map[string]struct {
		step time.Duration
		says string // empty: the rule is met
	}{
		"it is not set":             {0, ""},
		"it is set by a little":     {-100 * time.Millisecond, ""},
		"it is set forward":         {101 * time.Millisecond, "was set forward by 0.101 s"},
		"it is set back by an hour": {-time.Hour, "was set back by 3600.000 s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSynth(record.NoBlock)
			s.trial.ClockStepNS = test.step.Nanoseconds()
			v := s.judge(t)
			if test.says != "" {
				expectBroken(t, v, test.says, RuleReady)
			} else if !v.Valid() {
				t.Errorf("%+v", v.Checks)
			}
		})
	}
}
