// Package report turns the raw records of a run into its figures and tables:
// figures 3 to 6 of the paper and three beside them with their data, table I, the
// paper's claims against what was measured, summary.json, report.md and
// report.html.
//
// It is the end of the pipeline: results.Open gives it a run, stats computes.
// It needs no root, engine or network, and the same records always give the
// same bytes.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/equic-bench/equic-bench/results"
)

// The files of a report, besides its figures.
const (
	SummaryFile  = "summary.json"
	MarkdownFile = "report.md"
	HTMLFile     = "report.html"
)

// summarySchema is the version of summary.json's layout.
const summarySchema = 1

// ErrNoTrials is the error of a run that has no valid trial to report on.
var ErrNoTrials = errors.New("no valid trial")

// Options of a report.
type Options struct {
	// Lang is the language of the figures' texts, their captions and the values
	// shown on hover: one of Languages, "" is English. Tables, words around
	// them and the figures' data (CSV) are in English whatever it is.
	Lang string
}

// Write regenerates the report of a run directory from its raw records, and
// returns its numbers. The old report stays until the new one is whole. A run
// without a single valid trial gives an error that wraps ErrNoTrials and says
// what is wrong with the trials there are.
func Write(runDir string, o Options) (*Summary, error) {
	summary, drawn, err := drawIn(runDir, runDir, o)
	if err != nil {
		return nil, err
	}
	return summary, replace(filepath.Join(runDir, results.ReportDir), drawn)
}

// drawIn writes the report of a run into a new folder, which it makes in place
// and which is the caller's then.
func drawIn(runDir, place string, o Options) (_ *Summary, dir string, err error) {
	lang, err := knownLanguage(o.Lang)
	if err != nil {
		return nil, "", err
	}
	run, err := results.Open(runDir)
	if err != nil {
		return nil, "", err
	}
	summary, series, err := analyse(run)
	if err != nil {
		return nil, "", fmt.Errorf("report on %s: %w", runDir, err)
	}
	if lang != English {
		summary.FiguresLang = string(lang)
	}
	dir, err = os.MkdirTemp(place, results.HalfReport)
	if err != nil {
		return nil, "", fmt.Errorf("make report folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := writeAll(dir, summary, series); err != nil {
		return nil, "", fmt.Errorf("report on %s: %w", runDir, err)
	}
	return summary, dir, nil
}

// replace gives the folder tmp the name dir, in place of what was there.
func replace(dir, tmp string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the old report: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("put the report in place: %w", err)
	}
	return os.Chmod(dir, 0o755)
}

func writeAll(dir string, s *Summary, series []*series) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", SummaryFile, err)
	}
	if err := os.WriteFile(filepath.Join(dir, SummaryFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	figures := figures(s, series)
	for _, f := range figures {
		if err := f.write(dir); err != nil {
			return err
		}
	}
	page, err := htmlPage(s, figures)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, HTMLFile), page, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, MarkdownFile), markdown(s, figures), 0o644)
}

// figures are those of the report, in its order.
func figures(s *Summary, series []*series) []*figure {
	all := []*figure{
		figure3(s, series), figure4(s), figure5(s), figure6(s, series),
		figureRecovery(s), figureBlockTime(s), figureLatency(s, series),
	}
	for _, f := range all {
		if f.empty() { // an empty picture has to say why
			f.legend = append(f.legend, key{label: f.say(noValues)})
		}
	}
	return all
}

// analyse reads every valid trial and summarises the run.
func analyse(run *results.Run) (*Summary, []*series, error) {
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
	s.Claims = s.claims()
	s.Unmet = unmetPremises(s.Claims)
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

// trialsNote says what so many trials of each variant allow.
func trialsNote(n int) string {
	switch {
	case n == 0:
		return "no valid trial"
	case n == 1:
		return "one trial, no interval"
	case n < fewestBlocks:
		return fmt.Sprintf("median of %d trials, too few for a 95 %% interval", n)
	}
	return fmt.Sprintf("median of %d trials", n)
}

// trials is how many valid trials the variants have, for reading: "6", or "4 to 6"
// where some have more than others.
func (s *Summary) trials(lang language) string { return s.trialsFrom(1, lang) }

// withInterval is the same of those variants that have enough for an interval.
func (s *Summary) withInterval(lang language) string { return s.trialsFrom(fewestBlocks, lang) }

func (s *Summary) trialsFrom(fewest int, lang language) string {
	least := s.leastTrials(fewest)
	if least == s.Blocks {
		return strconv.Itoa(s.Blocks)
	}
	return lang.say(fromMany, least, s.Blocks)
}

// leastTrials is how many valid trials the variant has that has the fewest, of
// those that have as many as asked for.
func (s *Summary) leastTrials(fewest int) int {
	least := s.Blocks
	for _, v := range s.measured() {
		if v.Trials >= fewest {
			least = min(least, v.Trials)
		}
	}
	return least
}

// trialsNote says what the variants' trials allow, all together.
func (s *Summary) trialsNote() string {
	if s.leastTrials(1) == s.Blocks {
		return trialsNote(s.Blocks)
	}
	note := "median of " + s.trials("") + " trials"
	if s.leastTrials(1) < fewestBlocks {
		note += fmt.Sprintf(", too few for a 95 %% interval where there are fewer than %d", fewestBlocks)
	}
	return note
}

// noTrials is the error of a run with nothing to report.
func noTrials(s *Summary) error {
	var invalid []Trial
	for _, t := range s.Trials {
		if t.Arm == results.Plain {
			invalid = append(invalid, t)
		}
	}
	if len(invalid) == 0 && len(s.Trials) > 0 {
		return fmt.Errorf("%w: the run ended before the first trial that is more than a comparison; continue it with `equic-bench run --resume %s`", ErrNoTrials, s.Run)
	}
	if len(invalid) == 0 {
		return fmt.Errorf("%w: the run has no whole trial at all; repeat it with `equic-bench run`", ErrNoTrials)
	}
	err := fmt.Errorf("%w: all %d are invalid", ErrNoTrials, len(invalid))
	for _, t := range invalid {
		err = fmt.Errorf("%w; %s: %s", err, t.Name, t.Reasons[0])
	}
	return err
}
