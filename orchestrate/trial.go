package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

const (
	// readyGrace is how long after the epoch a node's report of having been ready in
	// time may still arrive.
	readyGrace = time.Second
	// stopLimit bounds the sending of a signal, and the wait for a node's end after it.
	stopLimit = 10 * time.Second
)

// trial is one attempt at one planned trial, in progress.
type trial struct {
	runner *runner
	plan   results.PlannedTrial
	// scenario is the trial's cell of the run's scenario.
	scenario *scenarios.Scenario
	attempt  int
	settled  *results.Settling // nil if the scenario asks for none
	started  time.Time
	epoch    time.Time
	spec     Spec
	out      *results.TrialWriter
	nodes    Nodes
	members  []*member // the server first
	// allReady is when the last node was ready; zero if the trial ended before.
	allReady time.Time
	// arrived is the frames of floods that came to the server; nil if they are not counted.
	arrived *Arrivals
	// stopping is set once the load is over and the server has been asked to stop.
	stopping bool

	changed  chan struct{}  // has a token when a member's state has changed
	watchers sync.WaitGroup // one per started node
	leftover error          // from removing the nodes: it does not affect the records
}

// brokenError ends a trial early: it is invalid, and the run goes on.
type brokenError struct{ reason string }

func (e *brokenError) Error() string { return e.reason }

// trial runs one attempt. The trial is nil if it is incomplete; otherwise it is
// written, and an error reports another problem.
func (r *runner) trial(ctx context.Context, p results.PlannedTrial, attempt int) (*results.Trial, error) {
	t := &trial{runner: r, plan: p, attempt: attempt, changed: make(chan struct{}, 1)}
	if t.scenario = r.scenario.CellNamed(p.Cell); t.scenario == nil {
		return nil, fmt.Errorf("the scenario has no cell %q", p.Cell)
	}
	if p.Strength > 0 {
		t.scenario = t.scenario.At(p.Strength)
	}
	if err := r.removeKept(ctx); err != nil {
		return nil, err
	}
	if err := t.settle(ctx); err != nil {
		return nil, err
	}
	if err := r.checkPrograms(); err != nil {
		return nil, err
	}
	if err := t.begin(); err != nil {
		return nil, err
	}
	early, err := t.execute(ctx)
	if closeErr := t.closeFiles(); err == nil { // else a full disk reports the same for each node
		err = closeErr
	}
	if err != nil {
		return nil, errors.Join(err, t.leftover, t.out.Abort())
	}
	t.emit(PhaseCheck)
	whole, err := t.judge(early)
	if err != nil {
		return nil, errors.Join(err, t.leftover, t.out.Abort())
	}
	if err := t.out.Commit(whole); err != nil {
		return nil, errors.Join(err, t.leftover, t.out.Abort())
	}
	return whole, t.leftover
}

// removeKept makes room for the next trial if Options.Keep left nodes.
func (r *runner) removeKept(ctx context.Context) error {
	if r.kept == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, nodesLimit(nodeCount(r.scenario)))
	defer cancel()
	if err := r.kept.Remove(ctx); err != nil {
		return err
	}
	r.kept = nil
	return nil
}

// settle waits until the last trial's work, and that of other processes, has died away.
func (t *trial) settle(ctx context.Context) (err error) {
	r := t.runner
	if t.scenario.Trial.Settle <= 0 {
		return nil
	}
	r.emit(Event{Trial: t.plan, Phase: PhaseSettle})
	cpus, _ := placeNodes(t.scenario, r.runtime.Platform())
	t.settled, err = settle(ctx, cpus.all(), t.scenario.Trial.Settle, r.readCPUs)
	return err
}

// readCPUs reads the times of CPUs, with Options.CPUTimes if it is set.
func (r *runner) readCPUs(cpus []int) (host.CPUTimes, error) {
	if read := r.options.CPUTimes; read != nil {
		return read(cpus)
	}
	return host.Local().CPUTimes(cpus)
}

// begin chooses the epoch and makes the trial's files.
func (t *trial) begin() (err error) {
	r := t.runner
	t.started = time.Now()
	t.epoch = t.started.Add(t.startup())
	t.spec, err = newSpec(t.scenario, r.writer.ID, t.plan, t.attempt, t.epoch, r.runtime.Platform())
	if err != nil {
		return err
	}
	server, pair := &t.spec.Nodes[0], r.certificates[t.scenario.Server.Key]
	if t.scenario.Server.Foreign() {
		err = giveFiles(server, t.scenario.Server.Body, pair)
	} else {
		err = giveCertificate(server, pair)
	}
	if err != nil {
		return err
	}
	t.out, err = r.writer.BeginTrial(t.plan, t.attempt)
	if err != nil {
		return err
	}
	for _, spec := range t.spec.Nodes {
		m, err := newMember(spec, nodeLimits(t.scenario, spec.Role), t.out, t.notify)
		if err != nil {
			return errors.Join(err, t.closeFiles(), t.out.Abort())
		}
		t.members = append(t.members, m)
	}
	return nil
}

