package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/report"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// defaultResults is the folder of runs.
const defaultResults = "results/runs"

// runOptions are the flags of run.
type runOptions struct {
	runtime     string
	repetitions int
	seed        uint64
	variants    []string
	set         []string
	aa          bool
	results     string
	resume      string
	bin         string
	dryRun      bool
	keep        bool
	capacity    float64
	quiet       bool
	json        bool
	plot        bool
}

func runCommand(second *secondSignal) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run SCENARIO | run --resume RUN",
		Short: "Run a scenario, and print the path of its results",
		Example: `  equic-bench run scenarios/quick.yaml
  equic-bench run scenarios/paper.yaml --repetitions 6 --variants userspace-block,xdp-block
  equic-bench run scenarios/paper.yaml --set clients.parallel.rate=240/s
  equic-bench run --resume results/runs/20260102T030405Z-paper`,
		Args: arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := o.scenario(c, args)
			if err != nil {
				return err
			}
			if !c.Flags().Changed("seed") && o.resume == "" {
				o.seed = rand.Uint64N(1_000_000) // short, as people copy it
			}
			if o.dryRun {
				return o.describe(c.OutOrStdout(), s)
			}
			return o.run(c, s, second)
		},
	}
	f := c.Flags()
	f.StringVar(&o.runtime, "runtime", runtimeAuto, runtimeHelp)
	f.IntVar(&o.repetitions, "repetitions", 0, "how often each variant runs (default: the scenario's)")
	f.Float64Var(&o.capacity, "capacity", 0,
		"requests per second that the server can serve, for attacks that are a multiple of it (default: measured)")
	f.Uint64Var(&o.seed, "seed", 0, "number from which the order of the trials is drawn (default: a random one)")
	f.StringSliceVar(&o.variants, "variants", nil, "variants to run, with commas between them (default: the scenario's)")
	f.StringArrayVar(&o.set, "set", nil, "a `KEY=VALUE` in place of the scenario's own, as "+
		"clients.parallel.rate=240/s; the run records the changed scenario (may be repeated)")
	f.BoolVar(&o.aa, "aa", false,
		"A/A test: run each variant twice per block, as two variants, to measure the noise between equal trials")
	f.StringVar(&o.results, "results", defaultResults, "folder of the run directories")
	f.StringVar(&o.bin, "bin", "", "folder of the nodes' binaries, such as equic-server (default: that of equic-bench)")
	f.StringVar(&o.resume, "resume", "",
		"continue this run directory at its first incomplete trial, by its recorded plan")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and its expected time, run nothing")
	f.BoolVar(&o.keep, "keep", false, "leave the last trial's nodes in place, for inspection")
	f.BoolVar(&o.quiet, "quiet", false, "no progress on standard error")
	f.BoolVar(&o.json, "json", false, "print the outcome as JSON")
	f.BoolVar(&o.plot, "plot", false, "plot the throughput of the honest clients on the terminal, too")
	return c
}

// scenario loads a scenario and applies the flags.
func (o *runOptions) scenario(c *cobra.Command, args []string) (*scenarios.Scenario, error) {
	if names := runtimeNames(); !slices.Contains(names, o.runtime) {
		return nil, usage(c, "runtime %q is unknown, use %s", o.runtime, strings.Join(names, ", "))
	}
	if o.plot && o.quiet {
		return nil, usage(c, "--plot and --quiet exclude each other: leave one out")
	}
	if o.resume != "" {
		return o.resumed(c, args)
	}
	if c.Flags().Changed("capacity") && !(o.capacity > 0 && !math.IsInf(o.capacity, 1)) {
		return nil, usage(c, "--capacity %g is no number of requests per second: give one above zero", o.capacity)
	}
	if len(args) == 0 {
		return nil, usage(c, "an argument is missing: name a scenario, such as scenarios/quick.yaml, or --resume a run")
	}
	if unprivileged() {
		o.set = append(o.set, "trial.syscalls=false")
	}
	s, err := scenarios.LoadWith(args[0], o.set)
	if err != nil {
		return nil, err
	}
	if c.Flags().Changed("variants") {
		if s.Variants, err = scenarios.ParseVariants(o.variants); err != nil {
			return nil, usage(c, "%w", err)
		}
		if err := s.CheckVariants(); err != nil {
			return nil, err
		}
	}
	if c.Flags().Changed("repetitions") {
		if s.Repetitions = o.repetitions; s.Repetitions < 1 || s.Repetitions > scenarios.MostRepetitions {
			return nil, usage(c, "repetitions: %d is out of range, write a whole number from 1 to %d",
				o.repetitions, scenarios.MostRepetitions)
		}
	}
	if s.Again = o.aa; s.Again && s.Search != nil {
		return nil, usage(c, "--aa: a search has no differences between variants; leave it out")
	}
	if unprivileged() {
		words, err := withoutPrograms(s)
		if err != nil {
			return nil, err
		}
		for _, line := range words {
			_, _ = fmt.Fprintln(c.ErrOrStderr(), line) // only a note
		}
	}
	if c.Flags().Changed("capacity") && !slices.ContainsFunc(s.Cells(), (*scenarios.Scenario).NeedsCapacity) {
		return nil, usage(c, "--capacity: no attack of %s is a multiple of the capacity; leave it out", s.Name)
	}
	warn(c.ErrOrStderr(), s.Warnings())
	return s, nil
}

