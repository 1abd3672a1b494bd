package figures

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

func TestEachPointOfTheMatrixHasAFigureOfItsClaims(t *testing.T) {
	run := synth.ShortBlocks(1)
	trials := run.Trials
	run.Trials = nil
	for _, point := range []string{"quota-5", "quota-9"} {
		run.Cells = append(run.Cells, results.Cell{Name: point, Point: point, Experiment: run.Experiment})
		for _, trial := range trials {
			trial.Cell = point
			run.Trials = append(run.Trials, trial)
		}
	}
	r, all := drawnFigures(t, run, "")
	each := len(all) / 2
	for i, name := range []string{"figure-claims-quota-5", "figure-claims-quota-9"} {
		f := all[i*each]
		if f.Name != name {
			t.Errorf("figure %d is %s, want %s", i*each+1, f.Name, name)
		}
		want := 0
		for i := range r.Claims {
			if r.Claims[i].Point == strings.TrimPrefix(name, "figure-claims-") && r.Claims[i].Verdict != analysis.NotRun {
				want++
			}
		}
		if len(f.panels[0].Y.Tick.Marker.Ticks(0, 0)) != want || want == 0 {
			t.Errorf("%s has not a row for each of %d claims", name, want)
		}
	}
}

func TestAClaimThatIsNotDecidedHasTheReason(t *testing.T) {
	few, found, none := analysis.NoEvidence(), analysis.NoEvidence(), analysis.NoEvidence()
	found.Method, found.Low, found.High = "signed-rank", 10, 400
	none.Method, none.Low, none.High = "signed-rank", -10, 4
	tests := map[string]struct {
		claim  analysis.Claim
		reason phrase
	}{
		"one without a value": {analysis.Claim{Measured: analysis.Unknown(), Evidence: few}, claimUnknown},
		"one whose premise is not met": {
			analysis.Claim{Measured: 230, Evidence: found, Unmet: []string{"an attack"}},
			claimUnmet,
		},
		"one from zero": {
			analysis.Claim{Measured: analysis.Number(math.Inf(1)), Evidence: found},
			claimFromZero,
		},
		"one of few blocks":                {analysis.Claim{Measured: 230, Evidence: few}, claimFewBlocks},
		"one whose interval has no change": {analysis.Claim{Measured: -3, Evidence: none}, claimHoldsZero},
		"one that is decided":              {analysis.Claim{Measured: 230, Evidence: found}, phraseCount},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := ""
			if tt.reason != phraseCount {
				want = phrases[tt.reason].en
			}
			tt.claim.Label, tt.claim.Unit, tt.claim.Paper = "throughput", analysis.PercentChange, 30.9
			tt.claim.Instrument, tt.claim.MeasuredLow, tt.claim.MeasuredHigh = analysis.Unknown(), tt.claim.Low, tt.claim.High
			known := analysis.Claim{Label: "cpu", Evidence: none, Instrument: analysis.Unknown()}
			f := figureClaims(new(analysis.Summary), []analysis.Claim{tt.claim, known})[0]
			said := texts(t, f)
			if want != "" && !slices.Contains(said, want) || f.unjudged(&tt.claim, true) != want {
				t.Errorf("the reason is %q in %q, want %q", f.unjudged(&tt.claim, true), said, want)
			}
			if beyond := slices.Contains(said, "beyond +100 %"); beyond != (tt.claim.Measured > 100 || tt.claim.High > 100) {
				t.Errorf("the legend explains arrows: %v", beyond)
			}
		})
	}
}

func TestAChangeBeyondTheAxisStandsAtItsEndWithItsNumber(t *testing.T) {
	c := analysis.Claim{
		Label: "throughput", Unit: analysis.PercentChange, Paper: 30.9, Instrument: analysis.Unknown(),
		Measured: 230, Evidence: analysis.NoEvidence(),
	}
	f := figureClaims(new(analysis.Summary), []analysis.Claim{c})[0]
	if m := f.marks[len(f.marks)-1]; m.x != mostChange || m.value != "+230.0 %" {
		t.Errorf("the mark is %+v, want it at %d with +230.0 %%", m, mostChange)
	}
	if said := texts(t, f); !slices.Contains(said, "+230.0 %") || !slices.Contains(said, "beyond +100 %") {
		t.Errorf("the figure says %q", said)
	}
	if none := figureClaims(new(analysis.Summary), []analysis.Claim{{Measured: analysis.Unknown()}}); none != nil {
		t.Error("a run without a measured claim has a figure of claims")
	}
}

func TestAChangeThatIsABoundIsMarkedInTheFigure(t *testing.T) {
	e := analysis.NoEvidence()
	e.Method, e.Low, e.High = "signed ranks", -60, -40
	for censored, want := range map[analysis.Censoring]string{
		"": "-50.0 %", analysis.AtMost: "< -50.0 %", analysis.NoBound: "",
	} {
		e.Censored = censored
		c := analysis.Claim{
			Label: "recovery", Unit: analysis.PercentChange, Paper: -22.7, Instrument: analysis.Unknown(),
			Measured: -50, MeasuredLow: -60, MeasuredHigh: -40, Evidence: e,
		}
		said := texts(t, figureClaims(new(analysis.Summary), []analysis.Claim{c})[0])
		if want != "" && !slices.Contains(said, want) || want != "-50.0 %" && slices.Contains(said, "-50.0 %") {
			t.Errorf("%q: the figure says %q, want %q", censored, said, want)
		}
	}
}
