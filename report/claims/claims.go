// Package claims judges the claims of a paper by a run's numbers.
//
// It follows analysis, and completes its Report: each claim is a row of a file, and
// this package has the rules for a verdict and the premises that claims need.
package claims

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// level is the significance level for a corrected p-value.
const level = 0.05

// Read reads and summarises a run, and judges the claims of eQUIC Gateway by it.
func Read(run *results.Run) (*analysis.Report, error) { return EQUIC().Read(run) }

// Read reads and summarises a run, and judges the claims by it.
func (f *File) Read(run *results.Run) (*analysis.Report, error) {
	r, err := analysis.Read(run)
	if err != nil {
		return nil, err
	}
	f.Judge(r)
	return r, nil
}

// Judge judges every claim by the load of its experiment, at each point of a matrix. The
// report gets no claims if the run is a search, or if it was not meant to have a pair of
// variants that they compare.
func (f *File) Judge(r *analysis.Report) {
	r.Claims = []analysis.Claim{}
	if r.Searched() || !slices.ContainsFunc(r.Parts, func(p *analysis.Part) bool { return f.compares(p.Summary) }) {
		return
	}
	r.Paper = f.Paper
	var rules []*definition // of each claim
	for _, point := range r.Points() {
		for i := range f.Claims {
			for _, c := range f.Claims[i].measure(point) {
				r.Claims, rules = append(r.Claims, c), append(rules, &f.Claims[i])
			}
		}
	}
	var tests []*analysis.Evidence
	for i := range r.Claims {
		if r.Claims[i].Verdict != analysis.NotRun {
			tests = append(tests, &r.Claims[i].Evidence)
		}
	}
	analysis.ApplyHolm(tests)
	r.BlocksNeeded = blocksFor(len(tests))
	for i, d := range rules {
		d.decide(&r.Claims[i], r.BlocksNeeded)
	}
	r.Unmet = unmetPremises(r.Claims)
}

// compares reports whether the run was meant to have a pair of variants of some claim,
// even if they have no valid trials.
func (f *File) compares(s *analysis.Summary) bool {
	planned := func(name string) bool {
		return slices.ContainsFunc(s.Variants, func(v analysis.Variant) bool { return v.Name == name })
	}
	return slices.ContainsFunc(f.Claims, func(d definition) bool {
		return slices.ContainsFunc(d.With, planned) && slices.ContainsFunc(d.Against, planned)
	})
}

// blocksFor returns the smallest number of blocks with which the p-value of each of
// that many tests can be significant after Holm's correction: with n blocks none is
// below 2/2^n.
func blocksFor(tests int) int {
	n := analysis.FewestBlocks
	for float64(max(1, tests))*2/math.Pow(2, float64(n)) > level {
		n++
	}
	return n
}

// measure returns the claim at a point, once for each pair of variants, without the
// verdict; only once if its experiment was not run.
func (d *definition) measure(p *analysis.Point) []analysis.Claim {
	part, lacks := p.Mixed(), "needs a load with sequential clients"
	if d.Experiment == parallel {
		part, lacks = p.Parallel(), "needs a load of attackers alone"
		if part != nil && part.Summary.Manifest.Experiment.Floods() && !d.ofAttempts() {
			part, lacks = nil, "the attackers alone send no requests"
		}
	}
	if part == nil {
		c := d.empty(d.With[0], d.Against[0])
		c.Point, c.Label, c.Reason = p.Label, labelOf(p.Label, d.ID), lacks
		return []analysis.Claim{c}
	}
	var all []analysis.Claim
	for _, with := range d.With {
		for _, against := range d.Against {
			c := d.compare(part, with, against)
			c.Point, c.Load, c.Label = p.Label, part.Cell.Load, labelOf(p.Label, d.ID)
			switch {
			case len(d.Against) > 1:
				c.Label += " vs " + against
			case len(d.With) > 1:
				c.Label += " of " + with
			}
			all = append(all, c)
		}
	}
	return all
}

// ofAttempts reports whether a flood can judge the claim: its attempts have a cost, though no outcome.
func (d *definition) ofAttempts() bool { return strings.HasPrefix(d.Metric, "attempt-") }

func labelOf(point, id string) string {
	if point == "" {
		return id
	}
	return point + ": " + id
}

