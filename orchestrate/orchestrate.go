// Package orchestrate decides when things happen: it plans the trials of a
// scenario, runs them one after the other, and checks each of them.
//
// It stands between scenarios, which say what to run, and results, which keep
// what came out. Where the nodes run is the business of a Runtime: this package
// knows neither containers nor namespaces. See docs/architecture.md, A trial.
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

// ErrInvalid says that a trial stayed invalid after all its attempts.
var ErrInvalid = errors.New("trial invalid")

// ErrNoBinary says that a node's program is not where it should be.
var ErrNoBinary = errors.New("no binary for the nodes")

// Attempts is how often a trial is run until it is valid.
const Attempts = 3

// The phases of a run, as events name them.
const (
	PhasePrepare  = "prepare"       // make what all trials share
	PhaseCapacity = "capacity"      // measure what the server can serve
	PhaseSettle   = "settle"        // wait until the CPUs are idle
	PhaseStart    = "start"         // nodes start, up to the epoch
	PhaseBefore   = "before attack" // load without attack
	PhaseLoad     = "load"          // of a scenario without attack
	PhaseAttack   = "attack"        // the parallel clients' schedule
	PhaseAfter    = "after attack"
	PhaseStop     = "stop"  // the server prints its records
	PhaseCheck    = "check" // records are checked and written
	PhaseDone     = "done"  // the trial is written; Message says how it went
)

// Event says how far a run is.
type Event struct {
	Trial  results.PlannedTrial // zero while the run is prepared
	Trials int                  // planned; at most so many of a search
	Search bool                 // more trials follow from what these show
	Phase  string
	// Elapsed is the time since the trial's start, Expected how long it takes to
	// the end of its schedules; in a ClosedLoop to the begin of its load, as
	// nobody knows how long that takes.
	Elapsed, Expected time.Duration
	ClosedLoop        bool
	// Requests is how many have ended in this trial, as clients last said.
	Requests, RequestsTotal int
	// Live is how the load does; nil but between the epoch and the end of the
	// clients.
	Live *Live
	// Message is for the reader: a warning, or why a trial is invalid.
	Message string
}

// Options are the settings of a run that are not part of the experiment.
type Options struct {
	Results string // folder of the run directories
	Seed    uint64
	// Resume is the directory of a run to continue, at its first trial that is
	// not whole, with its own plan. Results and Seed then say nothing.
	Resume string
	// Keep leaves the last trial's nodes and network in place, for inspection.
	Keep bool
	// Hurry, once closed, has an interrupted run kill its nodes, which it asks to
	// end otherwise; nil is never.
	Hurry <-chan struct{}
	// OnEvent is called from Run's own goroutine; nil is silence.
	OnEvent func(Event)
	// Command and Version are recorded: the command line, and the program's
	// version.
	Command []string
	Version string
	// BinDir is the folder of the nodes' binaries, whose digests are recorded.
	BinDir string
	// Capacity is the server's, in requests per second; zero has it measured if the
	// scenario's attacks are multiples of it.
	Capacity float64
	// Once has an invalid trial not repeated.
	Once bool
	// JudgeAttack is needed for a search.
	JudgeAttack JudgeAttack
	// CPUTimes reads the times of some CPUs, or of all where none is given, to
	// know when they are idle; nil asks the kernel.
	CPUTimes func(cpus []int) (host.CPUTimes, error)
}

// Outcome is what a run left.
type Outcome struct {
	Dir    string          // the run directory
	Trials []results.Trial // whole trials in the order in which they ran, invalid ones too
	// Overhead is the median over trials of the time that is not the scenario's
	// own.
	Overhead time.Duration
	// Settled is the median over trials of the wait before each, which is not
	// in Overhead.
	Settled time.Duration
}

// Run plans a scenario, runs every trial, and writes a run directory. An
// invalid trial is run again, up to Attempts times; if it stays invalid, the
// other trials are run still, and the error is ErrInvalid.
//
// When ctx ends, Run asks its nodes to end, or kills them if it is to Hurry,
// removes everything that it started, seals the run directory with the trials
// that are whole, and returns the context's error.
// The Outcome is true whether or not there is an error. A run without a whole
// trial leaves no run directory.
func Run(ctx context.Context, s *scenarios.Scenario, rt Runtime, o Options) (_ Outcome, err error) {
	if err := checkRuntime(s, rt.Platform()); err != nil {
		return Outcome{}, err
	}
	capacities, err := withCapacity(ctx, s, rt, o)
	if err != nil {
		return Outcome{}, err
	}
	r := &runner{scenario: s, runtime: rt, options: o, capacities: capacities, verdicts: Verdicts{}}
	r.plan, r.most = PlanAfter(s, o.Seed, nil)
	if err := r.makeCertificates(); err != nil {
		return Outcome{}, err
	}
	if r.files, err = makeServerFiles(s, r.certificates); err != nil {
		return Outcome{}, err
	}
	defer func() { err = errors.Join(err, r.files.remove()) }()
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
	plan     []results.PlannedTrial
	most     int      // trials that the plan may have in the end
	verdicts Verdicts // of a search
	// capacities are those of the scenario's attacks.
	capacities []results.Capacity
	writer     *results.Writer
	manifest   *results.Manifest
	trials     []results.Trial
	programs   *programs
	// certificates, by the type of their key, are the same in all trials: a key takes
	// seconds to make.
	certificates map[string]*tls.Certificate
	files        *serverFiles // nil if every server is ours
	kept         Nodes // of the last trial, with Options.Keep
	// slowest is the longest that the nodes of a trial of this run have taken
	// until all were ready; zero before the first.
	slowest time.Duration
}

// create makes the run directory, with a manifest from the first moment on.
func (r *runner) create() (err error) {
	r.manifest, err = newManifest(r.scenario, r.plan, r.options, time.Now())
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

// describe records in a manifest what is known of the platform by now.
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

// finish seals the run directory, or discards it where no trial is whole.
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

// median is that of a value over trials.
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
	if err := r.programs.check(); err != nil { // an image is made of what was there a moment ago
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
			return errors.Join(append(invalid, fmt.Errorf("trial %d (%s): %w", p.Index, p.Label(), err))...)
		}
		if !last.Valid && (r.scenario.Search == nil || !last.Limited()) { // how strong clients are is an answer of a search
			invalid = append(invalid, fmt.Errorf("%w after %d attempts: %d (%s): %s",
				ErrInvalid, last.Attempt, p.Index, p.Label(), whyInvalid(last)))
		}
	}
}

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
			r.emit(Event{Trial: p, Phase: PhaseDone, Message: verdict(trial)})
			for _, w := range trial.Warnings {
				r.emit(Event{Trial: p, Phase: PhaseDone, Message: "warning: " + w})
			}
		}
		if err != nil || trial.Valid || attempt == Attempts || r.options.Once {
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

// verdict says in one line how a trial went.
func verdict(t *results.Trial) string {
	if t.Valid {
		return "valid"
	}
	return fmt.Sprintf("invalid (attempt %d of %d): %s", t.Attempt, Attempts, whyInvalid(t))
}

// whyInvalid is the first rule that a trial breaks, with its evidence.
func whyInvalid(t *results.Trial) string {
	for _, c := range t.Checks {
		if !c.OK {
			return c.Rule + ": " + c.Evidence
		}
	}
	return "no rule is broken"
}
