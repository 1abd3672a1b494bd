// Package orchestrate decides when things happen: it plans the trials of a scenario,
// runs them one after the other, and checks each of them.
//
// It is between scenarios, the input, and results, the output. A Runtime runs the
// nodes: this package depends on neither containers nor namespaces. See
// docs/architecture.md, A trial.
package orchestrate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// ErrInvalid means that a trial was still invalid after all its attempts.
var ErrInvalid = errors.New("trial invalid")

// ErrNoBinary means that the program of a node is missing.
var ErrNoBinary = errors.New("no binary for the nodes")

// Attempts is the maximum number of attempts at a trial until it is valid.
const Attempts = results.Attempts

// The phases of a run, as events name them.
const (
	PhasePrepare  = "prepare"       // make the resources that all trials share
	PhaseCapacity = "capacity"      // measure what the server can serve
	PhaseSettle   = "settle"        // wait until the CPUs are idle
	PhaseStart    = "start"         // nodes start, up to the epoch
	PhaseBefore   = "before attack" // load without attack
	PhaseLoad     = "load"          // in a scenario without attack
	PhaseAttack   = "attack"        // the parallel clients' schedule
	PhaseAfter    = "after attack"
	PhaseStop     = "stop"  // the server prints its records
	PhaseCheck    = "check" // records are checked and written
	PhaseDone     = "done"  // the trial is written; Message describes its outcome
)

// Event reports the progress of a run.
type Event struct {
	Trial  results.PlannedTrial // zero while the run is prepared
	Trials int                  // planned; for a search the maximum
	Search bool                 // the results of these trials determine more trials
	Phase  string
	// Elapsed is the time since the trial's start. Expected is how long the trial takes
	// up to the end of its schedules; in a ClosedLoop up to the beginning of its load,
	// as the duration of the load is not known.
	Elapsed, Expected time.Duration
	ClosedLoop        bool
	// Requests is how many have ended in this trial, as of the clients' last reports.
	Requests, RequestsTotal int
	// Live is the state of the load; nil except between the epoch and the end of the
	// clients.
	Live *Live
	// Message is for the reader: a warning, or why a trial is invalid.
	Message string
}

// Options are the settings of a run that are not part of the experiment.
type Options struct {
	Results string // folder of the run directories
	Seed    uint64
	// Resume is the directory of a run to continue, with its own plan, at its first
	// incomplete trial. Results and Seed are then ignored.
	Resume string
	// Keep leaves the last trial's nodes and network in place, for inspection.
	Keep bool
	// Hurry makes an interrupted run kill its nodes once it is closed; otherwise the
	// run asks them to end. Nil means never.
	Hurry <-chan struct{}
	// OnEvent is called from Run's own goroutine; nil means no events.
	OnEvent func(Event)
	// Command and Version are recorded: the command line, and the program's version.
	Command []string
	Version string
	// BinDir is the folder of the nodes' binaries, whose digests are recorded.
	BinDir string
	// Capacity is the server's, in requests per second. If it is zero, it is measured
	// if the scenario's attacks are multiples of it.
	Capacity float64
	// Once turns off the repetition of invalid trials.
	Once bool
	// JudgeAttack is required for a search.
	JudgeAttack JudgeAttack
	// Describe returns the main figures of a valid trial, for its message. It may be nil.
	Describe func(run *results.Run, t *results.Trial) (string, error)
	// CPUTimes reads the times of some CPUs, or of all if none is given, to detect when
	// they are idle. If it is nil, they are read from the kernel.
	CPUTimes func(cpus []int) (host.CPUTimes, error)
}

// Outcome is the result of a run.
type Outcome struct {
	Dir    string          // the run directory
	Trials []results.Trial // complete trials in the order in which they ran, including invalid ones
	// Overhead is the median over trials of the time outside the scenario's schedule.
	Overhead time.Duration
	// Settled is the median over trials of the wait before each. Overhead does not
	// include it.
	Settled time.Duration
}

