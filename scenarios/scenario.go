// Package scenarios contains the experiments, one YAML file each, and loads them:
// strictly, with defaults, and with errors that name file, line and remedy.
//
// It is the first step of the pipeline: orchestrate plans trials from what
// Load returns.
package scenarios

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// Scenario is one experiment: a server, its clients, and the variants to compare. Load
// returns it complete: every default filled in, every value checked.
type Scenario struct {
	Name        string
	Description string
	Variants    []record.Variant
	Repetitions int
	Server      Server
	Sequential  Clients
	Parallel    Clients   // the attack; a count of zero is none
	Background  []Clients // more groups of attackers, which no figures describe
	Neighbour   Clients   // honest clients at the attackers' addresses; a count of zero is none
	Network     Network
	Trial       Trial
	// Search varies the strength of the attack; nil means no search. Parallel then has
	// the greatest strength to try.
	Search *Search
	// Again runs each variant twice in each block, as if it were two (A/A test): the
	// difference is noise. It is set by the flag --aa of run, not by a key.
	Again bool

	// Cell names a combination of load and matrix values. Load, Point and Set are its
	// parts: the load's name, a label of the values, and each value as key=value. All
	// are empty for a scenario without loads and matrix.
	Cell  string
	Load  string
	Point string
	Set   []string
	// ServerPoint is Point without the keys of groups of clients. Cells that share it have
	// the same server, and so the same capacity.
	ServerPoint string
	cells       []*Scenario
	// only are the variants that the cell's load and server have; nil means all of the
	// scenario's.
	only []record.Variant

	// Path and Text are the file as given.
	Path string
	Text []byte
}

// MostRepetitions is the most blocks of one run.
const MostRepetitions = 1000

// Clients is one group of clients.
type Clients struct {
	Kind        record.Attack // of an attack
	Hold        time.Duration // of kind Hold: how long a connection stays open after its response
	Count       int
	Addresses   int           // of each attacker, each a client of its own; up to 1 is the node's own address
	Requests    int           // per client; zero if Duration is given
	Duration    time.Duration // how long each client starts requests; zero if Requests is given
	Rate        float64       // per client and second; zero is a closed loop
	Pace        time.Duration // of a closed loop: the least time between two starts
	Max         bool          // of a flood: as many as possible, instead of Rate
	Strength    float64       // Rate of all together, as a multiple of the server's capacity; zero if it is absolute
	Weakest     float64       // lower bound if a search has bounds for this attack; Strength is then the upper bound
	UpTo        bool          // accept less than Strength if the clients cannot start as much
	Reached     float64       // the strength reached if it is less than Strength (UpTo); else zero
	Delay       time.Duration // from the epoch
	MaxInFlight int           // per client; 1 for sequential clients
	Timeout     time.Duration // per request
	CPUs        []int         // none: the run chooses them (auto)
	Start       string        // of a group: Together or Staggered
	KeyExchange string        // X25519MLKEM768 or X25519
}

// How the clients of a group start.
const (
	Together  = "together"  // in step: each request meets the others'
	Staggered = "staggered" // in turn, evenly over one interval of the rate
)

// What clients offer in TLS (RFC 8446, section 4.2.8).
const (
	X25519MLKEM768 = "x25519mlkem768"
	X25519         = "x25519"
)

// Phase returns how much later client i starts than the first client of its group.
func (c Clients) Phase(i int) time.Duration {
	if c.Start != Staggered || c.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(i) / (float64(c.Count) * c.Rate) * float64(time.Second))
}

// Scheduled returns how long the schedule of one client lasts, from its first intended
// start to one interval after its last. It is zero for a closed loop that ends with its
// last request.
func (c Clients) Scheduled() time.Duration {
	switch {
	case c.Duration > 0:
		return c.Duration
	case c.Rate <= 0:
		return 0
	}
	return time.Duration(float64(c.Requests) / c.Rate * float64(time.Second))
}

// Earliest returns the earliest time at which the last request can start, from the epoch.
func (c Clients) Earliest() time.Duration {
	return max(c.End(), c.Delay+time.Duration(c.Requests)*c.Pace)
}

// End returns when the schedule ends, from the epoch.
func (c Clients) End() time.Duration { return c.Delay + c.Scheduled() }

