package analysis

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Report contains all results of a run: the numbers of each of its cells. A run without
// loads and matrix has one.
type Report struct {
	// Summary is that of the first cell; its trials, outliers, warnings and claims are
	// those of the whole run.
	*Summary
	Parts []*Part
}

// Part contains the results of one cell of a run: its numbers, and the data of its
// figures, for each variant that has a valid trial.
type Part struct {
	Cell    results.Cell
	Summary *Summary
	Series  []*Series
}

// Read reads every valid trial of a run and summarises it by cell. It does not judge
// the claims: package claims does. If a run has no valid trial, the error wraps
// ErrNoTrials; a cell without one is left out, with a warning.
func Read(run *results.Run) (*Report, error) {
	r := new(Report)
	var missing []error
	for _, cell := range run.CellRuns() {
		s, series, err := Analyse(cell)
		switch {
		case errors.Is(err, ErrNoTrials):
			if cell.Cell.Name != "" {
				err = fmt.Errorf("cell %s: %w", cell.Cell.Name, err)
			}
			missing = append(missing, err)
			r.Parts = append(r.Parts, &Part{Cell: cell.Cell, Summary: s})
			continue
		case err != nil:
			return nil, err
		}
		r.Parts = append(r.Parts, &Part{cell.Cell, s, series})
	}
	if len(missing) == len(r.Parts) {
		return nil, missing[0]
	}
	r.merge()
	for _, err := range missing {
		r.Warnings = append(r.Warnings, err.Error())
	}
	return r, nil
}