// Run plans a scenario, runs every trial, and writes a run directory. An invalid trial
// is run again, up to Attempts times; if it is still invalid, the other trials are run
// anyway, and the error is ErrInvalid.
//
// When ctx ends, Run asks its nodes to end, or kills them once Options.Hurry is closed. It
// removes everything that it started, seals the run directory with the complete trials, and
// returns the context's error. The Outcome is correct even with an error. A run without
// a complete trial leaves no run directory.
func Run(ctx context.Context, s *scenarios.Scenario, rt Runtime, o Options) (_ Outcome, err error) {
	if err := checkRuntime(s, rt.Platform()); err != nil {
		return Outcome{}, err
	}
	machine := readMachine(host.Local()) // now: measuring the capacity keeps it busy
	capacities, err := withCapacity(ctx, s, rt, o)
	if err != nil {
		return Outcome{}, err
	}
	r := &runner{scenario: s, runtime: rt, options: o, machine: machine, capacities: capacities, verdicts: Verdicts{}}
	r.plan, r.most = PlanAfter(s, o.Seed, nil)
	if err := r.makeCertificates(); err != nil {
		return Outcome{}, err
	}
	open := r.create
	if o.Resume != "" {
		open = r.resume
	}
	if err := open(); err != nil {
		return Outcome{}, err
	}
	r.programs = newPrograms(o.BinDir, r.manifest.Binaries)
	defer func() { err = errors.Join(err, r.finish()) }()
	err = r.run(ctx)
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = errors.Join(ctx.Err(), err)
	}
	if len(r.trials) == 0 {
		return Outcome{}, err // finish discards the run directory
	}
	return Outcome{
		Dir:      r.writer.Dir,
		Trials:   r.trials,
		Overhead: time.Duration(median(r.trials, overheadNS)),
		Settled:  time.Duration(median(r.trials, settledNS)),
	}, err
}

// runner is one run in progress.
type runner struct {
	scenario *scenarios.Scenario
	runtime  Runtime
	options  Options
	machine  results.Machine // at the start
	plan     []results.PlannedTrial
	most     int      // trials in the plan at the end, at most
	verdicts Verdicts // of a search
	// capacities are those of the scenario's attacks.
	capacities []results.Capacity
	writer     *results.Writer
	manifest   *results.Manifest
	trials     []results.Trial
	programs   *programs
	// certificates, by the type of their key, are the same in all trials: generating a
	// key takes seconds.
	certificates map[string]*tls.Certificate
	kept         Nodes // of the last trial, with Options.Keep
	// slowest is the longest time that the nodes of a trial of this run took until all
	// were ready; zero before the first.
	slowest time.Duration
}

// create makes the run directory, with a manifest from the start.
func (r *runner) create() (err error) {
	r.manifest, err = newManifest(r.scenario, r.plan, r.options, r.machine, time.Now())
	if err != nil {
		return err
	}
	r.writer, err = results.Create(r.options.Results, r.scenario.Name, r.manifest.Started)
	if err != nil {
		return err
	}
	r.manifest.ID, r.manifest.Capacities = r.writer.ID, r.capacities
	r.recordCertificates()
	r.describe(r.manifest)
	err = r.writer.WriteScenario(r.scenario.Text)
	if err == nil {
		err = r.writer.WriteManifest(r.manifest)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("begin run %s: %w", r.writer.ID, err), r.writer.Discard())
	}
	return nil
}

// describe records what is known of the platform so far in a manifest.
func (r *runner) describe(m *results.Manifest) {
	platform := r.runtime.Platform()
	cpus, warnings := placeNodes(r.scenario, platform)
	recordPlacement(m, r.scenario, cpus, platform)
	m.Runtime = platform.Runtime
	memory := r.scenario.Server.Memory
	if platform.NoMemoryLimit {
		memory = 0
	}
	m.Runtime.Limits = append(cpus.limits(memory, !platform.NoSwapLimit), platform.Runtime.Limits...)
	m.Warnings = append(warnings, platform.Warnings...)
	if w := busyMachine(m.Machine); w != "" {
		m.Warnings = append(m.Warnings, w)
	}
}

// finish seals the run directory, or discards it if no trial is complete.
func (r *runner) finish() error {
	if r.kept != nil {
		r.kept.Detach()
	}
	if len(r.trials) == 0 {
		return r.writer.Discard()
	}
	r.describe(r.manifest)
	r.manifest.Ended = time.Now()
	r.manifest.OverheadNS, r.manifest.SettleNS = median(r.trials, overheadNS), median(r.trials, settledNS)
	return errors.Join(r.writer.WriteManifest(r.manifest), r.writer.Seal())
}

