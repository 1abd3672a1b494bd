package analysis

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// reading is one trial's records, reduced during streaming to what the metrics need.
// Times are in ns from the epoch, durations in ns.
type reading struct {
	experiment *results.Experiment
	variant    record.Variant

	endNS  int64 // of the window; the last completion for a closed loop; the last answer for an attack alone
	attack span

	requests map[string]map[string]Number
	offered  int
	done     completions // ok sequential requests; their durations are below
	response tally
	service  tally
	latency  latencies
	split    [3]tally // response before, during and after the attack
	phases   [3]tally // handshake, first byte, body

	attackStarts int
	lastFirstNS  int64 // the latest of the attackers' first starts
	turnedAway   int   // attack requests that were not served
	neighbours   []record.Request
	peakInFlight int
	held         int
	attackerNS   int64 // CPU time of the attackers from the epoch on
	// Of the attacker whose records are being read: before the epoch, and so far.
	nodeStartNS, nodeNS int64

	// Of the paper's instrument; the ends are those of the last requests, with any
	// outcome, and zero without any.
	log                            serverLog
	sequentialEndNS, parallelEndNS int64

	admitted    int
	refusalCPU  tally
	refusalWall tally
	samples     []record.Sample
	syscalls    []record.Syscall
	gateway     *record.Gateway
	server      *record.Server
	probe       *record.Probe
}

// span is a stretch of time from the epoch; empty if from > to.
type span struct{ fromNS, toNS int64 }

func (s span) empty() bool { return s.fromNS > s.toNS }

// read streams the records of one trial. The server's and the clients' records set
// different fields, so they are read at the same time. Each is read in a fixed order,
// so that the same records give the same figures.
func read(run *results.Run, trial *results.Trial) (*reading, error) {
	variant, err := record.ParseVariant(trial.Variant)
	if err != nil {
		return nil, fmt.Errorf("trial %s: %w", trial.Name(), err)
	}
	endNS := loadEndNS(run.Manifest.Experiment.Sequential)
	if endNS > longestNS {
		return nil, fmt.Errorf("trial %s: a load of more than %v", trial.Name(), time.Duration(longestNS))
	}
	r := &reading{
		experiment: run.Manifest.Experiment.At(trial.PlannedTrial),
		variant:    variant,
		endNS:      endNS,
		attack:     span{fromNS: math.MaxInt64, toNS: math.MinInt64},
		done:       completions{endNS: endNS},
		latency:    latencies{endNS: endNS},
		requests: map[string]map[string]Number{
			results.RoleParallel:   noRequests(),
			results.RoleSequential: noRequests(),
		},
	}
	var server error
	var reads sync.WaitGroup
	reads.Go(func() { server = readNodes(run, trial, results.RoleServer, r.takeServer) })
	// The attackers come first: only their records show when the attack was.
	clients := readNodes(run, trial, results.RoleParallel, r.takeParallel)
	if clients == nil {
		clients = errors.Join(
			readNodes(run, trial, results.RoleSequential, r.takeSequential),
			readNodes(run, trial, results.RoleNeighbour, r.takeNeighbour))
	}
	reads.Wait()
	if err := errors.Join(clients, server); err != nil {
		return nil, fmt.Errorf("trial %s: %w", trial.Name(), err)
	}
	return r, nil
}