// resumed loads the scenario and the seed that a run recorded. It sets the options so that the run continues
// in its own folder, with its recorded plan.
func (o *runOptions) resumed(c *cobra.Command, args []string) (*scenarios.Scenario, error) {
	if len(args) > 0 {
		return nil, usage(c, "--resume continues with the run's own scenario: leave out %q", args[0])
	}
	for _, name := range []string{"variants", "repetitions", "seed", "results", "aa", "set", "capacity", "dry-run"} {
		if c.Flags().Changed(name) {
			return nil, usage(c, "--resume continues the run as it was planned: leave out --%s", name)
		}
	}
	run, err := results.Open(o.resume)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(run.Dir) // absolute, so that "." has a parent folder
	if err != nil {
		return nil, fmt.Errorf("find the folder of %s: %w", run.Dir, err)
	}
	o.results = filepath.Dir(dir)
	s, err := scenarios.Load(filepath.Join(run.Dir, results.ScenarioFile))
	if err != nil { // as text, not wrapped: its remedies change the file, and a run's must not change
		return nil, fmt.Errorf("%w %s: %s: start a new run", orchestrate.ErrResume, run.Dir, err.Error())
	}
	if s.Variants, err = scenarios.ParseVariants(run.Manifest.Experiment.Variants); err != nil {
		return nil, fmt.Errorf("resume %s: %w", run.Dir, err)
	}
	s.Again = slices.Contains(run.Manifest.Experiment.Arms, results.Again)
	s.Repetitions = 0
	for _, p := range run.Manifest.Plan {
		s.Repetitions = max(s.Repetitions, p.Block)
	}
	if search := run.Manifest.Experiment.Search; search != nil { // the plan of a search grows
		s.Repetitions = search.Repetitions
	}
	o.seed = run.Manifest.Seed
	if !c.Flags().Changed("runtime") {
		o.runtime = run.Manifest.Runtime.Name
	}
	return s, nil
}

