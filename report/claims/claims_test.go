package claims

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// variantOf returns a variant with these trials, one for each block.
func variantOf(name record.Variant, trials ...*analysis.Metrics) analysis.Variant {
	v := analysis.Variant{Name: string(name), TrialMetrics: trials}
	for i := range trials {
		v.Blocks, v.Names = append(v.Blocks, i+1), append(v.Names, string(name))
	}
	v.Summarise()
	return v
}

// partOf returns a cell of those variants, with an attack; it has sequential clients
// unless it is the parallel experiment.
func partOf(experiment string, variants ...analysis.Variant) *analysis.Part {
	m := &results.Manifest{Experiment: results.Experiment{Parallel: results.Load{Clients: 4}}}
	if experiment == mixed {
		m.Experiment.Sequential.Clients = 4
	}
	return &analysis.Part{Summary: &analysis.Summary{Manifest: m, Variants: variants}, Series: make([]*analysis.Series, 1)}
}

func reportOf(parts ...*analysis.Part) *analysis.Report {
	return &analysis.Report{Summary: parts[0].Summary, Parts: parts}
}

// claimed returns the claim of that ID, judged by a cell.
func claimed(t *testing.T, id string, part *analysis.Part) analysis.Claim {
	t.Helper()
	f := EQUIC()
	f.Claims = slices.DeleteFunc(f.Claims, func(d definition) bool { return d.ID != id })
	r := reportOf(part)
	f.Judge(r)
	if len(r.Claims) == 0 {
		t.Fatalf("no claim %s", id)
	}
	return r.Claims[0]
}

// times returns n trials with these throughputs, repeated in order as needed.
func times(n int, rates ...float64) []*analysis.Metrics {
	var all []*analysis.Metrics
	for i := range n {
		rate := analysis.Number(rates[i%len(rates)])
		all = append(all, &analysis.Metrics{
			Throughput: analysis.Throughput{Harmonic: rate, Paper: rate + 10, Arithmetic: rate},
			Recovery:   analysis.Recovery{BelowS: 10}, Requests: turnsAway(1),
		})
	}
	return all
}

// turnsAway returns the outcomes of an attack with that share of refusals.
func turnsAway(share analysis.Number) map[string]map[string]analysis.Number {
	return map[string]map[string]analysis.Number{results.RoleParallel: {"ok": 100 * (1 - share), "refused": 100 * share}}
}

// The paper's +30.9 % has a tolerance of 5 points.
func TestEveryVerdict(t *testing.T) {
	served := times(10, 40)
	for _, m := range served {
		m.Requests = turnsAway(0.4)
	}
	tests := []struct {
		name          string
		without, with []*analysis.Metrics
		want          analysis.Verdict
		says          string
	}{
		{"as claimed", times(10, 100), times(10, 131), analysis.Consistent, "100 requests/s in userspace-block"},
		{"within the tolerance", times(10, 100), times(10, 135.8), analysis.Consistent, ""},
		{"the interval contains the claim", times(10, 100), times(10, 110, 160, 120, 105, 150), analysis.Consistent, ""},
		{"much more than claimed", times(10, 100), times(10, 136, 137, 140), analysis.Stronger, ""},
		{"less than claimed", times(10, 100), times(10, 125, 125.8), analysis.Weaker, ""},
		{"the other way", times(10, 100), times(10, 90), analysis.Contradicted, ""},
		{
			"perhaps nothing", times(10, 100), times(10, 90, 140, 95, 99, 150), analysis.Unsure,
			"the interval includes zero change",
		},
		{"nothing in any block", times(10, 100), times(10, 100), analysis.Unsure, "the interval includes zero change"},
		{
			"the attack is served", served, times(10, 131), analysis.Unsure,
			"userspace-block served most of the attack, within its quota, and turned away 40 % of it",
		},
		{
			"five blocks", times(5, 100), times(5, 131), analysis.EstimateOnly,
			"a verdict needs 6 blocks with both variants, and 5 have them",
		},
		{"no trial of a variant", nil, times(10, 131), analysis.NotRun, "no valid trial of userspace-block"},
		{
			"from zero, so by the other metric: 10 to 13", times(10, 0), times(10, 3), analysis.Consistent,
			"0 requests/s in userspace-block",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			with := variantOf(record.XDPBlock, tt.with...)
			without := analysis.Variant{Name: string(record.UserspaceBlock)}
			if tt.without != nil {
				without = variantOf(record.UserspaceBlock, tt.without...)
			}
			c := claimed(t, "throughput", partOf(mixed, without, with))
			if c.Verdict != tt.want || !strings.Contains(c.Reason, tt.says) {
				t.Errorf("%s, measured %s [%s], because %s; want %s, %q", c.Verdict, c.ShowMeasured(), c.ShowInterval(), c.Reason,
					tt.want, tt.says)
			}
			const other = "is judged instead, 10 requests/s in userspace-block and 13 requests/s in xdp-block"
			if strings.Contains(c.Caveat, other) != strings.HasPrefix(tt.name, "from zero") {
				t.Errorf("caveat %q", c.Caveat)
			}
		})
	}
}