// readNodes streams the records of the nodes of one role, one after the other.
func readNodes(run *results.Run, trial *results.Trial, role string, take func(*record.Line)) error {
	for i := range trial.Nodes {
		node := &trial.Nodes[i]
		if node.Role != role {
			continue
		}
		if err := run.Lines(trial, node, func(line *record.Line) error {
			if latestNS(line) > longestNS {
				return fmt.Errorf("a time of more than %v", time.Duration(longestNS))
			}
			take(line)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// longestNS is longer than any trial. Curves have a value for each second of one, so a
// damaged time would fill the memory.
const longestNS = int64(30 * 24 * time.Hour)

// latestNS returns the latest time in a record.
func latestNS(line *record.Line) int64 {
	switch {
	case line.Request != nil:
		return max(line.Request.ScheduledNS, line.Request.StartNS, line.Request.EndNS)
	case line.Flood != nil:
		return line.Flood.ToNS
	}
	return 0
}

// loadEndNS returns the scheduled end of the sequential load; zero for a closed loop.
func loadEndNS(l results.Load) int64 {
	if l.Clients == 0 || l.ScheduledNS() == 0 {
		return 0
	}
	return l.DelayNS + l.ScheduledNS()
}

// noRequests returns zero counts without local failures: older runs have none, and
// their reports must not change.
func noRequests() map[string]Number {
	counts := map[string]Number{}
	for _, o := range record.Outcomes {
		counts[string(o)] = 0
	}
	delete(counts, string(record.Local))
	return counts
}

func (r *reading) takeParallel(line *record.Line) {
	if c := line.Client; c != nil {
		r.peakInFlight = max(r.peakInFlight, c.PeakInFlight)
		r.held += c.Held
	}
	if s := line.Sample; s != nil {
		r.nodeNS = s.CPUNS
		if s.AtNS <= 0 {
			r.nodeStartNS = s.CPUNS
		}
	}
	if line.Probe != nil {
		r.attackerNS += r.nodeNS - r.nodeStartNS
		r.nodeStartNS, r.nodeNS = 0, 0
	}
	if f := line.Flood; f != nil {
		r.takeFlood(f)
	}
	q := line.Request
	if q == nil {
		return
	}
	r.requests[results.RoleParallel][string(q.Outcome)]++
	r.offered++
	r.parallelEndNS = max(r.parallelEndNS, q.StartNS+q.EndNS)
	r.attackStarts++
	if q.Seq == 0 {
		r.lastFirstNS = max(r.lastFirstNS, q.StartNS)
	}
	r.attack.fromNS = min(r.attack.fromNS, q.StartNS)
	r.attack.toNS = max(r.attack.toNS, q.StartNS)
	if r.experiment.Sequential.Clients == 0 {
		r.endNS = max(r.endNS, q.StartNS, attackEnd(q))
	}
	if q.Outcome != record.OK {
		r.turnedAway++
	}
}

// takeFlood counts datagrams; their outcome is not known.
func (r *reading) takeFlood(f *record.Flood) {
	r.attackStarts += int(f.Frames)
	r.attack.fromNS = min(r.attack.fromNS, f.FromNS)
	r.attack.toNS = max(r.attack.toNS, f.ToNS)
	if r.experiment.Sequential.Clients == 0 {
		r.endNS = max(r.endNS, f.ToNS)
	}
	for outcome := range r.requests[results.RoleParallel] {
		r.requests[results.RoleParallel][outcome] = Unknown()
	}
}

// attackEnd returns when an attacker had its answer, from the epoch. A time-out does
// not count: the server has finished such a request, or never saw it.
func attackEnd(q *record.Request) int64 {
	if q.Outcome == record.Timeout {
		return q.StartNS
	}
	return q.StartNS + q.EndNS
}

func (r *reading) takeSequential(line *record.Line) {
	q := line.Request
	if q == nil {
		return
	}
	r.requests[results.RoleSequential][string(q.Outcome)]++
	r.offered++
	r.sequentialEndNS = max(r.sequentialEndNS, q.StartNS+q.EndNS)
	if q.Outcome != record.OK {
		return
	}
	done := q.StartNS + q.EndNS
	r.done.add(done)
	if loadEndNS(r.experiment.Sequential) == 0 {
		r.endNS = max(r.endNS, done)
	}
	r.response.add(q.ResponseNS())
	r.service.add(q.ServiceNS())
	r.latency.add(q.ScheduledNS, q.ResponseNS())
	r.split[r.part(q.ScheduledNS)].add(q.ResponseNS())
	for i, ns := range []int64{q.HandshakeNS, q.FirstByteNS, q.BodyNS} {
		if ns > 0 {
			r.phases[i].add(ns)
		}
	}
}

func (r *reading) takeNeighbour(line *record.Line) {
	if line.Request != nil {
		r.neighbours = append(r.neighbours, *line.Request)
	}
}

// part returns 0 before the attack, 1 during it and 2 after it. Without an attack it
// returns 0.
func (r *reading) part(atNS int64) int {
	switch {
	case r.attack.empty() || atNS < r.attack.fromNS:
		return 0
	case atNS <= r.attack.toNS:
		return 1
	}
	return 2
}

func (r *reading) takeServer(line *record.Line) {
	switch {
	case line.Ready != nil:
		r.log.startNS = line.Ready.AtNS
	case line.Connection != nil:
		r.log.addConnection(line.Connection, r.variant)
		end := line.Connection.End
		if line.Connection.HandshakeNS > 0 && end != record.RefusedByQuota && end != record.RefusedByQueue {
			r.admitted++
		}
	case line.Refusal != nil:
		if line.Refusal.CPUNS != 0 {
			r.refusalCPU.add(line.Refusal.CPUNS)
		}
		r.refusalWall.add(line.Refusal.WallNS)
		r.log.addRefusal(line.Refusal)
	case line.Sample != nil:
		r.samples = append(r.samples, *line.Sample)
	case line.Syscall != nil:
		r.syscalls = append(r.syscalls, *line.Syscall)
	case line.Gateway != nil:
		r.gateway = line.Gateway
	case line.Server != nil:
		r.server = line.Server
	case line.Probe != nil:
		r.probe = line.Probe
	}
}

// cpus returns how many CPUs the server may use: the denominator of percentages.
func (r *reading) cpus() int {
	if r.probe != nil && len(r.probe.CPUs) > 0 {
		return len(r.probe.CPUs)
	}
	return max(1, len(r.experiment.ServerCPUs))
}

// fromHistogram reports whether a quantile of the trial is not computed from all values.
func (r *reading) fromHistogram() bool {
	// No other kind is more frequent than these.
	return r.response.counts != nil || r.refusalWall.counts != nil
}

// Seconds converts a duration from ns.
func Seconds(ns int64) float64 { return float64(ns) / 1e9 }
