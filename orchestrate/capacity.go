package orchestrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// ErrCapacity is the error of a run whose attack is a multiple of a capacity that
// cannot be measured, or is more than the clients can start.
var ErrCapacity = errors.New("capacity")

// errDisturbed means that other work ran on the server's CPUs during a measurement.
var errDisturbed = errors.New("something else runs on its CPUs")

const (
	// capacityLoad is how long the server is kept busy, and capacityWarmUp how much of
	// its beginning is left out.
	capacityLoad   = 4 * time.Second
	capacityWarmUp = time.Second
	// capacityClients have capacityInFlight requests in flight each.
	capacityClients  = 4
	capacityInFlight = 4
	// capacityRate is more than a client can complete: capacityInFlight limits it, so
	// that the load is a closed loop.
	capacityRate = 2000
	// busyServer is the busy share of a saturated server: its throughput is then its
	// capacity, and must agree with its CPU time to within agreement.
	busyServer = 0.95
	agreement  = 0.10
	// generatorLimit is the largest busy share of the clients' CPUs during an attack.
	generatorLimit = 0.90
)

// withCapacity sets the rates of the scenario's attacks, if some are multiples of the
// server's capacity. The capacity is given, measured, or that of the resumed run.
func withCapacity(ctx context.Context, s *scenarios.Scenario, rt Runtime, o Options) ([]results.Capacity, error) {
	var all []results.Capacity
	if o.Resume != "" {
		run, err := results.Open(o.Resume)
		if err != nil {
			return nil, err
		}
		all = run.Manifest.Capacities
	}
	for _, c := range s.Cells() {
		if !c.NeedsCapacity() || capacityOf(all, c.ServerPoint) != nil {
			continue
		}
		capacity, err := measureCapacity(ctx, s, c, rt, o)
		if err != nil {
			return nil, err
		}
		all = append(all, *capacity)
		if o.OnEvent != nil {
			o.OnEvent(Event{Phase: PhaseCapacity, Message: capacity.Words()})
		}
	}
	var unreachable []error
	for _, c := range s.Cells() {
		if c.NeedsCapacity() {
			err := reaches(c, capacityOf(all, c.ServerPoint))
			same := func(other error) bool { return other.Error() == err.Error() }
			if err != nil && !slices.ContainsFunc(unreachable, same) { // cells may ask for the same
				unreachable = append(unreachable, err)
			}
		}
	}
	s.SetRates(func(point string) (capacity, most float64) {
		c := capacityOf(all, point)
		if c == nil { // no variant of the run exists for this server
			return 0, 0
		}
		return c.ServingPerS, tenths(strongest(c))
	})
	return all, errors.Join(unreachable...)
}

func capacityOf(all []results.Capacity, point string) *results.Capacity {
	for i := range all {
		if all[i].Point == point {
			return &all[i]
		}
	}
	return nil
}

// reaches returns an error if the clients cannot start the attack of a cell.
func reaches(s *scenarios.Scenario, c *results.Capacity) error {
	most := tenths(strongest(c))
	asked, fixed := strength(s)
	if s.Search != nil && !s.Parallel.Kind.Flood() && most-fixed < s.Search.From {
		return fmt.Errorf("%w: the server serves %.0f requests/s, and the clients' %d CPU(s) can start %.1f times that at "+
			"most, not %g times: give the clients more CPUs, or write a lower search.from", ErrCapacity, c.ServingPerS,
			c.ClientCPUs, most-fixed, s.Search.From)
	}
	if asked <= most || asked > fixed && most > fixed {
		return nil
	}
	return fmt.Errorf("%w: the server serves %.0f requests/s, and the clients' %d CPU(s) can start %.1f times that at "+
		"most, not %g times: give the clients more CPUs, or write rate: %.1fx, or rate: up to %gx",
		ErrCapacity, c.ServingPerS, c.ClientCPUs, most, asked, most, asked)
}

// strength returns the strength of all attacks of a cell together, as a multiple of the
// server's capacity, and of those for which nothing less is accepted. It leaves out floods:
// a datagram costs its sender almost nothing.
func strength(cell *scenarios.Scenario) (asked, fixed float64) {
	for _, attack := range cell.Attacks() {
		if attack.Kind.Flood() {
			continue
		}
		asked += attack.Strength
		if !attack.UpTo {
			fixed += attack.Strength
		}
	}
	return asked, fixed
}

// strongest returns the strongest attack that the clients can start, as a multiple of
// the server's capacity. A request up to the capacity costs them as much as a served
// one, any other as much as a refused one. The result is infinite if nothing is known
// about the clients, or if they have no CPU of their own.
func strongest(c *results.Capacity) float64 {
	if c.Given || c.Shared {
		return math.Inf(1)
	}
	has, serving := generatorLimit*1e9*float64(max(1, c.ClientCPUs)), c.ServingPerS*c.ServingClientNS
	if serving > has {
		return has / serving
	}
	// A foreign server refuses nothing. The cost of one more request to its client is not
	// known, but at most that of a served one.
	return 1 + (has-serving)/(c.ServingPerS*cmp.Or(c.RefusingClientNS, c.ServingClientNS))
}