func TestAChangeToZeroIsJudgedByTheOtherMetric(t *testing.T) {
	without, with := variantOf(record.UserspaceBlock, times(10, 1)...), variantOf(record.XDPBlock, times(10, 0)...)
	c := claimed(t, "throughput", partOf(mixed, without, with))
	if got := c.ShowMeasured(); got != "-9.1 %" || c.Caveat == "" {
		t.Errorf("measured %s, caveat %q; want 11 to 10", got, c.Caveat)
	}
}

// Alone, a p of 0.031 is significant from 6 blocks on; as one of five tests it is not.
func TestAVerdictTakesMoreBlocksTheMoreTestsThereAre(t *testing.T) {
	for tests, want := range map[int]int{0: 6, 1: 6, 2: 7, 7: 9, 12: 9, 16: 10, 18: 10, 25: 10, 26: 11} {
		if got := blocksFor(tests); got != want {
			t.Errorf("%d tests: %d blocks, want %d", tests, got, want)
		}
	}
}

func TestACorrectedPValueOfFivePercentIsUnsure(t *testing.T) {
	d := &EQUIC().Claims[0]
	c := analysis.Claim{Change: 31, Measured: 31}
	c.Evidence = analysis.Evidence{Blocks: 10, Method: "signed ranks", Low: 1, High: 60, P: 0.02, PHolm: 0.05}
	if got, why := d.verdict(&c, 10); got != analysis.Unsure || !strings.Contains(why, "0.05") {
		t.Errorf("%s because %s", got, why)
	}
	c.PHolm = 0.0499
	if got, _ := d.verdict(&c, 10); got != analysis.Consistent {
		t.Errorf("below it: %s", got)
	}
}

// A claim without a size has a direction only.
func TestClaimsOfADirection(t *testing.T) {
	durations := func(ms ...float64) []*analysis.Metrics {
		var all []*analysis.Metrics
		for i := range 10 {
			all = append(all, &analysis.Metrics{
				Duration: analysis.Durations{
					Statistics: analysis.Statistics{Harmonic: analysis.Number(ms[i%len(ms)])},
					Before:     analysis.Statistics{P50: 1}, During: analysis.Statistics{P50: 9},
				},
				Requests: turnsAway(1),
			})
		}
		return all
	}
	for want, none := range map[analysis.Verdict][]float64{
		analysis.Consistent: {20}, analysis.Contradicted: {40}, analysis.Unsure: {20, 50},
	} {
		c := claimed(t, "no-block-shorter",
			partOf(mixed, variantOf(record.NoBlock, durations(none...)...), variantOf(record.UserspaceBlock, durations(30)...)))
		if c.Verdict != want || c.ShowPaper() != "less" {
			t.Errorf("%v ms against 30: %s because %s, paper %s; want %s", none, c.Verdict, c.Reason, c.ShowPaper(), want)
		}
	}
}

