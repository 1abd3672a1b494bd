package figures

import (
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// sweep returns a report of one load with attacks of several strengths.
func sweep(strengths ...float64) *analysis.Report {
	r := new(analysis.Report)
	for i, strength := range strengths {
		s := &analysis.Summary{Blocks: 1, Manifest: &results.Manifest{Experiment: results.Experiment{
			Sequential: results.Load{Clients: 1},
			Parallel:   results.Load{Clients: 1, Kind: record.Requests, Strength: strength},
		}}}
		for j, name := range []string{"tc-block-new", "xdp-block-new"} {
			m := &analysis.Metrics{
				Honest: analysis.Honest{Kept: analysis.Number(1 / float64(1+i+j))},
				Attack: analysis.Attack{ServerPerAttemptUS: analysis.Number(10 * (1 + i - j)), AttackerPerAttemptUS: 700},
			}
			s.Variants = append(s.Variants, analysis.Variant{
				Name: name, Trials: 1, Metrics: m, TrialMetrics: []*analysis.Metrics{m},
			})
		}
		name := results.StrengthLabel(strength)
		r.Parts = append(r.Parts, &analysis.Part{Cell: results.Cell{Name: name, Point: name}, Summary: s})
	}
	r.Summary = r.Parts[0].Summary
	return r
}

func TestAFigureHasTheThroughputKeptByStrength(t *testing.T) {
	f := figureGoodput(sweep(2, 0.5, 1))
	if f == nil || len(f.panels) != 1 || len(f.data) != 1+3*2 || len(f.marks) != 3*2 {
		t.Fatalf("figure %+v", f)
	}
	if first := f.data[1]; first[0] != "tc-block-new" || first[2] != "0.5" || first[4] != "50" {
		t.Errorf("first row %q, want the weakest attack", first)
	}
	if figureGoodput(sweep(2)) != nil {
		t.Error("one strength is a sweep")
	}
}

func TestAFigureHasTheCostOfAnAttempt(t *testing.T) {
	f := figureAttempt(sweep(1, 2))
	if len(f.panels) != 2 || len(f.data) != 1+2*2*2 {
		t.Errorf("%d panels, %d rows", len(f.panels), len(f.data))
	}
	// One cost of the server is zero, which a logarithmic axis does not have.
	if len(f.marks) != 2*2*2-1 {
		t.Errorf("%d marks", len(f.marks))
	}
	if f.Height <= 0 {
		t.Errorf("its height is %v", f.Height)
	}
}

func TestAFigureHasTheBoundsThatGivenStrengthsShow(t *testing.T) {
	r := sweep(0.5, 1, 2)
	holds := func(p *analysis.Part, variant int) {
		p.Summary.Variants[variant].Honest = analysis.Honest{Kept: 1, P99: 1}
	}
	holds(r.Parts[0], 0) // tc holds at 0.5x, and degrades at 1x
	for _, p := range r.Parts {
		holds(p, 1) // xdp holds everywhere
	}
	f := figureBounds(r)
	if len(f.panels) != 1 || len(f.marks) != 2 {
		t.Fatalf("%d panels, %d marks", len(f.panels), len(f.marks))
	}
	for i, want := range []struct {
		holds, fails analysis.Number
		bound        analysis.Bound
	}{{0.5, 1, analysis.NotBound}, {2, analysis.Unknown(), analysis.MoreThan}} {
		b := analysis.BoundsOf(sweepsOf(r)[0], r.Parts[0].Summary.Variants[i].Name)
		if b.Holds.String() != want.holds.String() || b.Fails.String() != want.fails.String() || b.Bound != want.bound {
			t.Errorf("%+v, want %+v", b, want)
		}
	}
	if b := analysis.BoundsOf(sweepsOf(sweep(1))[0], "xdp-block-new"); b.Bound != analysis.LessThan || b.Fails != 1 {
		t.Errorf("one attack that degrades: %+v", b)
	}
	none := sweep(1)
	none.Parts[0].Summary.Manifest.Experiment.Parallel.Strength = 0
	if figureBounds(none) != nil {
		t.Error("a figure of attacks without a strength")
	}
}
