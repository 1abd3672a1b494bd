package analysis_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/compare"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

// A metric needs only one entry to be shown.
func TestAMetricThatIsAddedIsShownEverywhere(t *testing.T) {
	analysis.AddMetric(t, analysis.Metric{
		ID: "recoveries", Label: "trials that recovered", Unit: "trials", Better: analysis.Higher,
		Value:    func(m *analysis.Metrics) analysis.Number { return m.Recovery.Recovered + 41 },
		Headline: true, Default: true, Row: "recoveries (trials)", Bench: "recoveries", Cost: "recoveries by arm",
		Brief: "recovered",
	})
	dir := synth.WithArm(synth.ShortBlocks(2), results.Unmeasured, 1).Write(t)
	run, err := results.Open(dir)
	testkit.Must(t, err)
	s, err := claims.Read(run)
	testkit.Must(t, err)

	var text, brief, bench bytes.Buffer
	testkit.Must(t, tables.Text(&text, s, 0))
	testkit.Must(t, tables.Brief(&brief, s, 0))
	testkit.Must(t, tables.GoBench(&bench, s))
	for where, shown := range map[string]bool{
		"the table by variant": strings.Contains(text.String(), "recoveries (trials)"),
		"the brief table":      strings.Contains(brief.String(), "recovered"),
		"benchmark lines":      strings.Contains(bench.String(), " 42 recoveries"),
		"benchmark units":      strings.Contains(bench.String(), "Unit recoveries better=higher"),
		"the cost of an arm":   strings.Contains(text.String(), "recoveries by arm (trials)"),
		"the pairs":            slices.ContainsFunc(s.Pairs, func(p analysis.Pair) bool { return p.Metric == "recoveries" }),
		"the default metrics":  slices.Contains(compare.DefaultMetrics(), "recoveries"),
	} {
		if !shown {
			t.Errorf("%s: the metric is not there", where)
		}
	}
}

func TestMetricsHaveAnIDALabelAUnitAndADirection(t *testing.T) {
	seen, judged := map[string]bool{}, map[string]bool{}
	for _, d := range claims.EQUIC().Claims {
		judged[d.Metric], judged[d.Instrument] = true, true
	}
	for _, m := range analysis.MetricsWhere(func(*analysis.Metric) bool { return true }) {
		if m.ID == "" || m.Label == "" || m.Unit == "" || m.Value == nil || m.Better != analysis.Higher &&
			m.Better != analysis.Lower {
			t.Errorf("incomplete: %+v", m)
		}
		if seen[m.ID] {
			t.Errorf("%s is there twice", m.ID)
		}
		seen[m.ID] = true
		if !m.Headline && !m.Compared && m.Row == "" && m.Bench == "" && m.Cost == "" && !judged[m.ID] {
			t.Errorf("nobody shows %s", m.ID)
		}
		if m.Default && !m.Headline && !m.Compared {
			t.Errorf("%s is compared by default, and cannot be compared", m.ID)
		}
		if m.Goal && m.Cost == "" {
			t.Errorf("%s has a goal, and is not among the costs", m.ID)
		}
	}
}