// The CPU claims are shares of the time of one variant; the other variant only decides
// the direction of the difference.
func TestAShareOfTheTimeIsJudgedAsOne(t *testing.T) {
	cpu := func(name record.Variant, below, above float64) analysis.Variant {
		var all []*analysis.Metrics
		for range 10 {
			all = append(all, &analysis.Metrics{
				CPU: analysis.CPU{Below40: analysis.Number(below), AtLeast90: analysis.Number(above)}, Requests: turnsAway(1),
			})
		}
		return variantOf(name, all...)
	}
	tests := []struct {
		name, id  string
		us, xdp   analysis.Variant
		want      analysis.Verdict
		measured  string
		paperText string
	}{
		{
			"below 40 % for 92 % of the time", "cpu", cpu(record.UserspaceBlock, 0, 0.8), cpu(record.XDPBlock, 0.92, 0),
			analysis.Consistent, "92 % of the time", "90 % of the time",
		},
		{
			"all of the time", "cpu", cpu(record.UserspaceBlock, 0.1, 0.8), cpu(record.XDPBlock, 1, 0), analysis.Stronger,
			"100 % of the time", "90 % of the time",
		},
		{
			"half of the time, more than in user space", "cpu", cpu(record.UserspaceBlock, 0.1, 0.8),
			cpu(record.XDPBlock, 0.5, 0), analysis.Weaker, "50 % of the time", "90 % of the time",
		},
		{
			"90 % of the time, but user space all of it", "cpu", cpu(record.UserspaceBlock, 1, 0), cpu(record.XDPBlock, 0.9, 0),
			analysis.Contradicted, "90 % of the time", "90 % of the time",
		},
		{
			"both alike", "cpu", cpu(record.UserspaceBlock, 0.9, 0), cpu(record.XDPBlock, 0.9, 0), analysis.Unsure,
			"90 % of the time", "90 % of the time",
		},
		{
			"user space at 90 % for 78 % of the time", "cpu-without", cpu(record.UserspaceBlock, 0.1, 0.78),
			cpu(record.XDPBlock, 0.9, 0.01), analysis.Consistent, "78 % of the time", "80 % of the time",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := claimed(t, tt.id, partOf(parallel, tt.us, tt.xdp))
			if c.Verdict != tt.want || c.ShowMeasured() != tt.measured || c.ShowPaper() != tt.paperText {
				t.Errorf("%s, measured %s, paper %s, because %s; want %s, %s, %s", c.Verdict, c.ShowMeasured(), c.ShowPaper(),
					c.Reason, tt.want, tt.measured, tt.paperText)
			}
		})
	}
}

// recovering returns a variant whose trials recover after these seconds; +Inf means
// never, with 70 s observed.
func recovering(name record.Variant, after ...float64) analysis.Variant {
	var all []*analysis.Metrics
	for i := range 10 {
		all = append(all, &analysis.Metrics{
			Recovery: analysis.Recovery{OnsetS: analysis.Number(after[i%len(after)]), ObservedS: 70, BelowS: 10},
			Requests: turnsAway(1),
		})
	}
	return variantOf(name, all...)
}

