package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/stats"
)

const (
	// bothExact is the largest relative difference between two computations of one
	// value: they add in different orders.
	bothExact = 1e-9
	// sixDigits is the same for a value that was written by Number.String.
	sixDigits = 5.0001e-6
)

// recomputed is the output of testdata/recompute.py.
type recomputed struct {
	Variants map[string]map[string][3]analysis.Number `json:"variants"` // median, low, high
	Claims   map[string]recomputedChange              `json:"claims"`
	Pairs    []recomputedChange                       `json:"pairs"`
	Cost     []recomputedChange                       `json:"cost"`
	CSV      map[string][][]any                       `json:"csv"`
}

type recomputedChange struct {
	Metric   string             `json:"metric"`
	With     string             `json:"with"`
	Without  string             `json:"without"`
	Blocks   int                `json:"blocks"`
	Measured analysis.Number    `json:"measured"`
	Low      analysis.Number    `json:"low"`
	High     analysis.Number    `json:"high"`
	Coverage analysis.Number    `json:"coverage"`
	P        analysis.Number    `json:"p"`
	PHolm    analysis.Number    `json:"p_holm"`
	Censored analysis.Censoring `json:"censored"`

	// Of a claim.
	InUnit     [3]analysis.Number `json:"in_unit"` // estimate, low, high
	Instrument analysis.Number    `json:"instrument"`
	Unmet      bool               `json:"unmet"`
	Verdict    analysis.Verdict   `json:"verdict"`

	// Of the cost of measuring.
	Variant       string          `json:"variant"`
	WithFigure    analysis.Number `json:"with_figure"`
	WithoutFigure analysis.Number `json:"without_figure"`
}

func recompute(t *testing.T, dir string) *recomputed {
	t.Helper()
	r := new(recomputed)
	testkit.Must(t, json.Unmarshal(runPython(t, "recompute.py", dir), r))
	return r
}

// runPython returns the output of a script in testdata for a run.
func runPython(t *testing.T, script, dir string) []byte {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("the figures are not recomputed by a second implementation: %v", err)
	}
	// -B leaves no __pycache__ in testdata.
	cmd := exec.CommandContext(t.Context(), python, "-B", filepath.Join("testdata", script), dir)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaint.String())
	}
	return text
}

