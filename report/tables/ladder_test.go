package tables

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// ladder returns a report with two attacks.
func ladder() *analysis.Report {
	r := new(analysis.Report)
	add := func(load string, kind record.Attack, variants ...analysis.Variant) {
		s := &analysis.Summary{Manifest: &results.Manifest{Experiment: results.Experiment{
			Sequential: results.Load{Clients: 1}, Parallel: results.Load{Clients: 1, Kind: kind},
		}}, Variants: variants}
		r.Parts = append(r.Parts, &analysis.Part{Cell: results.Cell{Name: load, Load: load}, Summary: s})
	}
	add("requests", record.Requests, rung("userspace-block", 0.1, 9, 20, 3000), rung("tc-block-new", 0.8, 2, 0, 20),
		rung("xdp-block-new", 0.995, 1.5, 0, 10))
	add("junk", record.Junk, rung("tc-block-new", 1, 1, 0, 2), rung("xdp-block-new", 1, analysis.Unknown(), 0, 1))
	r.Summary = r.Parts[0].Summary
	return r
}

// rung returns a variant with the effect of an attack, and its cost to the server.
func rung(name string, kept, p99, lost, us analysis.Number) analysis.Variant {
	return analysis.Variant{Name: name, Trials: 1, Metrics: &analysis.Metrics{
		Honest: analysis.Honest{Kept: kept, P99: p99, Lost: lost},
		Attack: analysis.Attack{
			ScheduledRPS: 140, AchievedRPS: 140,
			ServerPerAttemptUS: us, AttackerPerAttemptUS: 1000, ServerPerAttacker: us / 1000,
		},
	}}
}

func TestALadderHasItsAnswer(t *testing.T) {
	r := ladder()
	want := []string{
		"Requests at 140/s: xdp-block-new holds, tc-block-new degrades, userspace-block fails; " +
			"junk at 140/s: tc-block-new holds, xdp-block-new cannot be judged.",
		"Under requests at 140/s, of the variants that do not fail, an attempt costs the server 10 µs with xdp-block-new " +
			"and up to 20 µs with tc-block-new (too few trials to say that these differ).",
	}
	if diff := cmp.Diff(want, LadderAnswer(r)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	table := LadderTable(r)
	wantRows := [][]string{
		{"userspace-block", "fails", "–"}, {"tc-block-new", "degrades", "holds"}, {"xdp-block-new", "holds", "–"},
	}
	if diff := cmp.Diff(wantRows, table.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	costs := ladderCostTable(r)
	if n := costs.Length(); n != 5 || !slices.Contains(costs.rows[0], "3") {
		t.Errorf("%d rows, the first %q", n, costs.rows[0])
	}
	if got := strings.Join(plainWords(LadderWords(r)), " "); strings.Contains(got, "*") {
		t.Errorf("words with emphasis at a terminal: %s", got)
	}
}

func TestALadderJudgesWhetherCostsDifferByTheirIntervals(t *testing.T) {
	r := ladder()
	variants := r.Parts[0].Summary.Variants
	within := func(v *analysis.Variant, low, high analysis.Number) {
		v.Low, v.High = new(analysis.Metrics), new(analysis.Metrics)
		v.Low.Attack.ServerPerAttemptUS, v.High.Attack.ServerPerAttemptUS = low, high
	}
	least, most := &variants[2], &variants[1] // 10 and 20 µs
	for _, c := range []struct {
		high, low analysis.Number // of the least, and of the most
		want      string
	}{
		{14, 15, "their intervals are apart"},
		{16, 15, "their intervals overlap"},
		{analysis.Unknown(), 15, "too few trials to say that these differ"},
		{14, analysis.Unknown(), "too few trials to say that these differ"},
	} {
		within(least, 9, c.high)
		within(most, c.low, 22)
		if got := LadderAnswer(r)[1]; !strings.HasSuffix(got, "("+c.want+").") {
			t.Errorf("up to %v and from %v: %s", c.high, c.low, got)
		}
	}
}

func TestThePlacesOfAPolicyAreOneIfTheyAgree(t *testing.T) {
	r := ladder()
	s := r.Parts[0].Summary
	s.Variants = nil
	for _, place := range []string{"app-drop", "socket", "tc", "xdp"} {
		s.Variants = append(s.Variants, rung(place+"-block", 0.1, 9, 1, 10), rung(place+"-block-new", 0.8, 2, 0, 10))
	}
	s.Variants = append(s.Variants, rung("userspace-block", 0.1, 9, 1, 10))
	const want = "Requests at 140/s: every place under policy `new` degrades, userspace-block and every place under " +
		"policy `client` fail; "
	if got := LadderAnswer(r)[0]; !strings.HasPrefix(got, want) {
		t.Errorf("answer %s\nwant %s…", got, want)
	}
	s.Variants[1].Honest.Kept = 0.1
	if got := LadderAnswer(r)[0]; strings.Contains(got, "policy `new`") || !strings.Contains(got, "policy `client`") {
		t.Errorf("one place differs: %s", got)
	}
}

func TestTheVariantsOfThePaperMakeNoLadder(t *testing.T) {
	r := ladder()
	r.Parts = r.Parts[:1]
	r.Parts[0].Summary.Variants = []analysis.Variant{rung("userspace-block", 1, 1, 0, 1), rung("xdp-block-new", 1, 1, 0, 1)}
	if table := LadderTable(r); table.Length() > 0 || LadderAnswer(r) != nil || LadderWords(r) != nil {
		t.Error("they have a table")
	}
}