// tenths rounds a multiple down to one decimal, as in a scenario.
func tenths(multiple float64) float64 { return math.Floor(10*multiple) / 10 }

// measureCapacity measures the capacity of a cell's server, unless it is given.
func measureCapacity(
	ctx context.Context, s, cell *scenarios.Scenario, rt Runtime, o Options,
) (*results.Capacity, error) {
	if c := o.Capacity; c > 0 {
		return &results.Capacity{Point: cell.ServerPoint, ServingPerS: c, Given: true}, nil
	}
	most := 0.0
	for _, c := range s.Cells() {
		if asked, _ := strength(c); c.ServerPoint == cell.ServerPoint {
			most = max(most, asked)
		}
	}
	return measureUntil(most, func(again string) (*results.Capacity, error) {
		if o.OnEvent != nil {
			o.OnEvent(Event{Phase: PhaseCapacity, Message: again})
		}
		return saturate(ctx, cell, rt, o)
	})
}

// measureUntil measures up to Attempts times, as a few seconds are easily disturbed,
// until the clients can start an attack of the given multiple of the capacity. It
// returns the measurement by which they can start the strongest attack. Each but the
// first measurement is given the reason for it.
func measureUntil(
	multiple float64, measure func(again string) (*results.Capacity, error),
) (best *results.Capacity, err error) {
	again := ""
	for range Attempts {
		var c *results.Capacity
		switch c, err = measure(again); {
		case errors.Is(err, errDisturbed):
			again = "capacity, again: the measurement was disturbed"
			continue
		case err != nil:
			return nil, err
		case best == nil || strongest(c) > strongest(best):
			best = c
		}
		most := tenths(strongest(best))
		if most >= multiple {
			break
		}
		again = fmt.Sprintf("capacity, again: the clients can start %.1f times it, not %g times", most, multiple)
	}
	if best == nil {
		return nil, err
	}
	return best, nil
}

