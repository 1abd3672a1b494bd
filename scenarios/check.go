package scenarios

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// check compares the values with each other, as far as each of them is valid by itself.
func (d *decoder) check(s *Scenario) {
	if len(d.problems) == 0 {
		d.checkOverlap("sequential", s.Sequential, s)
		d.checkOverlap("neighbour", s.Neighbour, s)
		d.checkSchedule("clients.sequential", s.Sequential)
		d.checkSchedule("clients.parallel", s.Parallel)
		d.checkSchedule("clients.neighbour", s.Neighbour)
		d.checkNeighbour(s)
		d.checkKind("clients.parallel", s.Parallel)
		d.checkAddresses("clients.parallel", s.Parallel, s)
		for i, c := range s.Background {
			path := fmt.Sprintf("clients.parallel[%d]", i+2)
			d.checkSchedule(path, c)
			d.checkKind(path, c)
			d.checkAddresses(path, c, s)
		}
		d.checkAlternation(s)
		d.checkServer(s)
		d.checkSearch(s)
	}
	d.checkNetwork(s)
	d.checkSubnet6(s)
}

// checkOverlap refuses an attack after the load of honest clients: it measures nothing
// (docs/method.md, Load).
func (d *decoder) checkOverlap(group string, honest Clients, s *Scenario) {
	end := honest.End()
	if s.Parallel.Count == 0 || end == 0 || s.Parallel.Delay < end {
		return
	}
	d.problem(d.key("clients.parallel.delay"),
		fmt.Sprintf("%s: the attack begins at %s, but the %s load ends at %s",
			d.path("clients.parallel.delay"), s.Parallel.Delay, group, end),
		fmt.Sprintf("make the delay shorter than %s, or the %s load longer", end, group))
}

// checkNeighbour refuses a neighbour without an attacker that uses its own address.
func (d *decoder) checkNeighbour(s *Scenario) {
	if s.Neighbour.Count == 0 {
		return
	}
	const path = "clients.neighbour"
	switch {
	case s.Parallel.Count == 0:
		d.problem(d.key(path), d.path(path)+": there is no attacker whose address it could have",
			"add parallel, or leave neighbour out")
	case s.Parallel.Kind == record.Spoofed:
		d.problem(d.key(path), d.path(path)+": the attackers send from addresses that are not theirs",
			"write another kind of attack, such as half-open, or leave neighbour out")
	}
}

// longestSchedule is the longest schedule of one trial. No useful measurement is
// longer, and the end of a run with the most trials can still be represented as a time.
const longestSchedule = 24 * time.Hour

func (d *decoder) checkSchedule(path string, c Clients) {
	if c.Count == 0 || c.End() <= longestSchedule {
		return
	}
	d.problem(d.key(path+".requests"),
		fmt.Sprintf("%s: %d requests at %g/s end %s after the start of the load, and a trial takes at most %s",
			d.path(path), c.Requests, c.Rate, brief(c.End()), brief(longestSchedule)),
		"write fewer requests, or a higher rate")
}

// checkKind checks the keys that only some kinds of attack have.
func (d *decoder) checkKind(path string, c Clients) {
	refuse := func(key, what, remedy string) {
		at := path + "." + key
		d.problem(d.key(at, path+".kind"), d.path(at)+": "+what, remedy)
	}
	_, bounded := d.keys[d.path(path+".max_in_flight")]
	switch flood := c.Kind.Flood(); {
	case c.Kind == record.Hold && c.Hold == 0:
		refuse("hold", "is missing", "add it, such as hold: 5s")
	case c.Kind != record.Hold && c.Hold > 0:
		refuse("hold", fmt.Sprintf("the kind is %s, which holds no connection", c.Kind), "write kind: hold, or leave it out")
	case flood && bounded:
		refuse("max_in_flight", fmt.Sprintf("the kind is %s, which has nothing in flight", c.Kind), "leave it out")
	case !flood && c.Max:
		refuse("rate", fmt.Sprintf("the kind is %s, which has a schedule", c.Kind), "write a rate such as 120/s")
	case c.Max && c.Duration == 0:
		refuse("requests", "a flood with rate: max needs a duration, not requests", "write duration: 10s instead")
	case !flood && c.Rate > mostRate:
		refuse("rate", fmt.Sprintf("%g/s is out of range", c.Rate), fmt.Sprintf("write up to %d/s", mostRate))
	}
}

// ShortestStretch is the minimum of trial.alternate. Of a shorter stretch, too little
// is left without its disturbed beginning (docs/method.md, The cost of measuring).
const ShortestStretch = 300 * time.Millisecond

func (d *decoder) checkAlternation(s *Scenario) {
	stretch, at := s.Trial.Alternate, d.key("trial.alternate")
	switch {
	case stretch == 0:
	case stretch < ShortestStretch:
		d.problem(at,
			fmt.Sprintf("trial.alternate: %s is too short: the first 100 ms of a stretch are not looked at", stretch),
			fmt.Sprintf("write %s or more, or 0s to measure all the time", ShortestStretch))
	case stretch%s.Trial.SampleInterval != 0:
		d.problem(at, fmt.Sprintf("trial.alternate: %s is not a multiple of trial.sample_interval, %s",
			stretch, s.Trial.SampleInterval), "write one that is")
	}
}

// checkNetwork refuses public subnets. The subnet belongs to the run, so it must be in
// the private ranges (RFC 1918).
func (d *decoder) checkNetwork(s *Scenario) {
	const example = "such as 172.31.99.0/24"
	at := d.key("network.subnet", "network")
	subnet, err := netip.ParsePrefix(s.Network.Subnet)
	switch {
	case err != nil || !subnet.Addr().Is4():
		d.problem(at, fmt.Sprintf("network.subnet: %q is not an IPv4 subnet", s.Network.Subnet), "write one "+example)
		return
	case subnet.Masked() != subnet:
		d.problem(at, fmt.Sprintf("network.subnet: %s has host bits set", subnet),
			fmt.Sprintf("write %s", subnet.Masked()))
		return
	case !subnet.Addr().IsPrivate():
		d.problem(at, fmt.Sprintf("network.subnet: %s is not private", subnet),
			"take one from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, "+example)
		return
	case subnet.Bits() < largestSubnet || subnet.Bits() > 28:
		d.problem(at, fmt.Sprintf("network.subnet: /%d is out of range", subnet.Bits()),
			fmt.Sprintf("write /%d to /28, %s", largestSubnet, example))
		return
	}
	clients := s.Sequential.Count
	for _, attack := range s.Attacks() {
		clients += attack.Count
	}
	room := roomFor(subnet.Bits())
	if clients > room {
		d.problem(at, fmt.Sprintf("network.subnet: %s has room for %d clients, not for %d", subnet, room, clients),
			fmt.Sprintf("write a larger subnet, up to /%d, or fewer clients", largestSubnet))
	}
}

// largestSubnet is the length of a network with room for as many clients as a bridge has ports.
const largestSubnet = 22

// roomFor returns how many clients have an address in a subnet; its last address is the
// broadcast.
func roomFor(bits int) int { return 1<<(32-bits) - 1 - firstClientHost }