// run runs the plan.
func (o *runOptions) run(c *cobra.Command, s *scenarios.Scenario, second *secondSignal) (err error) {
	ctx := c.Context()
	bin, err := o.binaries()
	if err != nil {
		return err
	}
	// From here on no other process may measure: even a look at the machine would disturb it.
	release, err := lockMachine(ctx)
	if err != nil {
		return err
	}
	rt, err := openRuntime(ctx, o.runtime, bin)
	if err != nil {
		if unlock := release(); unlock != nil { // what this process becomes takes the lock again
			return errors.Join(err, unlock)
		}
		return enterUserNamespace(ctx, s, err)
	}
	defer func() { err = errors.Join(err, rt.Close(), release()) }()
	if why := rt.Platform().NoKeep; o.keep && why != "" {
		return usage(c, "--keep needs the runtime %s: %s", runtimeThatKeeps, why)
	}
	progress := newProgress(c.ErrOrStderr(), o.quiet)
	defer progress.end()
	left, err := rt.Clean(ctx)
	for _, name := range left {
		progress.say("removed %s, which a killed run had left", name)
	}
	if err != nil {
		return err
	}
	if err := verdict(examine(ctx, needOf(s, rt.Platform()), rt.name, o.results)); err != nil {
		return fmt.Errorf("%w; `equic-bench doctor %s` says what to do", err, s.Path)
	}
	if err := results.Sweep(o.results); err != nil {
		return err
	}

	progress.say("%s: %s, seed %d, runtime %s", s.Name, trials(s, o.seed), o.seed, rt)
	outcome, err := orchestrate.Run(ctx, s, rt, orchestrate.Options{
		Results:  o.results,
		Seed:     o.seed,
		Resume:   o.resume,
		Keep:     o.keep,
		Capacity: o.capacity,
		Hurry:    second.hurry(),
		OnEvent:  progress.event,
		Command:  os.Args,
		Version:  programVersion(),
		BinDir:   bin,

		JudgeAttack: analysis.JudgeAttack,
		Describe:    analysis.Words,
	})
	progress.end()
	if len(outcome.Trials) > 0 {
		progress.say("overhead: %.1f s per trial%s", outcome.Overhead.Seconds(), settled(outcome.Settled))
	}
	broken := ctx.Err() != nil || err != nil && !errors.Is(err, orchestrate.ErrInvalid)
	if shown := o.conclude(ctx, c.ErrOrStderr(), outcome, broken); shown != nil && !unread(shown) {
		warn(c.ErrOrStderr(), []string{ // with --quiet, too
			fmt.Sprintf("the report was not written: %v; to write it, run `equic-bench report %s`", shown, outcome.Dir),
		})
		if errors.Is(shown, context.Canceled) {
			err = errors.Join(err, shown)
		}
	}
	return errors.Join(err, o.print(c.OutOrStdout(), outcome))
}

// conclude writes the report of a run, unless the run broke off, and shows its results
// so far. It shows nothing if no trial is valid.
func (o *runOptions) conclude(ctx context.Context, w io.Writer, outcome orchestrate.Outcome, broken bool) error {
	if !slices.ContainsFunc(outcome.Trials, func(t results.Trial) bool { return t.Valid && t.Arm == results.Plain }) {
		return nil
	}
	written, err := o.report(ctx, outcome.Dir, broken)
	if err != nil || o.quiet {
		return err
	}
	if err := tables.Brief(w, written, terminalWidth(w)); err != nil {
		return err
	}
	if o.plot {
		if err := plot(w, written); err != nil {
			return err
		}
	}
	if broken {
		_, err = fmt.Fprintf(w, "the figures of the complete trials: equic-bench report %[1]s\n"+
			"to go on: equic-bench run --resume %[1]s\n", outcome.Dir)
		return err
	}
	return nextSteps(w, outcome.Dir, filepath.Join(outcome.Dir, results.ReportDir))
}

// nextSteps prints where a run's report is, and what to do with it.
func nextSteps(w io.Writer, run, dir string) error {
	_, err := fmt.Fprintf(w, "report: %s\nnext:   equic-bench report --all %s (every table), or --open (the page)\n",
		filepath.Join(dir, report.HTMLFile), run)
	return err
}

// report reads a run, and writes its report unless the run broke off.
func (o *runOptions) report(ctx context.Context, dir string, broken bool) (*analysis.Report, error) {
	if !broken {
		return report.Write(ctx, dir, report.Options{})
	}
	run, err := results.Open(dir)
	if err != nil {
		return nil, err
	}
	return claims.Read(run)
}

// settled returns the wait before each trial, in words; "" if there was none.
func settled(wait time.Duration) string {
	if wait == 0 {
		return ""
	}
	return fmt.Sprintf(", after %.1f s to settle", wait.Seconds())
}

// binaries returns the folder of the nodes' binaries.
func (o *runOptions) binaries() (string, error) {
	if o.bin != "" {
		return o.bin, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the folder of equic-bench, give --bin: %w", err)
	}
	return filepath.Dir(self), nil
}

// print prints the location of a run's results, even if it is incomplete.
func (o *runOptions) print(w io.Writer, outcome orchestrate.Outcome) error {
	if outcome.Dir == "" {
		return nil
	}
	if !o.json {
		_, err := fmt.Fprintln(w, outcome.Dir)
		return err
	}
	invalid := 0
	for _, t := range outcome.Trials {
		if !t.Valid {
			invalid++
		}
	}
	return json.NewEncoder(w).Encode(struct {
		Run     string `json:"run"`
		Seed    uint64 `json:"seed"`
		Trials  int    `json:"trials"` // including repeated attempts
		Invalid int    `json:"invalid_trials"`
	}{outcome.Dir, o.seed, len(outcome.Trials), invalid})
}
