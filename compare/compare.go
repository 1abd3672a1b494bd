// Package compare compares two runs of one scenario: which figures changed, which did
// not, and for which this cannot be decided.
//
// It is at the end of the pipeline, beside report: results opens the runs, report turns
// their records into figures of trials, stats compares these. It writes nothing to a
// run, and needs no root, engine or network.
package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// schema is the version of the JSON's layout.
const schema = 1

// ErrIncomparable is the error for two runs whose figures cannot be compared in a
// meaningful way.
var ErrIncomparable = errors.New("the runs cannot be compared")

// ErrMetric is the error for a metric that does not exist.
var ErrMetric = errors.New("unknown metric")

// Options specify what to compare, and how.
type Options struct {
	// Base and New are run directories.
	Base, New string
	// Threshold is the smallest change that matters, as a share: with 0.05 a change
	// matters from a factor of 1.05 or 1/1.05. It must be above 0.
	Threshold float64
	// Metrics are the IDs of the figures. Empty is DefaultMetrics, and "all" is every
	// figure.
	Metrics []string
	// Force compares the runs even if they differ in more than the program.
	Force bool
}

// Comparison is the comparison of two runs. Its JSON is the output for programs.
type Comparison struct {
	Schema   int    `json:"schema"`
	Scenario string `json:"scenario"` // of the new run
	Base     Side   `json:"base"`
	New      Side   `json:"new"`
	// An increase matters from ThresholdPercent on. A decrease matters from LowPercent
	// on, which is the same factor in the other direction.
	ThresholdPercent analysis.Number `json:"threshold_percent"`
	LowPercent       analysis.Number `json:"threshold_low_percent"`
	// Verdict follows from the rows: a regression if a row is one, else unsure if a row
	// is, else no regression.
	Verdict Verdict `json:"verdict"`
	Counts  Counts  `json:"counts"`
	Rows    []Row   `json:"rows"`
	// Forced are the differences for which the comparison would be refused without
	// Force. Differs are the differences that do not make runs incomparable.
	Forced  []string `json:"forced"`
	Differs []string `json:"differs"`
	// Notes are about what the rows do not contain, and cannot show.
	Notes []string `json:"notes"`
}

// Side is one of the two runs.
type Side struct {
	Run     string `json:"run"`
	Version string `json:"version"` // of equic-bench
	Seed    uint64 `json:"seed"`
	Trials  int    `json:"trials"`         // valid trials, from which the figures are
	Invalid int    `json:"invalid_trials"` // trials that are in no figure
}

// Verdict is the overall result of the rows.
type Verdict string

// The verdicts.
const (
	NoRegression Verdict = "no regression"
	Regression   Verdict = "regression"
	Undecided    Verdict = "unsure"
)

// Counts are the numbers of rows in each state.
type Counts struct {
	Worse      int `json:"worse"`
	Better     int `json:"better"`
	NotChanged int `json:"not_changed"`
	Unsure     int `json:"unsure"`
}

// DefaultMetrics returns the figures that are compared by default: of each kind, the
// one with the least scatter. A recovery in whole seconds, or a harmonic mean that one
// empty second makes zero, never stays within a threshold of a few percent.
func DefaultMetrics() []string {
	return ids(analysis.MetricsWhere(func(m *analysis.Metric) bool { return m.Default }))
}