// saturate keeps a server busy for some seconds, once serving and once refusing. It does
// so in a separate run that leaves nothing.
func saturate(ctx context.Context, cell *scenarios.Scenario, rt Runtime, o Options) (_ *results.Capacity, err error) {
	dir, err := results.Scratch(o.Results)
	if err != nil {
		return nil, fmt.Errorf("measure the capacity: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	outcome, err := Run(ctx, saturatingScenario(cell), rt,
		Options{Results: dir, Seed: o.Seed, Hurry: o.Hurry, BinDir: o.BinDir, CPUTimes: o.CPUTimes, Once: true})
	_, broke := errors.AsType[*brokenOff](err)
	if err != nil && (broke || !errors.Is(err, ErrInvalid)) { // the server is too busy on purpose
		return nil, fmt.Errorf("measure the capacity: %w", err)
	}
	run, err := results.Open(outcome.Dir)
	if err != nil {
		return nil, fmt.Errorf("measure the capacity: %w", err)
	}
	return readCapacity(run, cell.ServerPoint)
}

// saturatingScenario returns a load of a few seconds that keeps the server of a scenario busy.
func saturatingScenario(cell *scenarios.Scenario) *scenarios.Scenario {
	s := *cell
	s.Name, s.Text = "capacity", nil
	s.Cell, s.Load, s.Point, s.ServerPoint, s.Set = "", "", "", "", nil
	s.Variants, s.Repetitions, s.Again = []record.Variant{record.NoBlock, record.UserspaceBlock}, 1, false
	if s.Server.Foreign() {
		s.Variants = s.Variants[:1]
	}
	s.Server.Quota = 1 // all but one of each client's requests in flight are refused
	s.Search, s.Background, s.Sequential.Count, s.Neighbour.Count = nil, nil, 0, 0
	s.Parallel.Kind, s.Parallel.Hold, s.Parallel.Addresses = record.Requests, 0, 1
	s.Parallel.Count, s.Parallel.Requests, s.Parallel.Duration = capacityClients, 0, capacityLoad
	s.Parallel.Strength, s.Parallel.UpTo, s.Parallel.Rate, s.Parallel.Delay = 0, false, capacityRate, 0
	s.Parallel.MaxInFlight, s.Parallel.Timeout = capacityInFlight, 5*time.Second
	s.Trial.Settle = min(s.Trial.Settle, time.Second)
	s.Trial.Syscalls, s.Trial.Alternate = false, 0
	return s.Alone()
}

// saturated holds the totals of a server and its clients in the window of a saturating trial.
type saturated struct {
	seconds                 float64
	served, refused         float64
	serverCPUNS, serverBusy float64 // of the process, and of its CPUs including everything that ran on them
	clientCPUNS             float64
	serverCPUs, clientCPUs  int
}

// readCapacity computes the capacity from the two trials of a saturating run.
func readCapacity(run *results.Run, point string) (*results.Capacity, error) {
	by := map[string]*saturated{}
	for _, t := range run.Trials {
		s, err := readSaturated(run, t)
		if err != nil {
			return nil, fmt.Errorf("measure the capacity: %w", err)
		}
		by[t.Variant] = s
	}
	serving, refusing := by[string(record.NoBlock)], by[string(record.UserspaceBlock)]
	if serving == nil || serving.served == 0 || serving.serverCPUNS == 0 {
		return nil, fmt.Errorf("%w: no request was served in %s: see `equic-bench run scenarios/smoke.yaml`", ErrCapacity,
			capacityLoad)
	}
	c := &results.Capacity{
		Point:           point,
		Requests:        int(serving.served),
		WindowNS:        (capacityLoad - capacityWarmUp).Nanoseconds(),
		ThroughputPerS:  serving.served / serving.seconds,
		ByCPUTimePerS:   float64(serving.serverCPUs) * 1e9 * serving.served / serving.serverCPUNS,
		ServerCPUs:      serving.serverCPUs,
		ServerBusy:      serving.serverBusy,
		ClientCPUs:      serving.clientCPUs,
		ServingClientNS: serving.clientCPUNS / serving.served,
	}
	// If the server had CPU time to spare, the clients were the limit, so use the CPU time.
	c.ServingPerS = c.ByCPUTimePerS
	if c.Shared = run.Manifest.Experiment.SharesCPUs(); c.Shared {
		c.ServingPerS = c.ThroughputPerS
	} else if c.ServerBusy >= busyServer {
		c.ServingPerS = c.ThroughputPerS
		if apart := math.Abs(c.ThroughputPerS/c.ByCPUTimePerS - 1); apart > agreement {
			return nil, fmt.Errorf("%w: %.0f requests/s were served by a busy server, but by its CPU time it can serve %.0f/s: "+
				"%w; end it, or name the capacity with --capacity", ErrCapacity, c.ThroughputPerS, c.ByCPUTimePerS, errDisturbed)
		}
	}
	if refusing != nil && refusing.refused > 0 {
		perServed := serving.serverCPUNS / serving.served
		c.RefusingNS = max(0, refusing.serverCPUNS-refusing.served*perServed) / refusing.refused
		c.RefusingPerS = float64(serving.serverCPUs) * 1e9 / max(1, c.RefusingNS)
		c.RefusingClientNS = max(0, refusing.clientCPUNS-refusing.served*c.ServingClientNS) / refusing.refused
	}
	return c, nil
}

// readSaturated reads the records of a trial within its window.
func readSaturated(run *results.Run, t *results.Trial) (*saturated, error) {
	from, to := capacityWarmUp.Nanoseconds(), capacityLoad.Nanoseconds()
	s := &saturated{seconds: float64(to-from) / 1e9}
	clients := map[string]int{} // CPUs, by host
	for i := range t.Nodes {
		n := &t.Nodes[i]
		var first, last *record.Sample
		cpus := 1
		if err := run.Lines(t, n, func(l *record.Line) error {
			switch {
			case l.Request != nil:
				s.count(l.Request, from, to)
			case l.Probe != nil:
				cpus = max(1, len(l.Probe.CPUs))
			case l.Sample != nil && l.Sample.AtNS >= from && l.Sample.AtNS <= to:
				if first == nil {
					first = l.Sample
				}
				last = l.Sample
			}
			return nil
		}); err != nil {
			return nil, err
		}
		if first == last {
			continue
		}
		span := float64(last.AtNS - first.AtNS)
		// In network namespaces threads of their own receive for the server.
		used := float64(last.CPUNS-first.CPUNS+last.ReceiveNS-first.ReceiveNS) * float64(to-from) / span
		if n.Role != results.RoleServer {
			s.clientCPUNS += used
			clients[n.Host] = max(clients[n.Host], cpus)
			continue
		}
		busy := last.BusyNS + last.SoftIRQNS + last.StealNS - first.BusyNS - first.SoftIRQNS - first.StealNS
		s.serverCPUNS, s.serverCPUs, s.serverBusy = used, cpus, float64(busy)/span/float64(cpus)
	}
	for _, cpus := range clients {
		s.clientCPUs += cpus
	}
	return s, nil
}

// count counts a request that ended within the window.
func (s *saturated) count(r *record.Request, from, to int64) {
	if end := r.StartNS + r.EndNS; end < from || end >= to {
		return
	}
	switch r.Outcome {
	case record.OK:
		s.served++
	case record.Refused:
		s.refused++
	}
}
