package analysis

import (
	"math"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestAFloodHasARateAndNoOutcomes(t *testing.T) {
	r := &reading{
		experiment: &results.Experiment{Parallel: results.Load{Clients: 1, Kind: record.Junk, RatePerSecond: 1000}},
		attack:     span{fromNS: math.MaxInt64, toNS: math.MinInt64},
		requests:   map[string]map[string]Number{results.RoleParallel: noRequests()},
		server:     &record.Server{},
		variant:    record.XDPBlock,
	}
	r.takeParallel(&record.Line{Flood: &record.Flood{FromNS: 1e9, ToNS: 15e8, Frames: 501}})
	r.takeParallel(&record.Line{Flood: &record.Flood{FromNS: 15e8, ToNS: 2e9, Frames: 500}})
	a := r.attackTotals()
	if a.AchievedRPS != 1000 || a.FirstStartS != 1 || a.LastStartS != 2 || r.endNS != 2e9 {
		t.Errorf("%+v, until %d", a, r.endNS)
	}
	unknown := []Number{a.Held, a.PeakInFlight, r.blockTime().TurnedAway, r.requests[results.RoleParallel][string(record.OK)]}
	for i, n := range unknown {
		if n.Known() {
			t.Errorf("figure %d is %v, want none", i, float64(n))
		}
	}
}

// The flood lasts from its first frame to its last.
func TestAFloodOfASearchIsJudgedByTheRequestsThatMetIt(t *testing.T) {
	for name, c := range map[string]struct {
		frames uint64
		slow   int64 // ns, of a request during the flood
		want   results.Verdict
	}{
		"it holds":                {10_001, 10e6, results.AttackHeld},
		"it breaks":               {10_001, 40e6, results.AttackBroke},
		"half of it was too much": {5_001, 10e6, results.AttackLimited},
	} {
		t.Run(name, func(t *testing.T) {
			load := results.Load{Clients: 1, Requests: 2000, RatePerSecond: 100}
			r := &reading{
				experiment: &results.Experiment{
					Sequential: load,
					Parallel:   results.Load{Clients: 1, Kind: record.Junk, RatePerSecond: 1000},
				},
				attack: span{fromNS: math.MaxInt64, toNS: math.MinInt64},
				endNS:  20e9, done: completions{endNS: 20e9}, latency: latencies{endNS: 20e9},
				requests: map[string]map[string]Number{
					results.RoleParallel: noRequests(), results.RoleSequential: noRequests(),
				},
			}
			r.takeParallel(&record.Line{Flood: &record.Flood{FromNS: 10e9, ToNS: 20e9, Frames: c.frames}})
			for i := range int64(2000) {
				q := &record.Request{ScheduledNS: i * 1e7, StartNS: i * 1e7, EndNS: 10e6, Outcome: record.OK}
				if q.StartNS >= 10e9 {
					q.EndNS = c.slow
				}
				r.takeSequential(&record.Line{Request: q})
			}
			a := AttackTrial{ScheduledPerS: scheduledRate(r.experiment.Parallel)}
			r.fillEffect(&a)
			if a.judge(&results.Search{Keep: 0.99, P99: 3}); a.Verdict != c.want {
				t.Errorf("%+v, want %s", a, c.want)
			}
		})
	}
}
