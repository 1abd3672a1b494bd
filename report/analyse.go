package report

import (
	"errors"
	"maps"
	"slices"

	"github.com/equic-bench/equic-bench/results"
)

// ErrNoTrials is the error of a run that has no valid trial to report on.
var ErrNoTrials = errors.New("no valid trial")

// Analyse reads every valid trial of a run and summarises it, without a judgement
// of the claims: that is package claims. A run without a valid trial gives an error
// that wraps ErrNoTrials.
func Analyse(run *results.Run) (*Summary, []*series, error) {
	s := newSummary(run)
	var all []*series
	for _, name := range run.Manifest.Experiment.Variants {
		v, drawn, err := s.readVariant(run, name, results.Plain)
		if err != nil {
			return nil, nil, err
		}
		if v.Trials > 0 {
			all = append(all, mergeSeries(drawn, v.names))
		}
		s.Variants = append(s.Variants, v)
	}
	if len(all) == 0 {
		return nil, nil, noTrials(s)
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

// readVariant reads the valid trials of a variant in one arm: its figures, and
// what each trial is drawn from.
func (s *Summary) readVariant(run *results.Run, name string, arm results.Arm) (Variant, []*series, error) {
	v := Variant{Name: name}
	var drawn []*series
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
	v.summarise()
	return v, drawn, nil
}

func (v *Variant) addTrial(m *Metrics, t *results.Trial) {
	v.trials, v.blocks, v.names = append(v.trials, m), append(v.blocks, t.Block), append(v.names, t.Name())
}

// summarise takes the median of the variant's trials, and its interval.
func (v *Variant) summarise() {
	v.Trials = len(v.trials)
	v.Note = trialsNote(v.Trials)
	v.fillIn()
	if v.Trials > 0 {
		v.Metrics = medianOf(v.trials)
	}
	if v.Trials >= fewestBlocks {
		v.Low, v.High = overTrials(v.trials, lowEnd), overTrials(v.trials, highEnd)
	}
}

// fillIn gives each trial the counts that only others have: what was counted and
// never seen is zero, and the median over the trials is over all of them.
func (v *Variant) fillIn() {
	calls, packets := map[string]SyscallLine{}, map[string]Number{}
	for _, m := range v.trials {
		maps.Copy(calls, m.Syscalls.ByName)
		maps.Copy(packets, m.Gateway.Packets)
	}
	for _, m := range v.trials {
		if m.Syscalls.Calls.known() {
			m.Syscalls.ByName = withKeys(m.Syscalls.ByName, calls)
		}
		if m.Gateway.Seen.known() {
			m.Gateway.Packets = withKeys(m.Gateway.Packets, packets)
		}
	}
}

// withKeys is a map with the keys of another; what it did not have is zero.
func withKeys[V any](m, other map[string]V) map[string]V {
	all := map[string]V{}
	for key := range other {
		all[key] = m[key]
	}
	return all
}

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
		manifest: m,
	}
	for _, t := range run.Trials {
		s.Trials = append(s.Trials, trialState(t))
	}
	return s
}

func window(e *results.Experiment) Window {
	w := Window{
		LoadEndS:    unknown(),
		AttackFromS: unknown(),
		AttackToS:   unknown(),
		CPUs:        len(e.ServerCPUs),
		MemoryBytes: e.ServerMemoryBytes,
	}
	if end := loadEndNS(e.Sequential); end > 0 {
		w.LoadEndS = Number(seconds(end))
	}
	if e.Parallel.Clients > 0 {
		w.AttackFromS = Number(seconds(e.Parallel.DelayNS))
		w.AttackToS = Number(seconds(e.Parallel.DelayNS + e.Parallel.ScheduledNS()))
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

// TrialMetrics are the figures of each of the variant's valid trials.
func (v *Variant) TrialMetrics() []*Metrics { return v.trials }
