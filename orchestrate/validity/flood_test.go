package validity

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func newFlood() *synth {
	s := newSynth(record.NoBlock)
	s.flood()
	return s
}

// flood makes the attackers send a thousand frames each, all of which arrive.
func (s *synth) flood() {
	s.manifest.Experiment.Parallel.Kind = record.Junk
	s.trial.FloodFrames = new(uint64(2000))
	s.edit(func(n *results.Node, l *record.Line) bool {
		if attacker(n) && l.Client != nil {
			l.Client.Requests = 1000
		}
		return !attacker(n) || l.Request == nil
	})
	for _, n := range s.trial.Nodes {
		if attacker(&n) {
			s.printFirst(n.Name, record.Line{Flood: &record.Flood{FromNS: 15e8, ToNS: 2e9, Frames: 500}})
			s.printFirst(n.Name, record.Line{Flood: &record.Flood{FromNS: 1e9, ToNS: 15e8, Frames: 500}})
		}
	}
	s.edit(func(_ *results.Node, l *record.Line) bool { // no attacker was served
		if c := l.Connection; c != nil && (c.Client == "10.9.8.13" || c.Client == "10.9.8.14") {
			c.Served = 0
		}
		return true
	})
}

func TestAFloodMakesATrialInvalidIfItsFramesAreLost(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*synth)
		broken string
	}{
		"all frames arrive":       {func(*synth) {}, ""},
		"one in a hundred lost":   {func(s *synth) { *s.trial.FloodFrames = 1980 }, ""},
		"two in a hundred lost":   {func(s *synth) { *s.trial.FloodFrames = 1960 }, RuleFlood},
		"none arrives":            {func(s *synth) { *s.trial.FloodFrames = 0 }, RuleFlood},
		"more than were sent":     {func(s *synth) { *s.trial.FloodFrames = 3000 }, RuleFlood},
		"nothing counts them":     {func(s *synth) { s.trial.FloodFrames = nil }, ""},
		"an older run has a kind": {func(s *synth) { s.manifest.ValidityVersion, *s.trial.FloodFrames = 2, 0 }, ""},
		"a record is missing": {edited(func(n *results.Node, l *record.Line) bool {
			return n.Name != "parallel-1" || l.Flood == nil || l.Flood.FromNS != 1e9
		}), RuleComplete},
		"the flood came when the load was over": {edited(func(_ *results.Node, l *record.Line) bool {
			if l.Flood != nil {
				l.Flood.FromNS, l.Flood.ToNS = l.Flood.FromNS+4e9, l.Flood.ToNS+4e9
			}
			return true
		}), RuleOverlap},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFlood()
			c.change(s)
			v := s.judge(t)
			for _, check := range v.Checks {
				if lost := c.broken == RuleComplete && check.Rule == RuleFlood; check.OK != (check.Rule != c.broken) && !lost {
					t.Errorf("%+v", check)
				}
			}
		})
	}
}

func TestAFloodThatReadsNothingIsNotWarnedOf(t *testing.T) {
	s := newFlood()
	s.edit(func(_ *results.Node, l *record.Line) bool {
		if l.Sample != nil && l.Sample.AtNS > 0 {
			l.Sample.UDPRcvbufErrors = 5
		}
		return true
	})
	if w := strings.Join(s.judge(t).Warnings, "\n"); strings.Contains(w, "parallel-1 lost") ||
		!strings.Contains(w, "sequential-1 lost 5 datagrams") {
		t.Errorf("warnings %s", w)
	}
}

func TestWhatTheServersQueueLosesIsAWarning(t *testing.T) {
	for name, c := range map[string]struct {
		lost *uint64
		says bool
	}{
		"some":                {new(uint64(150)), true},
		"none":                {new(uint64), false},
		"that is not counted": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFlood()
			s.trial.QueueLost = c.lost
			v := s.judge(t)
			if !v.Valid() {
				t.Errorf("invalid: %+v", v.Checks)
			}
			const says = "150 frames were lost in the queue of the server's interface"
			for _, check := range v.Checks {
				if got := strings.Contains(check.Evidence, says); got != (c.says && check.Rule == RuleFlood) {
					t.Errorf("%s: %s", check.Rule, check.Evidence)
				}
			}
			if w := strings.Join(v.Warnings, "\n"); strings.Contains(w, says) != c.says {
				t.Errorf("warnings %q", w)
			}
		})
	}
}

func TestTheRateOfAFloodIsThatOfItsFrames(t *testing.T) {
	s := newFlood()
	e, err := gather(s.manifest, s.trial, s.read)
	if err != nil {
		t.Fatal(err)
	}
	if achieved, _ := e.attackRates(); achieved != 1998 {
		t.Errorf("%g/s in a second, want 1998", achieved)
	}
	if end := s.judge(t).LoadEndNS; end < 2e9 {
		t.Errorf("the load ended at %d", end)
	}
}