func TestARecoveryThatDidNotHappenIsABound(t *testing.T) {
	never := math.Inf(1)
	s := func(after ...float64) []float64 { return after }
	tests := []struct {
		name          string
		without, with []float64
		want          analysis.Verdict
		measured      string
		says          string
	}{
		{"as claimed", s(20), s(15.5), analysis.Consistent, "-22.5 %", "20 s in userspace-block, 15.5 s in xdp-block"},
		{"never disturbed", s(20), s(0), analysis.Stronger, "-100.0 %", "0 s in xdp-block"},
		{"neither is disturbed", s(0), s(0), analysis.Unsure, "–", "from the start of the attack"},
		{
			"neither is, but for one trial in ten", s(0), s(3, 0, 0, 0, 0, 0, 0, 0, 0, 0), analysis.Unsure, "–",
			"in all but 1 of 20 trials",
		},
		{"neither recovers", s(never), s(never), analysis.Unsure, "–", "neither variant recovered"},
		{
			"user space never, the kernel in half of that", s(never), s(35), analysis.Stronger, "< -50.0 %",
			">70 s in userspace-block",
		},
		{
			"user space never, the kernel just before that", s(never), s(60), analysis.Unsure, "< -14.3 %",
			"leave the size open",
		},
		{
			"user space never in half of the trials", s(14, never), s(7, 35), analysis.Stronger, "< -50.0 %",
			">42 s in userspace-block, 21 s in xdp-block",
		},
		{
			"both never in some", s(10, never), s(5, never), analysis.Unsure, "–",
			"xdp-block did not recover in 5 of 10 trials",
		},
		{
			"the kernel never", s(20), s(never), analysis.Contradicted, "> +250.0 %",
			"xdp-block did not recover in 10 of 10 trials",
		},
		{
			"the kernel never, watched for less long than user space took", s(90), s(never), analysis.Unsure, "> -22.2 %",
			"leave the direction open",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := claimed(t, "recovery", partOf(mixed, recovering(record.UserspaceBlock, tt.without...),
				recovering(record.XDPBlock, tt.with...)))
			if c.Verdict != tt.want || c.ShowMeasured() != tt.measured || !strings.Contains(c.Reason, tt.says) {
				t.Errorf("%s, measured %s, because %s; want %s, %s, %q", c.Verdict, c.ShowMeasured(), c.Reason, tt.want,
					tt.measured, tt.says)
			}
		})
	}
}

func TestAClaimWhoseExperimentIsMissingIsNotRun(t *testing.T) {
	variants := []analysis.Variant{
		variantOf(record.UserspaceBlock, times(1, 1)...),
		variantOf(record.XDPBlock, times(1, 2)...),
	}
	for _, experiment := range []string{mixed, parallel} {
		r := reportOf(partOf(experiment, variants...))
		EQUIC().Judge(r)
		for _, c := range r.Claims {
			if notRun := c.Verdict == analysis.NotRun; c.Against != string(record.NoBlock) &&
				c.With != string(record.NoBlock) && notRun != (c.Experiment != experiment) {
				t.Errorf("%s of the %s experiment in a run of the other: %s, %s", c.ID, c.Experiment, c.Verdict, c.Reason)
			}
		}
	}
}

func TestARunWithoutAPairOfVariantsHasNoClaims(t *testing.T) {
	r := reportOf(partOf(mixed, variantOf(record.XDPBlock, times(1, 1)...)))
	EQUIC().Judge(r)
	if len(r.Claims) > 0 || r.Paper != "" {
		t.Errorf("%q has %d claims", r.Paper, len(r.Claims))
	}
}

func TestPValuesOfTheClaimsAreCorrectedTogether(t *testing.T) {
	e := []*analysis.Evidence{{P: 0.01}, {P: analysis.Unknown()}, {P: 0.04}, {P: 0.03}}
	analysis.ApplyHolm(e)
	for i, want := range []float64{0.04, math.NaN(), 0.09, 0.09} {
		if got := float64(e[i].PHolm); math.Abs(got-want) > 1e-12 || math.IsNaN(got) != math.IsNaN(want) {
			t.Errorf("number %d: p %v, want %v", i, got, want)
		}
	}
}

// Each point of a matrix has all claims, and the correction covers all of these tests
// together.
func TestEachPointOfAMatrixIsJudged(t *testing.T) {
	var parts []*analysis.Part
	for _, point := range []string{"rsa-2048", "rsa-4096"} {
		part := partOf(mixed, variantOf(record.UserspaceBlock, times(10, 100)...),
			variantOf(record.XDPBlock, times(10, 131)...))
		part.Cell = results.Cell{Name: point, Point: point}
		parts = append(parts, part)
	}
	r := reportOf(parts...)
	EQUIC().Judge(r)
	tests := 0
	for _, c := range r.Claims {
		if !strings.HasPrefix(c.Label, c.Point+": "+c.ID) {
			t.Errorf("%s of %s has the label %q", c.ID, c.Point, c.Label)
		}
		if c.Verdict != analysis.NotRun {
			tests++
		}
	}
	if len(r.Claims) != 2*len(EQUIC().Claims) || r.BlocksNeeded != blocksFor(tests) || tests%2 != 0 || tests == 0 {
		t.Errorf("%d claims, %d tests, which need %d blocks", len(r.Claims), tests, r.BlocksNeeded)
	}
}