func TestASecondImplementationFindsTheSameFigures(t *testing.T) {
	testkit.Slow(t, "recomputes a dozen runs in Python")
	t.Parallel()
	tests := map[string]func() *synth.Run{
		"one block":  synth.OneBlock,
		"ten blocks": func() *synth.Run { return synth.Blocks(10) },
		"two blocks": func() *synth.Run { return synth.ShortBlocks(2) },
		"seven blocks, one of them incomplete, one in which a server stalls": func() *synth.Run {
			s := synth.ShortBlocks(7)
			s.Trials[s.Find("xdp-block", 3)].Invalid = "server was late"
			s.Trials[s.Find("userspace-block", 5)].Request = synth.Late(12*synth.Second, 3*synth.Second)
			s.Trials[s.Find("no-block", 2)].Request = synth.Late(11*synth.Second, 60*synth.Second)
			return s
		},
		"six blocks in which nothing is completed for a second in userspace-block": func() *synth.Run {
			s := synth.ShortBlocks(6)
			for b := range 6 {
				s.Trials[s.Find("userspace-block", b+1)].Request = synth.Late(12*synth.Second, 3*synth.Second)
			}
			return s
		},
		"an attack between two samples, from a fraction of a second on": func() *synth.Run {
			s := synth.ShortBlocks(2)
			s.Experiment.Parallel.DelayNS, s.Experiment.Parallel.Requests = 10*synth.Second+synth.Second/3, 10
			return s
		},
		"throughput at the edge of what is recovered, and an attack that ends with a request": func() *synth.Run {
			s := synth.ShortBlocks(2)
			s.Experiment.Parallel.Requests = 51 // the last starts at 11 s, as others do
			for i := range s.Trials {
				s.Trials[i].Request, s.Trials[i].Server = synth.Losing(i%2), synth.NotAllAdmitted()
			}
			return s
		},
		"an attack that hurts nobody": func() *synth.Run {
			return synth.Served(synth.ShortBlocks(2), "no-block",
				"userspace-block")
		},
		"an attack that is served in both variants": func() *synth.Run {
			return synth.Served(synth.ShortBlocks(1), "no-block", "userspace-block", "xdp-block")
		},
		"an attack that slows responses, but takes no throughput": func() *synth.Run {
			s := synth.Served(synth.ShortBlocks(2), "no-block", "userspace-block")
			for i := range s.Trials {
				s.Trials[i].Request = synth.SlowerInAttack(s.Trials[i].Request)
			}
			return s
		},
		"no attack and no memory limit": func() *synth.Run {
			s := synth.ShortBlocks(2)
			s.Experiment.Parallel, s.Experiment.ServerMemoryBytes = results.Load{}, 0
			return s
		},
		"ten blocks of attackers alone": func() *synth.Run {
			s := synth.ShortBlocks(10)
			s.Experiment.Sequential, s.Experiment.Parallel.DelayNS = results.Load{}, 0
			return s
		},
		"ten blocks of a closed loop": func() *synth.Run {
			s := synth.ShortBlocks(10)
			s.Experiment.Sequential.RatePerSecond, s.Experiment.Sequential.PaceNS = 0, synth.Second/10
			s.Experiment.Neighbour = results.Load{Clients: 2, Requests: 40, PaceNS: synth.Second / 2, MaxInFlight: 1}
			s.Trials[s.Find("userspace-block", 3)].Request = func(role string, q *record.Request) {
				if role != results.RoleParallel && q.ScheduledNS > 12*synth.Second { // it never recovers
					q.Outcome = record.Timeout
				}
			}
			return s
		},
		"a closed loop": func() *synth.Run {
			s := synth.ShortBlocks(1)
			s.Experiment.Sequential.RatePerSecond, s.Experiment.Sequential.Requests = 0, 2000
			return s
		},
		"an alternation": func() *synth.Run { return synth.Alternating(synth.Unattacked(7), 0.02) },
		"an alternation of few trials, with requests that fail": func() *synth.Run {
			s := synth.Alternating(synth.Unattacked(2), 0.02)
			s.Trials[1].Request = synth.Late(3*synth.Second, 2*synth.Second)
			return s
		},
	}
	for name, made := range tests {
		t.Run(name, func(t *testing.T) {
			dir := made().Write(t)
			s := write(t, dir)
			r := recompute(t, dir)
			r.expect(t, s.Summary, bothExact)
			kept := new(analysis.Summary)
			testkit.Must(t, json.Unmarshal(reported(t, dir, SummaryFile), kept))
			r.expect(t, kept, sixDigits)
			figures := []string{
				"figure-claims.csv", "figure-3.csv", "figure-4.csv", "figure-5.csv", "figure-6.csv",
				"figure-recovery.csv", "figure-block-time.csv", "figure-latency.csv",
			}
			if s.Manifest.Experiment.Sequential.Clients == 0 {
				figures = []string{"figure-6.csv"}
			}
			for _, figure := range figures {
				expectRows(t, figure, dataOf(t, dir, figure), r.CSV[figure])
			}
		})
	}
}

func TestTheBinsOfOneTrialGiveItsThroughput(t *testing.T) {
	dir := synth.OneBlock().Write(t)
	s := write(t, dir)
	rates := map[string]map[string][]float64{} // by variant and width of the bin
	for _, row := range dataOf(t, dir, "figure-3.csv") {
		if row[1] == "" { // it has no bin
			continue
		}
		rate, err := strconv.ParseFloat(row[4], 64)
		testkit.Must(t, err)
		if rates[row[0]] == nil {
			rates[row[0]] = map[string][]float64{}
		}
		rates[row[0]][row[1]] = append(rates[row[0]][row[1]], rate)
	}
	for _, v := range s.Measured() {
		got := rates[v.Name]
		expectNumber(t, v.Name+", harmonic", v.Throughput.Harmonic, analysis.Number(stats.Harmonic(got["1"])), sixDigits)
		expectNumber(t, v.Name+", arithmetic", v.Throughput.Arithmetic, analysis.Number(stats.Arithmetic(got["1"])),
			sixDigits)
		expectNumber(t, v.Name+", in the paper's way", v.Throughput.Paper, analysis.Number(stats.HarmonicNonZero(got["5"])),
			sixDigits)
	}
}