// ClosedLoop reports whether a request starts only after the previous one has ended.
func (c Clients) ClosedLoop() bool { return c.Rate == 0 && c.Strength == 0 && !c.Max }

// MostRequests returns the most requests that one client can start.
func (c Clients) MostRequests() int {
	switch {
	case c.Count == 0:
		return 0
	case c.Requests > 0:
		return c.Requests
	case c.Rate > 0:
		return int(math.Ceil(c.Rate * c.Duration.Seconds()))
	case c.Pace > 0:
		return int(c.Duration/c.Pace) + 1
	}
	return mostRequests
}

// mostRequests bounds an unknown number: the requests that a client starts one after
// the other for some time.
const mostRequests = 1_000_000

// mostInFlight returns how many requests of one client are in flight at once if each
// takes as long as it may.
func (c Clients) mostInFlight() int {
	return min(c.MostRequests(), int(math.Ceil(c.Rate*(c.Timeout+c.Hold).Seconds())))
}

// Network is the trial's own network.
type Network struct {
	Family  record.Family // which of the subnets nodes have addresses in; empty is IPv4
	Subnet  string        // CIDR, IPv4; the server is .2, the clients follow from .11
	Subnet6 string        // CIDR, IPv6, /48; each node has a /64 with its host number in Subnet
	Port    int
}

// Host numbers of the nodes in their subnet.
const (
	serverHost      = 2
	firstClientHost = 11
)

// ServerAddress returns the server's address, that of IPv4 if it has both. The subnets must
// have been checked.
func (n Network) ServerAddress() netip.Addr { return n.place(serverHost, 0).Address }

// ClientAddress returns the address of a client, that of IPv4 if it has both. Clients count
// from zero: first the sequential ones, then the parallel ones. A neighbour has the address of
// a parallel client.
func (n Network) ClientAddress(client int) netip.Addr {
	return n.place(firstClientHost+client, 0).Address
}

// FloodSources returns a private network outside the subnet, for the sources of spoofed
// packets in IPv4.
func (n Network) FloodSources() netip.Prefix { return n.apart("10.192.0.0/12", "10.208.0.0/12") }

func (n Network) host(number int) netip.Addr {
	address := netip.MustParsePrefix(n.Subnet).Addr().As4()
	binary.BigEndian.PutUint32(address[:], binary.BigEndian.Uint32(address[:])+uint32(number))
	return netip.AddrFrom4(address)
}

// Trial bounds and samples one trial.
type Trial struct {
	Startup        time.Duration // longest time from the start of the nodes to the epoch, as a rule
	SampleInterval time.Duration
	Drain          time.Duration // longest wait for clients after their schedules and time-outs
	// Settle is the longest wait before a trial until the CPUs are idle; zero means no
	// wait.
	Settle time.Duration
	// Syscalls turns on counting of the server's system calls.
	Syscalls bool
	// Alternate measures the server in one random stretch of each pair of that length; zero
	// means all the time.
	Alternate time.Duration
}

// ExpectedTrial returns how long a trial lasts from the start of its nodes to the end
// of its schedules. It does not include settling, making and removing the nodes, and
// the time of sequential clients in a closed loop, which is not known before.
func (s *Scenario) ExpectedTrial() time.Duration { return s.Trial.Startup + s.Schedule() }

// Schedule returns how long the clients start requests, from the epoch on. The duration
// of a closed loop is not known before, so only its start is counted.
func (s *Scenario) Schedule() time.Duration {
	end := max(s.Sequential.End(), s.Neighbour.End())
	for _, attack := range s.Attacks() {
		end = max(end, attack.End())
	}
	return end
}

// Attacks returns all groups of attackers, first the group that the figures describe.
func (s *Scenario) Attacks() []Clients {
	if s.Parallel.Count == 0 {
		return nil
	}
	return append([]Clients{s.Parallel}, s.Background...)
}

// Groups returns all groups of clients.
func (s *Scenario) Groups() []Clients {
	return append([]Clients{s.Sequential, s.Parallel, s.Neighbour}, s.Background...)
}

// NeedsCapacity reports whether the rate of an attack is a multiple of the server's
// capacity.
func (s *Scenario) NeedsCapacity() bool {
	return slices.ContainsFunc(s.Attacks(), func(c Clients) bool { return c.Strength > 0 })
}

// fewestForInterval is the smallest number of blocks with a 95 % interval
// (docs/method.md, Statistics).
const fewestForInterval = 6