func nodeCount(s *scenarios.Scenario) int {
	nodes := 1
	for _, c := range s.Groups() {
		nodes += c.Count
	}
	return nodes
}

func (t *trial) closeFiles() error {
	var errs []error
	for _, m := range t.members {
		errs = append(errs, m.records.Close(), m.log.Close())
	}
	return errors.Join(errs...)
}

// execute makes the nodes, runs the load, and removes the nodes. It returns why the
// trial ended early, or an error if the runtime or the caller's context ended it.
func (t *trial) execute(ctx context.Context) (early string, err error) {
	t.emit(PhaseStart)
	t.nodes, err = t.runner.runtime.Open(ctx, t.spec)
	if err != nil {
		return "", err
	}
	watch, unwatch := context.WithCancel(context.WithoutCancel(ctx)) // lasts until an interrupted trial's nodes end
	defer func() {
		if ctx.Err() != nil {
			t.leftover = t.dismiss(watch)
		}
		unwatch()
		t.leftover = errors.Join(t.leftover, t.teardown(ctx))
		t.watchers.Wait()
	}()
	err = t.load(ctx, watch)
	t.learnStartup()
	err = errors.Join(err, t.countArrivals())
	if broken, ok := errors.AsType[*brokenError](err); ok {
		return broken.reason, t.kill(ctx)
	}
	return "", err
}

// countArrivals records how many frames of floods came to the server.
func (t *trial) countArrivals() (err error) {
	t.arrived, err = t.nodes.Arrived()
	return err
}

// load starts the gateway in front of the server, if there is one, then the server, then
// the clients. It waits for the clients' end, and stops the others. Watchers live as long as the context watch.
func (t *trial) load(ctx, watch context.Context) error {
	if late := time.Since(t.epoch); late > 0 {
		return &brokenError{fmt.Sprintf(
			"server and clients were made %s after the epoch: if this recurs, raise trial.startup",
			validity.Seconds(late.Nanoseconds()))}
	}
	server, clients, gateway := t.groups()
	for _, group := range [][]*member{gateway, server, clients} {
		if err := t.start(ctx, watch, group...); err != nil {
			return err
		}
		if err := t.await(ctx, t.epoch.Add(readyGrace), group, (*member).ready,
			"not ready by the epoch: if this recurs, raise trial.startup"); err != nil {
			return err
		}
	}
	t.allReady = time.Now()
	if err := t.runner.checkPrograms(); err != nil { // again, now that each node has been started
		return err
	}
	deadline := t.deadline()
	late := fmt.Sprintf("still running %s after the epoch: longer than schedule, time-out and trial.drain",
		validity.Seconds(deadline.Sub(t.epoch).Nanoseconds()))
	if err := t.await(ctx, deadline, clients, (*member).ended, late); err != nil {
		return err
	}
	t.stopping = true
	t.emit(PhaseStop)
	if err := t.stop(ctx, server); err != nil {
		return err
	}
	return t.stop(ctx, gateway)
}

// groups returns the server, the clients, and the gateway in front of the server, if there
// is one.
func (t *trial) groups() (server, clients, gateway []*member) {
	server, clients = t.members[:1], t.members[1:]
	if last := len(clients) - 1; last >= 0 && clients[last].spec.Role == results.RoleGateway {
		clients, gateway = clients[:last], clients[last:]
	}
	return server, clients, gateway
}

// stop asks nodes to end, and waits until they have.
func (t *trial) stop(ctx context.Context, members []*member) error {
	for _, m := range members {
		m.stop()
		if err := t.signal(ctx, m, syscall.SIGTERM); err != nil {
			return err
		}
	}
	limit := t.endLimit()
	return t.await(ctx, time.Now().Add(limit), members, (*member).ended,
		fmt.Sprintf("still running %s after SIGTERM", limit))
}

// endLimit returns how long a node may take to end after SIGTERM. It prints its records, which are then copied
// and read here.
func (t *trial) endLimit() time.Duration {
	const perLine = 20 * time.Microsecond // on a slow machine
	lines := time.Duration(2 * mostRequests(t.scenario))
	return stopLimit + t.runner.runtime.Platform().SlowStart + (lines * perLine).Truncate(time.Second)
}

