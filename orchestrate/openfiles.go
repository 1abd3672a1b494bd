package orchestrate

import (
	"math"
	"time"

	"github.com/equic-bench/equic-bench/scenarios"
)

// otherFiles is the number of a client's files other than its sockets: standard
// streams, the pollers of the Go runtime, and a margin.
const otherFiles = 64

// floodPorts is how many sockets a flood opens (package flood, mostPorts).
const floodPorts = 1024

// socketRest is how long a client leaves a socket unused between two requests (client/sockets.go).
const socketRest = 200 * time.Millisecond

// openFiles returns how many files a client may have open at once, or zero if there is no such
// client. This is the only estimate of that number.
func openFiles(c scenarios.Clients) int {
	if c.Count == 0 {
		return 0
	}
	if c.Kind.Flood() {
		return floodPorts + otherFiles
	}
	inFlight := min(c.MaxInFlight, c.MostRequests())
	resting := inFlight
	if c.Rate > 0 {
		resting = min(c.MostRequests(), int(math.Ceil(c.Rate*socketRest.Seconds())))
	}
	return inFlight + resting + otherFiles
}

// OpenFiles returns how many files a node of a scenario must be able to open.
func OpenFiles(s *scenarios.Scenario) int {
	most := 0
	for _, c := range s.Cells() {
		for _, group := range c.Groups() {
			most = max(most, openFiles(group))
		}
	}
	return most
}