func TestClaimsAreJudgedWhateverLoadComesFirst(t *testing.T) {
	other := partOf(mixed, variantOf(record.UserspaceBlock, times(1, 1)...))
	other.Summary.Manifest.Experiment.Parallel.Kind = record.HalfOpen
	flood := partOf(parallel, variantOf(record.UserspaceBlock, times(1, 1)...), variantOf(record.XDPBlock, times(1, 1)...))
	flood.Summary.Manifest.Experiment.Parallel.Kind = record.Junk
	both := partOf(mixed, variantOf(record.UserspaceBlock, times(1, 30)...), variantOf(record.XDPBlock, times(1, 33)...))
	r := reportOf(other, flood, both)
	EQUIC().Judge(r)
	for _, c := range r.Claims {
		switch {
		case c.ID == "throughput" && c.Verdict == analysis.NotRun:
			t.Errorf("throughput is not run: %s", c.Reason)
		case c.Experiment == parallel && c.Reason != "the attackers alone send no requests":
			t.Errorf("%s is judged by a flood: %s", c.Label, c.Reason)
		}
	}
	if len(r.Claims) != len(EQUIC().Claims) {
		t.Errorf("%d claims, want %d", len(r.Claims), len(EQUIC().Claims))
	}
}

func TestWhatACellLacksIsNamed(t *testing.T) {
	part := partOf(mixed, variantOf(record.UserspaceBlock, times(1, 30)...), variantOf(record.NoBlock))
	part.Cell.Load = "hold"
	for with, want := range map[record.Variant]string{
		record.UserspaceBlock: "",
		record.NoBlock:        "no valid trial of no-block",
		record.XDPBlock:       "load hold does not have xdp-block",
	} {
		if got := missing(part, string(record.UserspaceBlock), string(with)); got != want {
			t.Errorf("%s: %q, want %q", with, got, want)
		}
	}
}

// The blocks without an outage alone would not be the whole experiment.
func TestOneZeroIsEnoughToJudgeTheOtherFigure(t *testing.T) {
	part := partOf(mixed,
		variantOf(record.UserspaceBlock, append(times(1, 0), times(9, 30)...)...),
		variantOf(record.XDPBlock, append(times(1, 0), times(9, 33)...)...))
	c := claimed(t, "throughput", part)
	if c.Blocks != 10 || c.Instead == "" || c.Caveat == "" {
		t.Errorf("%d blocks, judged instead: %q, %q", c.Blocks, c.Instead, c.Caveat)
	}
}

func TestAFloodAloneJudgesTheCostOfAnAttempt(t *testing.T) {
	f, err := Load("anchors")
	testkit.Must(t, err)
	cost := func(name record.Variant, us analysis.Number) analysis.Variant {
		return variantOf(name, &analysis.Metrics{Attack: analysis.Attack{ServerPerAttemptUS: us}})
	}
	part := partOf(parallel, cost(record.AppDropBlockNew, 10), cost(record.SocketBlockNew, 6.5),
		cost(record.NetfilterBlockNew, 2), cost(record.TCBlockNew, 1.9), cost(record.XDPBlockNew, 0.4))
	part.Summary.Manifest.Experiment.Parallel.Kind = record.Short
	r := reportOf(part)
	f.Judge(r)
	for _, c := range r.Claims {
		if notRun := c.Verdict == analysis.NotRun; notRun != (c.ID == "denial-of-service") {
			t.Errorf("%s: %s, %s", c.ID, c.Verdict, c.Reason)
		}
	}
}