// dataOf returns the rows of a figure's data, without their header.
func dataOf(t *testing.T, dir, figure string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(reported(t, dir, figure))).ReadAll()
	testkit.Must(t, err)
	return rows[1:]
}

// expect compares all that was recomputed to a summary.
func (r *recomputed) expect(t *testing.T, s *analysis.Summary, tolerance float64) {
	t.Helper()
	for _, v := range s.Measured() {
		for i, m := range []*analysis.Metrics{v.Metrics, v.Low, v.High} {
			if m != nil {
				expectFigures(t, v.Name, i, flatten("", reflect.ValueOf(*m)), r.Variants[v.Name], tolerance)
			}
		}
	}
	if got := len(r.Variants); got != len(s.Measured()) {
		t.Errorf("recomputed %d variants, the summary has %d", got, len(s.Measured()))
	}
	r.expectClaims(t, s, tolerance)
	if len(r.Pairs) != len(s.Pairs) {
		t.Fatalf("recomputed %d pairs, the summary has %d", len(r.Pairs), len(s.Pairs))
	}
	for i := range s.Pairs {
		p, again := &s.Pairs[i], &r.Pairs[i]
		name := fmt.Sprintf("%s of %s against %s", p.Metric, p.With, p.Without)
		if p.Metric != again.Metric || p.With != again.With || p.Without != again.Without {
			t.Fatalf("pair %d is %s, recomputed was %+v", i, name, again)
		}
		again.expect(t, name, p.Measured, &p.Evidence, tolerance)
	}
	r.expectCost(t, s.Cost, tolerance)
}

func (r *recomputed) expectClaims(t *testing.T, s *analysis.Summary, tolerance float64) {
	t.Helper()
	judged := 0
	for i := range s.Claims {
		c := &s.Claims[i]
		if c.Verdict == analysis.NotRun {
			continue
		}
		judged++
		again, ok := r.Claims[c.Label]
		if !ok {
			t.Errorf("claim %s was not recomputed", c.Label)
		}
		again.expect(t, "claim "+c.Label, c.Change, &c.Evidence, tolerance)
		for j, n := range []analysis.Number{c.Measured, c.MeasuredLow, c.MeasuredHigh} {
			expectNumber(t, c.Label+" in its unit", n, again.InUnit[j], tolerance)
		}
		expectNumber(t, c.Label+" in the paper's way", c.Instrument, again.Instrument, tolerance)
		if unmet := len(c.Unmet) > 0; unmet != again.Unmet || c.Verdict != again.Verdict {
			t.Errorf("claim %s: %s, unmet premises %q; recomputed %s, %v", c.Label, c.Verdict, c.Unmet, again.Verdict,
				again.Unmet)
		}
	}
	if judged != len(r.Claims) {
		t.Errorf("recomputed %d claims, the summary has %d", len(r.Claims), judged)
	}
}

func (r *recomputed) expectCost(t *testing.T, c *analysis.Cost, tolerance float64) {
	t.Helper()
	if c == nil {
		c = new(analysis.Cost)
	}
	if len(r.Cost) != len(c.Lines) {
		t.Fatalf("recomputed %d lines of the cost of measuring, the summary has %d", len(r.Cost), len(c.Lines))
	}
	for i := range c.Lines {
		l, again := &c.Lines[i], &r.Cost[i]
		name := fmt.Sprintf("what measuring costs: %s of %s", l.Metric, l.Variant)
		if l.Metric != again.Metric || l.Variant != again.Variant {
			t.Fatalf("line %d is %s, recomputed was %+v", i, name, again)
		}
		expectNumber(t, name+", with", l.Measured, again.WithFigure, tolerance)
		expectNumber(t, name+", without", l.Unmeasured, again.WithoutFigure, tolerance)
		again.expect(t, name, l.Change, &l.Evidence, tolerance)
	}
}

