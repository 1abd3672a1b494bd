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