// start starts nodes, all at once, and watches each until it ends. A node that starts
// after the epoch is late, and its trial invalid. A start that takes longer than the
// limit for making the nodes counts as no answer.
func (t *trial) start(ctx, watch context.Context, members ...*member) error {
	ctx, cancel := context.WithTimeout(ctx, t.spec.Limit())
	defer cancel()
	var g errgroup.Group
	for _, m := range members {
		g.Go(func() error {
			err := t.nodes.Start(ctx, m.spec.Name, m.records, m.log)
			if lost, ok := errors.AsType[*LostError](err); ok {
				return &brokenError{lost.Reason}
			}
			if err != nil {
				return fmt.Errorf("start %s: %w", m.spec.Name, err)
			}
			m.start(t.nodes.Location(m.spec.Name))
			t.watchers.Go(func() {
				code, err := t.nodes.Wait(watch, m.spec.Name)
				m.end(code, err)
				t.notify()
			})
			return nil
		})
	}
	return g.Wait()
}

// await blocks until done returns true for all members. It returns a brokenError as
// soon as any node fails, or when the time is up; late then describes the problem.
func (t *trial) await(
	ctx context.Context, until time.Time, members []*member, done func(*member) bool, late string,
) error {
	limit := time.NewTimer(time.Until(until))
	defer limit.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		waiting := firstNot(members, done)
		if err := t.failure(); err != nil {
			return err
		}
		if waiting == nil {
			return nil
		}
		t.emit(t.phase(time.Now()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			node := waiting.node(t.epoch)
			return &brokenError{node.Title() + " is " + late}
		case <-t.changed:
		case <-tick.C:
		}
	}
}

// failure returns the first failure of a node, if any has failed.
func (t *trial) failure() error {
	for _, m := range t.members {
		if reason, err := m.failure(t.epoch, len(t.members)); err != nil {
			return fmt.Errorf("wait for %s: %w", m.spec.Name, err)
		} else if reason != "" {
			return &brokenError{reason}
		}
	}
	return nil
}

// deadline returns when the last client must have ended: its schedule, the time-out of
// its last request, and the scenario's drain time.
func (t *trial) deadline() time.Time {
	s := t.scenario
	return t.epoch.Add(longestLoad(s) + s.Trial.Drain)
}

func longestLoad(s *scenarios.Scenario) time.Duration {
	var most time.Duration
	for _, c := range s.Groups() {
		most = max(most, longest(c))
	}
	return most
}

// longest returns how long a group of clients may take: its schedule, the time-out of the last
// request, and how long its connection is held. In a closed loop every request may take up to its
// time-out.
func longest(c scenarios.Clients) time.Duration {
	if c.Count == 0 {
		return 0
	}
	if c.Scheduled() > 0 {
		return c.End() + c.Timeout + c.Hold
	}
	inFlight := max(c.MaxInFlight, 1)
	rounds := (c.Requests + inFlight - 1) / inFlight
	return c.Delay + time.Duration(rounds)*max(c.Timeout, c.Pace)
}

// unscheduled reports whether a group ends only with its requests.
func unscheduled(c scenarios.Clients) bool { return c.Count > 0 && c.Scheduled() == 0 }

// phase returns the phase of the scenario's schedule at a given time.
func (t *trial) phase(now time.Time) string {
	attack := t.scenario.Parallel
	at := now.Sub(t.epoch)
	switch {
	case t.stopping:
		return PhaseStop
	case at < 0:
		return PhaseStart
	case attack.Count == 0:
		return PhaseLoad
	case at < attack.Delay:
		return PhaseBefore
	case at < attack.End():
		return PhaseAttack
	default:
		return PhaseAfter
	}
}

// notify wakes await; it never blocks.
func (t *trial) notify() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *trial) emit(phase string) {
	s := t.scenario
	e := Event{
		Trial:         t.plan,
		Phase:         phase,
		Elapsed:       time.Since(t.started),
		Expected:      t.epoch.Sub(t.started) + s.Schedule(),
		ClosedLoop:    unscheduled(s.Sequential) || unscheduled(s.Neighbour),
		RequestsTotal: mostRequests(s),
	}
	for _, m := range t.members {
		e.Requests += m.requests()
	}
	if now := t.started.Add(e.Elapsed); now.After(t.epoch) && !t.stopping && phase != PhaseCheck {
		e.Live = t.live()
	}
	t.runner.emit(e)
}

// firstNot returns the first member for which done returns false, or nil.
func firstNot(members []*member, done func(*member) bool) *member {
	for _, m := range members {
		if !done(m) {
			return m
		}
	}
	return nil
}