// countedAsTheyAre reports whether a part of a summary repeats a record, or counts
// records: nothing is computed.
func countedAsTheyAre(key string) bool {
	part, _, _ := strings.Cut(key, ".")
	switch part {
	case "requests", "attack", "server", "gateway", "udp", "probe":
		return true
	}
	return false
}

func expectFigures(t *testing.T, variant string, end int, want map[string]analysis.Number,
	got map[string][3]analysis.Number, tolerance float64,
) {
	t.Helper()
	compared := 0
	for key, n := range want {
		if countedAsTheyAre(key) {
			continue
		}
		again, ok := got[key]
		if !ok {
			t.Errorf("%s %s was not recomputed", variant, key)
			continue
		}
		compared++
		expectNumber(t, fmt.Sprintf("%s %s, %s", variant, key, [...]string{"median", "low", "high"}[end]), n, again[end],
			tolerance)
	}
	if compared != len(got) {
		t.Errorf("%s: %d figures were recomputed, %d are in the summary", variant, len(got), compared)
	}
}

func (r *recomputedChange) expect(t *testing.T, name string, measured analysis.Number, e *analysis.Evidence,
	tolerance float64,
) {
	t.Helper()
	if r.Blocks != e.Blocks || r.Censored != e.Censored {
		t.Errorf("%s: %d blocks, censored %q, recomputed %d, %q", name, e.Blocks, e.Censored, r.Blocks, r.Censored)
	}
	expectNumber(t, name, measured, r.Measured, tolerance)
	expectNumber(t, name+", low", e.Low, r.Low, tolerance)
	expectNumber(t, name+", high", e.High, r.High, tolerance)
	expectNumber(t, name+", coverage", e.Coverage, r.Coverage, tolerance)
	expectNumber(t, name+", p", e.P, r.P, tolerance)
	expectNumber(t, name+", p by Holm", e.PHolm, r.PHolm, tolerance)
}

// expectNumber compares the value from the Go code with the recomputed one. JSON has no
// infinities, so all values that are not finite are treated as equal.
func expectNumber(t *testing.T, name string, want, got analysis.Number, tolerance float64) {
	t.Helper()
	switch w, g := float64(want), float64(got); {
	case want.Known() != got.Known():
		t.Errorf("%s: %v, recomputed %v", name, w, g)
	case want.Known() && math.Abs(w-g) > tolerance*math.Max(math.Abs(w), math.Abs(g)):
		t.Errorf("%s: %.17g, recomputed %.17g", name, w, g)
	}
}

// flatten returns the numbers of a struct under their keys in JSON, joined by dots.
func flatten(key string, v reflect.Value) map[string]analysis.Number {
	all := map[string]analysis.Number{}
	add := func(name string, field reflect.Value) {
		maps.Copy(all, flatten(strings.TrimPrefix(key+"."+name, "."), field))
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Anonymous {
				maps.Copy(all, flatten(key, v.Field(i)))
			} else {
				add(f.Tag.Get("json"), v.Field(i))
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			add(k.String(), v.MapIndex(k))
		}
	default:
		all[key] = analysis.Number(v.Float())
	}
	return all
}

// expectRows compares the rows of a figure's data with the recomputed ones.
func expectRows(t *testing.T, name string, rows [][]string, want [][]any) {
	t.Helper()
	if len(rows) != len(want) {
		t.Errorf("%s has %d rows, recomputed %d", name, len(rows), len(want))
		return
	}
	for i, row := range rows {
		for j, cell := range row {
			if !sameCell(cell, want[i][j]) {
				t.Errorf("%s, row %d, %q: recomputed %v", name, i+1, row, want[i][j])
			}
		}
	}
}

func sameCell(cell string, want any) bool {
	switch w := want.(type) {
	case nil:
		return cell == ""
	case float64:
		v, err := strconv.ParseFloat(cell, 64)
		return err == nil && math.Abs(v-w) <= sixDigits*math.Max(math.Abs(v), math.Abs(w))
	}
	return cell == want
}
