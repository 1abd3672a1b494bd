// Package analysis turns the raw records of a run into numbers: a Summary, and the
// Series that figures are drawn from.
//
// It is the first step of a report: results opens the run, stats computes. Its
// catalogue lists every metric.
package analysis

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// ErrNoTrials is the error of a run that has no valid trial to report on.
var ErrNoTrials = errors.New("no valid trial")

// Analyse reads every valid trial of a run and summarises it. It does not judge the
// claims: package claims does. If a run has no valid trial, the error wraps
// ErrNoTrials.
func Analyse(run *results.Run) (*Summary, []*Series, error) {
	s := newSummary(run)
	for _, name := range run.Manifest.Experiment.Variants {
		if _, err := record.ParseVariant(name); err != nil {
			return nil, nil, fmt.Errorf("run of a newer version: %w", err)
		}
	}
	if run.Manifest.Experiment.Search != nil {
		return s, nil, s.search(run)
	}
	var all []*Series
	for _, name := range run.Manifest.Experiment.Variants {
		v, drawn, err := s.readVariant(run, name, results.Plain)
		if err != nil {
			return nil, nil, err
		}
		if v.Trials > 0 {
			all = append(all, mergeSeries(drawn, v.Names))
		}
		s.Variants = append(s.Variants, v)
	}
	if len(all) == 0 {
		return s, nil, noTrials(s)
	}
	s.Blocks = slices.MaxFunc(s.Variants, func(a, b Variant) int { return a.Trials - b.Trials }).Trials
	s.Interval = s.trialsNote()
	s.Pairs = s.pairs()
	s.Outliers = s.outliers()
	if err := s.compareArms(run); err != nil {
		return nil, nil, err
	}
	if len(s.coarse) > 0 {
		s.Warnings = append(s.Warnings, histogramWarning(s.coarse))
	}
	return s, all, nil
}

// readVariant reads the valid trials of a variant in one arm: its figures, and the data
// for drawing each trial.
func (s *Summary) readVariant(run *results.Run, name string, arm results.Arm) (Variant, []*Series, error) {
	v := Variant{Name: name}
	var drawn []*Series
	for _, t := range run.Trials {
		if !t.Valid || t.Variant != name || t.Arm != arm {
			continue
		}
		r, err := read(run, t)
		if err != nil {
			return Variant{}, nil, err
		}
		if r.fromHistogram() {
			s.coarse = append(s.coarse, t.Name())
		}
		v.addTrial(r.metrics(), t)
		drawn = append(drawn, r.series(name))
	}
	v.Summarise()
	return v, drawn, nil
}

func (v *Variant) addTrial(m *Metrics, t *results.Trial) {
	v.TrialMetrics, v.Blocks, v.Names = append(v.TrialMetrics, m), append(v.Blocks, t.Block), append(v.Names, t.Name())
}

// Summarise computes the median of the variant's trials, and its interval.
func (v *Variant) Summarise() {
	v.Trials = len(v.TrialMetrics)
	v.Note = TrialsNote(v.Trials)
	v.fillIn()
	if v.Trials > 0 {
		v.Metrics = medianOf(v.TrialMetrics)
	}
	if v.Trials >= FewestBlocks {
		v.Low, v.High = overTrials(v.TrialMetrics, lowEnd), overTrials(v.TrialMetrics, highEnd)
	}
}

// fillIn gives each trial the counts that only other trials have, as zero. The median
// of a count is then over all trials.
func (v *Variant) fillIn() {
	calls, packets, outcomes := map[string]SyscallLine{}, map[string]Number{}, map[string]Number{}
	for _, m := range v.TrialMetrics {
		maps.Copy(calls, m.Syscalls.ByName)
		maps.Copy(packets, m.Gateway.Packets)
		for _, requests := range m.Requests {
			maps.Copy(outcomes, requests)
		}
	}
	for _, m := range v.TrialMetrics {
		for role, requests := range m.Requests {
			m.Requests[role] = withKeys(requests, outcomes)
		}
		if m.Syscalls.Calls.Known() {
			m.Syscalls.ByName = withKeys(m.Syscalls.ByName, calls)
		}
		if m.Gateway.Seen.Known() {
			m.Gateway.Packets = withKeys(m.Gateway.Packets, packets)
		}
	}
}

// withKeys returns a map with the keys of other, which include those of m. A key that m lacks has the value
// zero.
func withKeys[V any](m, other map[string]V) map[string]V {
	all := map[string]V{}
	for key := range other {
		all[key] = m[key]
	}
	return all
}

// sharedCPUs is the first warning of a run whose server has no CPU of its own.
const sharedCPUs = "server and clients shared CPUs: the server's figures depend on how much its clients and " +
	"attackers worked, and " +
	"the rules for a valid trial that need CPUs of the server's own were not applied"

func newSummary(run *results.Run) *Summary {
	m := &run.Manifest
	s := &Summary{
		Schema:   summarySchema,
		Run:      m.ID,
		Scenario: m.Scenario,
		Seed:     m.Seed,
		Window:   window(&m.Experiment),
		Trials:   []Trial{},
		Warnings: append([]string{}, m.Warnings...),
		Manifest: m,
	}
	if m.Experiment.SharesCPUs() {
		s.Warnings = append([]string{sharedCPUs}, s.Warnings...)
	}
	for _, h := range m.Runtime.Hosts { // a server that is bound to no CPUs has all those of its host
		if s.Window.CPUs == 0 && h.Role == results.RoleServer {
			s.Window.CPUs = h.CPUs
		}
	}
	for _, t := range run.Trials {
		s.Trials = append(s.Trials, trialState(t))
	}
	return s
}

func window(e *results.Experiment) Window {
	w := Window{
		LoadEndS:    Unknown(),
		AttackFromS: Unknown(),
		AttackToS:   Unknown(),
		CPUs:        len(e.ServerCPUs),
		MemoryBytes: e.ServerMemoryBytes,
	}
	if end := loadEndNS(e.Sequential); end > 0 {
		w.LoadEndS = Number(Seconds(end))
	}
	if e.Parallel.Clients > 0 {
		w.AttackFromS = Number(Seconds(e.Parallel.DelayNS))
		w.AttackToS = Number(Seconds(e.Parallel.DelayNS + e.Parallel.ScheduledNS()))
	}
	return w
}

func trialState(t *results.Trial) Trial {
	state := Trial{
		Name: t.Name(), Variant: t.Variant, Arm: t.Arm, Block: t.Block, Attempt: t.Attempt, Valid: t.Valid,
		Reasons: []string{}, Warnings: append([]string{}, t.Warnings...), Checks: append([]results.Check{}, t.Checks...),
	}
	for _, c := range t.Checks {
		if !c.OK {
			state.Reasons = append(state.Reasons, c.Rule+": "+c.Evidence)
		}
	}
	if !t.Valid && len(state.Reasons) == 0 {
		state.Reasons = append(state.Reasons, "marked invalid without a failed check")
	}
	return state
}