// merge makes the summary of the whole run.
func (r *Report) merge() {
	if len(r.Parts) == 1 {
		r.Summary = r.Parts[0].Summary
		return
	}
	head := *r.Parts[0].Summary
	head.Warnings = slices.Clone(head.Warnings)
	least := 0 // trials of a variant; a search has no trials to count
	for _, p := range r.Parts {
		if n := p.Summary.LeastTrials(1); len(p.Series) > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	for _, p := range r.Parts[1:] {
		for _, w := range p.Summary.Warnings {
			if !slices.Contains(head.Warnings, w) {
				head.Warnings = append(head.Warnings, w)
			}
		}
		head.Interval = cmp.Or(head.Interval, p.Summary.Interval)
		head.Trials = append(head.Trials, p.Summary.Trials...)
		head.Outliers = append(head.Outliers, p.Summary.Outliers...)
		head.Blocks = max(head.Blocks, p.Summary.Blocks)
	}
	if least > 0 {
		head.Interval = rangeNote(least, head.Blocks)
	}
	head.Schema = reportSchema
	r.Summary = &head
}

// reportSchema is the version of summary.json's layout if a run has cells.
const reportSchema = 2

// Title returns the name of the cell, with a mark if its attack was weaker than
// planned. It is empty for an only cell without a mark.
func (p *Part) Title() string { return marked(p.Cell.Name, p.WeakAttack()) }

// Title returns the label of the point, with a mark like that of a part.
func (p *Point) Title() string { return marked(p.Label, p.WeakAttack()) }

// WeakAttack returns the attack of a cell of the point that was weaker than planned; nil if there was none.
func (p *Point) WeakAttack() *results.Load {
	for _, part := range p.parts {
		if attack := part.WeakAttack(); attack != nil {
			return attack
		}
	}
	return nil
}

// WeakAttack returns the strengths of the cell's attacks together, planned and reached, if some were weaker
// than planned; nil if not. A flood never is, and a search has attacks of many strengths.
func (p *Part) WeakAttack() *results.Load {
	e := &p.Summary.Manifest.Experiment
	all, weak := new(results.Load), false
	for _, l := range append([]results.Load{e.Parallel}, e.Background...) {
		if !l.Kind.Flood() {
			all.Strength, all.Reached = all.Strength+l.Strength, all.Reached+l.Strongest()
			weak = weak || l.Reached > 0
		}
	}
	if !weak || e.Search != nil {
		return nil
	}
	all.Strength, all.Reached = math.Round(all.Strength*1e6)/1e6, math.Round(all.Reached*1e6)/1e6 // 0.1+0.2
	return all
}

func marked(name string, attack *results.Load) string {
	if attack == nil {
		return name
	}
	mark := fmt.Sprintf("attack at %gx, not %gx", attack.Reached, attack.Strength)
	if name == "" {
		return mark
	}
	return name + ", " + mark
}

// Points returns the parts grouped by the values of a matrix, in the order of the run.
// A run without a matrix has one point.
func (r *Report) Points() []*Point {
	var all []*Point
	at := map[string]*Point{}
	for _, part := range r.Parts {
		p := at[part.Cell.Point]
		if p == nil {
			p = &Point{Label: part.Cell.Point}
			at[part.Cell.Point], all = p, append(all, p)
		}
		p.parts = append(p.parts, part)
	}
	return all
}

// Point is the parts that differ only in their load.
type Point struct {
	Label string // of the matrix's values; "" without a matrix
	parts []*Part
}

// Mixed returns the part with the load of the paper's mixed experiment: sequential
// clients and attackers. If the run has no such part with a valid trial, it returns one
// with another kind of attack, or else with none; nil if there is no such part either.
func (p *Point) Mixed() *Part { return p.like(true) }

// Parallel returns that of its parallel experiment: only attackers.
func (p *Point) Parallel() *Part { return p.like(false) }

// like returns the part that is most like an experiment of the paper, with or without
// sequential clients.
func (p *Point) like(sequential bool) *Part {
	same := func(e *results.Experiment) bool { return (e.Sequential.Clients > 0) == sequential }
	attacked := func(e *results.Experiment) bool { return same(e) && e.Parallel.Clients > 0 }
	requested := func(e *results.Experiment) bool {
		kind := e.Parallel.Kind
		return attacked(e) && (kind == "" || kind == record.Requests) && len(e.Background) == 0
	}
	if part := cmp.Or(p.part(requested), p.part(attacked)); part != nil || !sequential {
		return part
	}
	return p.part(same)
}

// part returns the first part with such an experiment and a valid trial.
func (p *Point) part(is func(*results.Experiment) bool) *Part {
	for _, part := range p.parts {
		if len(part.Series) > 0 && is(&part.Summary.Manifest.Experiment) {
			return part
		}
	}
	return nil
}

// MarshalJSON returns summary.json: the summary of the only cell, or the run and its
// cells.
func (r *Report) MarshalJSON() ([]byte, error) {
	if len(r.Parts) == 1 {
		return json.Marshal(r.Summary)
	}
	type cell struct {
		Name    string   `json:"name"`
		Load    string   `json:"load,omitempty"`
		Set     []string `json:"set,omitempty"`
		Summary *Summary `json:"summary"`
	}
	var cells []cell
	for _, p := range r.Parts {
		cells = append(cells, cell{p.Cell.Name, p.Cell.Load, p.Cell.Set, p.Summary})
	}
	return json.Marshal(struct {
		Schema      int      `json:"schema"`
		Run         string   `json:"run"`
		Scenario    string   `json:"scenario"`
		Seed        uint64   `json:"seed"`
		Blocks      int      `json:"blocks"`
		Paper       string   `json:"paper,omitempty"`
		Claims      []Claim  `json:"claims"`
		Needed      int      `json:"blocks_needed,omitempty"`
		Unmet       []Unmet  `json:"unmet_premises,omitempty"`
		Warnings    []string `json:"warnings"`
		FiguresLang string   `json:"figures_lang,omitempty"`
		Cells       []cell   `json:"cells"`
	}{
		r.Schema, r.Run, r.Scenario, r.Seed, r.Blocks, r.Paper, r.Claims, r.BlocksNeeded, r.Unmet, r.Warnings,
		r.FiguresLang, cells,
	})
}
