package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

func TestReportOfASearchIsAsKept(t *testing.T) {
	dir := synth.Search(1).Write(t)
	r := write(t, dir)
	var text, brief bytes.Buffer
	testkit.Must(t, tables.Text(&text, r, 0))
	testkit.Must(t, tables.Brief(&brief, r, 80))
	golden.CheckAll(t, "search", map[string][]byte{
		"text.txt": text.Bytes(), "brief.txt": brief.Bytes(), "report.md": reported(t, dir, MarkdownFile),
		"summary.json":               reported(t, dir, SummaryFile),
		"figure-breaking-points.csv": reported(t, dir, "figure-breaking-points.csv"),
	})
	if f := verified(t, dir); f.Status != results.Holds {
		t.Errorf("verify: %+v", f)
	}
	page := string(reported(t, dir, HTMLFile))
	for _, want := range []string{"more than 8x", "less than 0.25x", `id="figure-breaking-points"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%s has no %s", HTMLFile, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, results.ReportDir, "figure-3.svg")); err == nil {
		t.Error("a figure over trials of several strengths is drawn")
	}
}

func TestTheBreakingPointsOfAKnownRunAreFound(t *testing.T) {
	for repetitions, edit := range map[int]func(*synth.Run){
		1: func(*synth.Run) {},
		2: func(run *synth.Run) { // the second search is incomplete
			run.Trials = run.Trials[:len(run.Trials)-1]
		},
	} {
		run := synth.Search(repetitions)
		edit(run)
		s := summarise(t, run.Write(t))
		type point struct{ variant, strength, perS, why string }
		var got []point
		for _, b := range s.BreakingPoints {
			if b.Block == 1 {
				got = append(got, point{b.Variant, b.Strength(), b.PerS(), b.Why})
			}
		}
		want := []point{
			{"no-block", "0.595x", "5.95", "p99 at 5 times"},
			{"userspace-block", "less than 0.25x", "less than 2.50", "p99 at 5 times"},
			{"userspace-early", "more than 1.76x", "more than 17.6", "the clients cannot start more requests"},
			{"xdp-block", "more than 8x", "more than 80", "the search ends there"},
		}
		if !slices.Equal(got, want) {
			t.Errorf("breaking points\n%q\nwant\n%q", got, want)
		}
		last := s.BreakingPoints[len(s.BreakingPoints)-1]
		if repetitions == 2 && (last.Strength() != "more than 0.25x" || last.Why != "the run ended before the search did") {
			t.Errorf("a search that was broken off: %s, as %s", last.Strength(), last.Why)
		}
	}
}

func TestAnAttackIsJudgedByEachCriterion(t *testing.T) {
	attacked := func(change func(*record.Request)) func(string, *record.Request) {
		return func(role string, q *record.Request) {
			if q.Outcome, q.EndNS = record.OK, 10e6; role == results.RoleSequential && q.ScheduledNS >= 15*synth.Second {
				change(q)
			}
		}
	}
	calm := func(*record.Request) {}
	for name, test := range map[string]struct {
		request func(string, *record.Request)
		search  results.Search
		want    results.Verdict
		broken  []string
	}{
		"nothing is felt": {attacked(calm), results.Search{Keep: 0.99, P99: 3}, results.AttackHeld, nil},
		"p99 below its bound": {
			attacked(func(q *record.Request) { q.EndNS = 29e6 }), results.Search{Keep: 0.99, P99: 3}, results.AttackHeld, nil,
		},
		"p99 above its bound": {
			attacked(func(q *record.Request) { q.EndNS = 31e6 }),
			results.Search{Keep: 0.99, P99: 3},
			results.AttackBroke,
			[]string{"p99"},
		},
		"one lost request": {
			attacked(func(q *record.Request) {
				if q.Seq == 200 {
					q.Outcome = record.Timeout
				}
			}), results.Search{Keep: 0.9, P99: 3, Lost: 3}, results.AttackBroke, []string{"lost"},
		},
		"as many lost requests as may be": {
			attacked(func(q *record.Request) {
				if q.Seq == 200 {
					q.Outcome = record.Timeout
				}
			}), results.Search{Keep: 0.9, P99: 3, Lost: 4}, results.AttackHeld, nil,
		},
		"less throughput": {
			attacked(func(q *record.Request) {
				if q.Seq%50 == 0 {
					q.Outcome = record.Timeout
				}
			}), results.Search{Keep: 0.99, P99: 3, Lost: 100}, results.AttackBroke, []string{"throughput"},
		},
		"too few answers": {
			attacked(func(q *record.Request) { q.Outcome = record.Refused }),
			results.Search{Keep: 0.99, P99: 3, Lost: 9999},
			results.AttackBroke,
			[]string{"throughput", "p99"},
		},
		"an attack that falls behind": {
			func(role string, q *record.Request) {
				if attacked(calm)(role, q); role == results.RoleParallel {
					q.StartNS += (q.StartNS - 15*synth.Second) / 10
				}
			}, results.Search{Keep: 0.99, P99: 3}, results.AttackLimited, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := synth.Search(1)
			test.search.From, test.search.To, test.search.Factor, test.search.Repetitions = 0.25, 8, 1.25, 1
			run.Experiment.Search = &test.search
			run.Trials = run.Trials[:2]
			for i := range run.Trials {
				run.Trials[i].Request = test.request
			}
			dir := run.Write(t)
			opened, err := results.Open(dir)
			testkit.Must(t, err)
			verdict, err := analysis.JudgeAttack(opened, opened.Trials[1])
			testkit.Must(t, err)
			b := summarise(t, dir).BreakingPoints[0]
			if behind := "the clients started 90.9 % of the next attack"; strings.Contains(name, "behind") != (b.Why == behind) {
				t.Errorf("%q", b.Why)
			}
			if a := b.Trials[1]; verdict != test.want || a.Verdict != verdict || !slices.Equal(a.Broken, test.broken) {
				t.Errorf("%s, %+v; want %s by %q", verdict, a, test.want, test.broken)
			}
		})
	}
}

func TestASecondImplementationFindsTheSameBreakingPoints(t *testing.T) {
	dir := synth.Search(2).Write(t)
	var rows [][]any
	testkit.Must(t, json.Unmarshal(runPython(t, "recompute_search.py", dir), &rows))
	want := map[string]string{}
	for _, row := range rows {
		want[fmt.Sprint(row[1:3])] = fmt.Sprint(row[3:])
	}
	points := summarise(t, dir).BreakingPoints
	for _, b := range points {
		bounds := []any{nil, nil}
		for i, n := range []analysis.Number{b.Holds, b.Fails} {
			if n.Known() {
				bounds[i] = float64(n)
			}
		}
		if key := fmt.Sprint([]any{b.Variant, b.Block}); want[key] != fmt.Sprint(bounds) {
			t.Errorf("%s: bounds %v, want %s", key, bounds, want[key])
		}
	}
	if len(points) != 8 || len(rows) != 8 {
		t.Errorf("%d breaking points, %d recomputed, want 8", len(points), len(rows))
	}
}