// empty returns the claim for two variants, without measured values.
func (d *definition) empty(with, against string) analysis.Claim {
	metric, unknown := analysis.MetricByID(d.Metric), analysis.Unknown()
	return analysis.Claim{
		ID: d.ID, Where: d.Place, Published: d.Published, Statement: d.English, Experiment: d.Experiment, Metric: d.Metric,
		With: with, Against: against, Direction: d.Direction, Unit: d.Unit, Paper: *cmp.Or(d.Value, &unknown),
		Measured: unknown, MeasuredLow: unknown, MeasuredHigh: unknown, Instrument: unknown, InstrumentNote: d.Note,
		Change: unknown, Evidence: analysis.NoEvidence(), Quantity: metric.Label, ValueUnit: metric.Unit,
		AgainstValue: unknown, WithValue: unknown, Verdict: analysis.NotRun,
	}
}

// compare returns the claim with the measured values of two variants in a cell.
func (d *definition) compare(part *analysis.Part, withName, againstName string) analysis.Claim {
	c := d.empty(withName, againstName)
	with, against := part.Summary.Variant(withName), part.Summary.Variant(againstName)
	if missing := missing(part, withName, againstName); missing != "" {
		c.Reason = missing
		return c
	}
	c.Verdict = ""
	metric := analysis.MetricByID(d.Metric)
	c.WithValue, c.AgainstValue = metric.Typical(with), metric.Typical(against)
	c.Reason = fmt.Sprintf("%s: %s in %s, %s in %s", metric.Label,
		shown(metric, against), againstName, shown(metric, with), withName)
	if more := details[d.ID]; more != nil {
		c.Reason += "; " + more(with, against)
	}
	c.Unmet = d.unmet(part, with, against)
	if slices.Contains(d.Needs, needsRecovery) && len(neverAway(part, with, against)) > 0 {
		return c // there is nothing to compare
	}
	c.Change, c.Evidence = analysis.TypicalChange(with, against, metric)
	isZero := func(m *analysis.Metrics) bool { return metric.ZeroIsNoSize && metric.Value(m) == 0 }
	if d.Otherwise != "" && (!c.Change.Known() || with.CountTrials(isZero)+against.CountTrials(isZero) > 0) {
		metric = analysis.MetricByID(d.Otherwise)
		c.Change, c.Evidence = analysis.TypicalChange(with, against, metric)
		c.Instead = metric.Label
		c.Caveat = fmt.Sprintf("a trial is at zero, so the change of this figure has no size; "+
			"the %s is judged instead, %s in %s and %s in %s", metric.Label, shown(metric, against), againstName,
			shown(metric, with), withName)
	}
	d.inUnit(&c, metric, with, against)
	return c
}

// inUnit sets the values measured by us and in the paper's way, in the claim's unit.
func (d *definition) inUnit(c *analysis.Claim, metric *analysis.Metric, with, against *analysis.Variant) {
	instrument := analysis.FindMetric(d.Instrument)
	if d.Unit == analysis.PercentChange {
		c.Measured, c.MeasuredLow, c.MeasuredHigh = c.Change, c.Low, c.High
		if instrument != nil {
			c.Instrument, _ = analysis.TypicalChange(with, against, instrument)
		}
		return
	}
	c.Measured = with.Typical(metric.Value)
	if with.Low != nil {
		c.MeasuredLow, c.MeasuredHigh = metric.Value(with.Low), metric.Value(with.High)
	}
	if instrument != nil {
		c.Instrument = with.Typical(instrument.Value)
	}
}

// shown returns the typical figure of a variant with its unit.
func shown(m *analysis.Metric, v *analysis.Variant) string {
	if m.Censored != nil && m.Censored(v.Metrics) {
		return m.Show(v) + " " + m.Unit
	}
	return m.Typical(v).WithUnit(m.Unit)
}

// missing returns what a cell lacks to compare two variants; empty if nothing.
func missing(part *analysis.Part, variants ...string) string {
	var unplanned, invalid []string
	for _, name := range variants {
		planned := slices.ContainsFunc(part.Summary.Variants, func(v analysis.Variant) bool { return v.Name == name })
		switch {
		case !planned:
			unplanned = append(unplanned, name)
		case part.Summary.Variant(name) == nil:
			invalid = append(invalid, name)
		}
	}
	switch {
	case len(unplanned) > 0 && part.Cell.Load != "":
		return fmt.Sprintf("load %s does not have %s", part.Cell.Load, analysis.Sentence(unplanned))
	case len(unplanned) > 0:
		return "the run does not have " + analysis.Sentence(unplanned)
	case len(invalid) > 0:
		return "no valid trial of " + strings.Join(invalid, " nor of ")
	}
	return ""
}
