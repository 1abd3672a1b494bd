package orchestrate

import "github.com/equic-bench/equic-bench/scenarios"

// otherFiles is the number of a client's files other than its sockets: standard
// streams, the pollers of the Go runtime, and a margin.
const otherFiles = 64

// floodPorts is how many sockets a flood opens (package flood, mostPorts).
const floodPorts = 1024

// openFiles returns how many files a client may have open at once, or zero if there is no such
// client. This is the only estimate of that number. It leaves out sockets that rest between two
// requests (client/sockets.go), which can outnumber those in flight.
func openFiles(c scenarios.Clients) int {
	if c.Count == 0 {
		return 0
	}
	if c.Kind.Flood() {
		return floodPorts + otherFiles
	}
	return min(c.MaxInFlight, c.MostRequests()) + otherFiles
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
