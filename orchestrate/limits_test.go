package orchestrate

import (
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

func TestANodeMayPrintWhatItsScenarioAsksFor(t *testing.T) {
	const recordBytes = 200 // of a connection with all optional fields
	tests := map[string]struct {
		change func(s *scenarios.Scenario)
		role   string
		lines  int // that it must print
		least  bool
	}{
		"a small scenario has the least limits": {
			func(*scenarios.Scenario) {}, results.RoleServer, 2 * 120, true,
		},
		"a server books each request of many clients, and refuses it": {
			func(s *scenarios.Scenario) { s.Parallel.Count, s.Parallel.Requests = 200, 1_000_000 },
			results.RoleServer, 2 * 200_000_000, false,
		},
		"a client ends each of its requests": {
			func(s *scenarios.Scenario) { s.Sequential.Requests = 1_000_000 },
			results.RoleSequential, 1_000_000, false,
		},
		"an attacker prints its own requests, and not the other clients'": {
			func(s *scenarios.Scenario) { s.Sequential.Count, s.Sequential.Requests = 100, 1_000 },
			results.RoleParallel, 20, true,
		},
		"a long load has many samples": {
			func(s *scenarios.Scenario) {
				s.Sequential.Requests, s.Sequential.Rate, s.Trial.SampleInterval = 80, 0.001, 10*time.Millisecond
			},
			results.RoleSequential, 80_000 * 100, false,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := testScenario()
			test.change(s)
			got := nodeLimits(s, test.role)
			if got.lines < 2*test.lines || got.bytes < 2*recordBytes*int64(test.lines) {
				t.Errorf("limits of %d lines and %d bytes; the node prints %d lines of up to %d bytes", got.lines, got.bytes,
					test.lines, recordBytes)
			}
			if least := got.lines == leastLines && got.bytes == leastBytes; least != test.least {
				t.Errorf("limits of %d lines and %d bytes; want the least: %v", got.lines, got.bytes, test.least)
			}
		})
	}
}

func TestAClosedLoopThatNobodyAnswersDoesNotLiftTheLimits(t *testing.T) {
	s := testScenario()
	s.Sequential.Count, s.Sequential.Requests, s.Sequential.Rate = 1, 1_000_000, 0
	s.Sequential.Timeout, s.Trial.SampleInterval = 10*time.Minute, 10*time.Millisecond
	if got := nodeLimits(s, results.RoleSequential); got.bytes > 20<<30 {
		t.Errorf("a client may print %d bytes", got.bytes)
	}
}

func TestTheDeadlineCoversTheLongestClient(t *testing.T) {
	held := scenarios.Clients{Count: 1, Requests: 10, Rate: 1, Timeout: time.Second, Hold: time.Minute}
	closed := scenarios.Clients{Count: 1, Requests: 10, MaxInFlight: 4, Timeout: time.Second, Delay: time.Minute}
	open := scenarios.Clients{Count: 1, Requests: 10, Rate: 1, MaxInFlight: 4, Timeout: time.Second, Delay: time.Minute}
	tests := map[string]struct {
		clients scenarios.Clients
		want    time.Duration
	}{
		"a schedule and one time-out":                  {open, time.Minute + 11*time.Second},
		"a closed loop in which every round times out": {closed, time.Minute + 3*time.Second},
		"a connection that is held":                    {held, 71 * time.Second},
		"no clients":                                   {scenarios.Clients{Delay: time.Minute}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := longest(test.clients); got != test.want {
				t.Errorf("longest %s, want %s", got, test.want)
			}
		})
	}
}