func overheadNS(t *results.Trial) int64 { return t.OverheadNS }

func settledNS(t *results.Trial) int64 {
	if t.Settling == nil {
		return 0
	}
	return t.Settling.WaitNS
}

// median returns the median of a value over trials.
func median(trials []results.Trial, of func(*results.Trial) int64) int64 {
	all := make([]int64, len(trials))
	for i := range trials {
		all[i] = of(&trials[i])
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (r *runner) run(ctx context.Context) error {
	for _, w := range r.manifest.Warnings {
		r.emit(Event{Phase: PhasePrepare, Message: "warning: " + w})
	}
	r.emit(Event{Phase: PhasePrepare})
	if err := r.runtime.Prepare(ctx, r.writer.ID); err != nil {
		return fmt.Errorf("prepare the run: %w", err)
	}
	if err := r.programs.check(); err != nil { // an image has just been made of these files
		return fmt.Errorf("prepare the run: %w", err)
	}
	var invalid []error
	for i := 0; ; i++ {
		if i == len(r.plan) {
			if grown, err := r.grow(); err != nil || !grown {
				return errors.Join(append(invalid, err)...)
			}
		}
		p := r.plan[i]
		last, err := r.attempts(ctx, p)
		if err == nil {
			err = r.judgeAttacks(r.writer.Dir)
		}
		if err != nil {
			return errors.Join(append(invalid, &brokenOff{fmt.Errorf("trial %d (%s): %w", p.Index, p.Label(), err)})...)
		}
		if !last.Valid && (r.scenario.Search == nil || !last.Limited()) { // the clients' limit can end a search
			invalid = append(invalid, fmt.Errorf("%w after %d attempts: %d (%s): %s",
				ErrInvalid, last.Attempt, p.Index, p.Label(), whyInvalid(last)))
		}
	}
}

// brokenOff is an error that ended a run before its last trial.
type brokenOff struct{ error }

func (e *brokenOff) Unwrap() error { return e.error }

// attempts runs one trial until it is valid, and returns the last attempt.
func (r *runner) attempts(ctx context.Context, p results.PlannedTrial) (*results.Trial, error) {
	attempt, over := r.tried(p)
	if over {
		return r.last(p), nil
	}
	for attempt++; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		trial, err := r.trial(ctx, p, attempt)
		if trial != nil {
			r.trials = append(r.trials, *trial)
			r.emit(Event{Trial: p, Phase: PhaseDone, Message: r.verdict(trial)})
			for _, w := range trial.Warnings {
				r.emit(Event{Trial: p, Phase: PhaseDone, Message: "warning: " + w})
			}
		}
		whole := trial != nil && trial.GivenUp == ""
		if err != nil || trial.Valid || attempt == Attempts || r.options.Once && whole {
			return trial, err
		}
	}
}

func (r *runner) emit(e Event) {
	if r.options.OnEvent != nil {
		e.Trials, e.Search = max(r.most, len(r.plan)), r.scenario.Search != nil
		r.options.OnEvent(e)
	}
}

// verdict returns the outcome of a trial in one line.
func (r *runner) verdict(t *results.Trial) string {
	if t.Valid {
		return "valid" + r.figures(t)
	}
	return fmt.Sprintf("invalid (attempt %d of %d): %s", t.Attempt, Attempts, whyInvalid(t))
}

// figures returns the main figures of a trial, after a colon. A trial whose figures
// cannot be read is no less valid: the report will say why.
func (r *runner) figures(t *results.Trial) string {
	if r.options.Describe == nil {
		return ""
	}
	words, err := r.options.Describe(&results.Run{Dir: r.writer.Dir, Manifest: *r.manifest}, t)
	if err != nil || words == "" {
		return ""
	}
	return ": " + words
}

// whyInvalid returns the first rule that a trial breaks, with its evidence.
func whyInvalid(t *results.Trial) string {
	for _, c := range t.Checks {
		if !c.OK {
			return c.Rule + ": " + c.Evidence
		}
	}
	return "no rule is broken"
}
