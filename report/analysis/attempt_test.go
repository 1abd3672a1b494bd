package analysis

import (
	"math"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestAnAttemptCostsTheAttackersTheirProcessesTime(t *testing.T) {
	r := &reading{
		experiment: &results.Experiment{},
		requests:   map[string]map[string]Number{results.RoleParallel: noRequests()},
		attack:     span{fromNS: 1 << 62, toNS: -1},
	}
	for range 2 { // two attackers, each with three attempts
		for i := range 3 {
			r.takeParallel(&record.Line{Request: &record.Request{StartNS: int64(i) * 1e9, EndNS: 1e6, Outcome: record.Refused}})
		}
		r.takeParallel(&record.Line{Sample: &record.Sample{AtNS: -1, CPUNS: 1_000_000}})
		r.takeParallel(&record.Line{Sample: &record.Sample{AtNS: 1, CPUNS: 5_500_000}})
		r.takeParallel(&record.Line{Probe: &record.Probe{}})
	}
	if got := r.attackTotals().AttackerPerAttemptUS; got != 1500 {
		t.Errorf("%v µs per attempt, want 1500: 9 ms over six", got)
	}
}

func TestTheAchievedRateIsTheScheduleHoweverClientsStart(t *testing.T) {
	for name, apartNS := range map[string]int64{"in step": 0, "in turn": 5e6} {
		r := &reading{
			experiment: &results.Experiment{Parallel: results.Load{Clients: 100, RatePerSecond: 2}},
			requests:   map[string]map[string]Number{results.RoleParallel: noRequests()},
			attack:     span{fromNS: math.MaxInt64, toNS: math.MinInt64},
		}
		for client := range int64(100) {
			for i := range int64(10) {
				r.takeParallel(&record.Line{Request: &record.Request{
					Seq: int(i), StartNS: 10e9 + client*apartNS + i*5e8, Outcome: record.OK,
				}})
			}
		}
		if got := r.attackTotals().AchievedRPS; got != 200 {
			t.Errorf("%s: %v/s, want 200", name, got)
		}
	}
}
