package orchestrate

import (
	"time"

	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// limits bounds the output of a node, so that a broken node costs neither memory nor
// disk space.
type limits struct {
	lineBytes int
	bytes     int64
	lines     int
}

const (
	leastLines = 1_000_000
	leastBytes = 64 << 20
	// slack is the factor between the limit and the expected output of a node.
	slack = 4
	// usualLine is larger than the mean size of a record, in bytes.
	usualLine = 256
	// otherLines is for lines other than requests and samples: the totals, and a line
	// for each system call.
	otherLines = 1000
	// sampledLoad is the longest load whose samples are allowed for. A closed loop may
	// last a thousand times longer, if no request is answered.
	sampledLoad = 24 * time.Hour
)

// nodeLimits returns several times the output of a node of a role in a scenario.
func nodeLimits(s *scenarios.Scenario, role string) limits {
	lines := slack * expectedLines(s, role)
	return limits{
		lineBytes: 256 << 10,
		bytes:     max(leastBytes, usualLine*int64(lines)),
		lines:     max(leastLines, lines),
	}
}

// expectedLines returns how many records a node prints: a client prints one for each
// request; the server prints a connection and, in user space, a refusal for each
// request of all clients. Each prints its samples, and its progress once a second.
func expectedLines(s *scenarios.Scenario, role string) int {
	span := longestStartup*s.Trial.Startup + min(longestLoad(s), sampledLoad) + s.Trial.Drain + stopLimit
	timed := int(span/s.Trial.SampleInterval) + int(span/time.Second)
	switch role {
	case results.RoleSequential:
		return s.Sequential.MostRequests() + timed + otherLines
	case results.RoleParallel:
		return s.Parallel.MostRequests() + timed + otherLines
	case results.RoleNeighbour:
		return s.Neighbour.MostRequests() + timed + otherLines
	case results.RoleBackground:
		most := 0
		for _, c := range s.Background {
			most = max(most, c.MostRequests())
		}
		return most + timed + otherLines
	}
	return 2*mostRequests(s) + timed + otherLines
}

// mostRequests returns the most requests that all clients of a scenario can start.
func mostRequests(s *scenarios.Scenario) (all int) {
	for _, c := range s.Groups() {
		all += c.Count * c.MostRequests()
	}
	return all
}