// Runs compares two runs. The error wraps ErrIncomparable if they differ in what they
// measured or in the machine, and names the differences. Otherwise it wraps ErrMetric,
// results.ErrNoRun, analysis.ErrNoTrials or context.Canceled.
func Runs(ctx context.Context, o Options) (*Comparison, error) {
	metrics, err := choose(o.Metrics)
	if err != nil {
		return nil, err
	}
	base, err := open(ctx, o.Base)
	if err != nil {
		return nil, fmt.Errorf("BASE: %w", err)
	}
	fresh, err := open(ctx, o.New)
	if err != nil {
		return nil, fmt.Errorf("NEW: %w", err)
	}
	if m, n := base.manifest(), fresh.manifest(); m.ID == n.ID && m.Started.Equal(n.Started) {
		return nil, fmt.Errorf("%w: BASE and NEW are one run, %s", ErrIncomparable, m.ID)
	}
	forced := obstacles(base.run, fresh.run)
	if len(forced) > 0 && !o.Force {
		return nil, fmt.Errorf("%w, as they differ in more than the program; --force compares them anyway:\n  %s",
			ErrIncomparable, strings.Join(forced, "\n  "))
	}
	c := &Comparison{
		Schema: schema, Scenario: fresh.manifest().Scenario, Base: base.side(), New: fresh.side(),
		ThresholdPercent: percent(1 + o.Threshold), LowPercent: percent(1 / (1 + o.Threshold)),
		Forced: forced, Differs: information(base.manifest(), fresh.manifest()),
	}
	if c.Rows = rows(base, fresh, metrics); len(c.Rows) == 0 {
		return nil, fmt.Errorf("%w: no variant is in both and has a value of %s", ErrIncomparable,
			strings.Join(ids(metrics), ", "))
	}
	c.judge(1 + o.Threshold)
	c.Notes = c.notes(base, fresh)
	return c, nil
}

// choose finds metrics by their IDs.
func choose(names []string) ([]*analysis.Metric, error) {
	all := analysis.ComparedMetrics()
	if slices.Equal(names, []string{"all"}) {
		return all, nil
	}
	if len(names) == 0 {
		names = DefaultMetrics()
	}
	var chosen []*analysis.Metric
	for i, name := range names {
		at := slices.Index(ids(all), name)
		if at < 0 {
			return nil, fmt.Errorf("%w %q; use all, or some of %s", ErrMetric, name, strings.Join(ids(all), ", "))
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%w: %s is given twice", ErrMetric, name)
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

func ids(metrics []*analysis.Metric) []string {
	var all []string
	for _, m := range metrics {
		all = append(all, m.ID)
	}
	return all
}

// analysed is a run with its figures.
type analysed struct {
	run    *results.Run
	report *analysis.Report
}

func open(ctx context.Context, dir string) (*analysed, error) {
	run, err := results.Open(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	report, err := analysis.Read(run.Until(ctx))
	if err != nil {
		return nil, fmt.Errorf("figures of %s: %w", dir, unreadable(err))
	}
	if report.Searched() {
		return nil, fmt.Errorf("%w: %s is a search, whose breaking points are in its report", ErrIncomparable, dir)
	}
	return &analysed{run, report}, nil
}

// unreadable wraps the error for a run of another layout, or for a damaged one, in
// ErrIncomparable.
func unreadable(err error) error {
	if errors.Is(err, results.ErrNoRun) || errors.Is(err, analysis.ErrNoTrials) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrIncomparable, err)
}

func (a *analysed) manifest() *results.Manifest { return &a.run.Manifest }

func (a *analysed) side() Side {
	s := Side{Run: a.manifest().ID, Version: a.manifest().Version, Seed: a.manifest().Seed}
	for _, t := range a.run.Trials {
		switch {
		case t.Arm != results.Plain: // in no figure of its variant
		case t.Valid:
			s.Trials++
		default:
			s.Invalid++
		}
	}
	return s
}

// variant returns a variant of a cell that the run planned, or nil for others.
func (a *analysed) variant(label string) *analysis.Variant {
	for _, p := range a.report.Parts {
		for i := range p.Summary.Variants {
			v := &p.Summary.Variants[i]
			if labelOf(p, v.Name) == label {
				return v
			}
		}
	}
	return nil
}

// names returns the run's variants, in its order, cell by cell.
func (a *analysed) names() []string {
	var all []string
	for _, p := range a.report.Parts {
		for _, name := range p.Summary.Manifest.Experiment.Variants {
			all = append(all, labelOf(p, name))
		}
	}
	return all
}

// labelOf returns the name of a variant in the names of its trials: "mixed-xdp-block".
func labelOf(p *analysis.Part, variant string) string {
	return results.PlannedTrial{Cell: p.Cell.Name, Variant: variant}.Label()
}