// Warnings returns properties of a scenario that are allowed, but make its figures mean
// less than they seem to. Those of one cell begin with its name.
func (s *Scenario) Warnings() []string {
	if s.cells == nil {
		return s.warnings()
	}
	times := map[string]int{}
	var all []string
	cells := s.Cells()
	for _, c := range cells {
		for _, w := range c.warnings() {
			times[w]++
			all = append(all, c.Cell+": "+w)
		}
	}
	var shared []string
	all = slices.DeleteFunc(all, func(w string) bool {
		_, text, _ := strings.Cut(w, ": ")
		if times[text] < len(cells) {
			return false
		}
		if !slices.Contains(shared, text) {
			shared = append(shared, text)
		}
		return true
	})
	return append(shared, all...)
}

func (s *Scenario) warnings() []string {
	var warnings []string
	warn := func(when bool, format string, args ...any) {
		if when {
			warnings = append(warnings, fmt.Sprintf(format, args...))
		}
	}
	attack, measured := s.Parallel.Count > 0, s.Sequential.Count > 0
	asksCost := s.Trial.Alternate > 0
	warn(!attack && !asksCost,
		"clients.parallel is not given: there is no attack, and nobody is turned away")
	warn(attack && measured && s.Sequential.ClosedLoop() && s.Sequential.Earliest() <= s.Parallel.Delay,
		"clients.sequential has no rate: a fast server may finish it before the attack begins")
	warn(attack && measured && s.Parallel.Delay == 0,
		"clients.parallel.delay is 0s: there is no quiet phase before the attack to compare with")
	warn(attack && s.Sequential.Rate > 0 && s.Parallel.End() >= s.Sequential.End() && s.Search == nil,
		"the attack is scheduled until %s and the sequential load until %s: there is no quiet phase after the attack",
		s.Parallel.End(), s.Sequential.End())
	for _, a := range s.Attacks() {
		warn(!a.Kind.Flood() && a.MaxInFlight < a.mostInFlight(),
			"clients.parallel.max_in_flight is %d, but %g/s unanswered for %s needs %d: the attack may fall behind its schedule",
			a.MaxInFlight, a.Rate, a.Timeout+a.Hold, a.mostInFlight())
	}
	warn(s.Neighbour.Count > 0 && s.Neighbour.Scheduled() > 0 && s.Neighbour.End() <= s.Parallel.End(),
		"clients.neighbour ends before the attack does, so it cannot show when it is served again")
	attacked := s.Parallel.Scheduled()
	before, during := s.Sequential.expected(s.Parallel.Delay.Seconds()), s.Sequential.expected(attacked.Seconds())
	warn(s.ladder() && s.Sequential.expected(1) > 0 && (before < forP99 || attacked > 0 && during < forP99),
		"the sequential clients start %.0f requests before the attack and %.0f during it, and a p99 needs %d of each: the "+
			"report cannot tell whether the server holds", before, during, forP99)
	warn(asksCost && s.Repetitions < fewestForInterval,
		"repetitions: %d is too few for a 95 %% interval of the cost of measuring: use %d or more",
		s.Repetitions, fewestForInterval)
	warn(attack && asksCost,
		"trial.alternate leaves half of the attack unmeasured: its figures are less precise, and the cost of measuring is "+
			"averaged over the times with and without attack")
	warn(s.Server.Retry != "" && !slices.ContainsFunc(s.Variants, record.Variant.Retries),
		"server.retry has no effect: no variant answers with a Retry; %s does, and those that end in -block-new",
		record.UserspaceRetry)
	for _, cpu := range s.Server.CPUs {
		warn(slices.Contains(s.Sequential.CPUs, cpu),
			"CPU %d is the server's and the clients': the clients' work slows the server down", cpu)
	}
	return warnings
}

// ladder reports whether the scenario compares more places, or more kinds of attack, than the paper. The
// report then lists the attacks that the server withstands (docs/method.md, Holds, degrades, fails).
func (s *Scenario) ladder() bool {
	return s.Search == nil && s.Sequential.Count > 0 && s.Parallel.Count > 0 &&
		(s.Parallel.Kind != record.Requests || len(s.Background) > 0 ||
			slices.ContainsFunc(s.Variants, record.Variant.BeyondThePaper))
}
