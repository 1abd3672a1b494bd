package claims

import (
	"math"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
)

func TestCompare(t *testing.T) {
	inf := analysis.Number(math.Inf(1))
	tests := []struct {
		name            string
		measured, paper analysis.Number
		want            analysis.Verdict
	}{
		{"as much more as claimed", 30.9, 30.9, analysis.Reproduced},
		{"less more than claimed", 30, 30.9, analysis.Smaller},
		{"less instead of more", -1, 30.9, analysis.Contradicted},
		{"no change is not the claimed change", 0, 30.9, analysis.Contradicted},
		{"as much less as claimed", -90, -89, analysis.Reproduced},
		{"a little less", -10, -89, analysis.Smaller},
		{"more instead of less", 10, -89, analysis.Contradicted},
		{"from nothing to something, where less was claimed", inf, -18, analysis.Contradicted},
		{"nothing to compare", analysis.Unknown(), -18, analysis.Inconclusive},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := compare(tt.measured, tt.paper); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// withRecovery is a summary whose two compared variants recover after so many
// seconds in their trials; +Inf is never, watched for 70 s.
func withRecovery(without, with []float64) *analysis.Summary {
	trials := func(of []float64) []*analysis.Metrics {
		var all []*analysis.Metrics
		for _, s := range of {
			all = append(all, &analysis.Metrics{Recovery: analysis.Recovery{OnsetS: analysis.Number(s), ObservedS: 70, BelowS: 10, PaperBin: analysis.Number(6 + math.Ceil(s/5))}})
		}
		return all
	}
	return &analysis.Summary{Variants: []analysis.Variant{variantOf(string(record.UserspaceBlock), trials(without)...), variantOf(string(record.XDPBlock), trials(with)...)}}
}

func TestClaimOnRecovery(t *testing.T) {
	never := math.Inf(1)
	one := func(s float64) []float64 { return []float64{s} }
	tests := []struct {
		name          string
		without, with []float64
		measured      float64
		want          analysis.Verdict
		says          string
	}{
		{"the kernel recovers in half the time", one(20), one(10), -50, analysis.Reproduced, "20 s in userspace-block, 10 s in xdp-block"},
		{"as much sooner as the paper's bins from the run's start, but not from the attack", one(20), one(16), -20, analysis.Smaller, "16 s in xdp-block"},
		{"the kernel is never disturbed", one(20), one(0), -100, analysis.Reproduced, "0 s in xdp-block"},
		{"neither is disturbed", one(0), one(0), math.NaN(), analysis.Inconclusive, "from the start of the attack"},
		{"neither is disturbed, but for one trial", []float64{0, 0, 0}, []float64{0, 3, 0}, math.NaN(), analysis.Inconclusive, "in all but 1 of 6 trials"},
		{"neither recovers", one(never), one(never), math.NaN(), analysis.Inconclusive, "neither variant recovered"},
		{"user space never recovers: a bound, not 100 %", one(never), one(35), -50, analysis.Reproduced, "userspace-block did not recover, so its value is a lower bound"},
		{"user space recovers in half of the trials", []float64{14, 14, never, never}, []float64{7, 7, 35, 35}, -50, analysis.Reproduced, "42 s in userspace-block, 21 s in xdp-block"},
		{"the trials that did not recover are counted", []float64{14, 14, never, never}, []float64{7, 7, 35, 35}, -50, analysis.Reproduced, "userspace-block did not recover in 2 of 4 trials"},
		{"neither recovers in half of the trials", []float64{10, never}, []float64{5, never}, -29.28932188134524, analysis.Reproduced, "xdp-block did not recover in 1 of 2 trials"},
		{"the kernel never recovers", one(20), one(never), 250, analysis.Contradicted, "xdp-block did not recover"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := recoveryRule()
			c := r.judge(withRecovery(tt.without, tt.with))
			same := math.Abs(float64(c.Measured)-tt.measured) < 1e-9 || math.IsNaN(tt.measured) && math.IsNaN(float64(c.Measured))
			if c.Verdict != tt.want || !same || !strings.Contains(c.Reason, tt.says) {
				t.Errorf("%s, measured %v, because %s; want %s, %v, %q", c.Verdict, float64(c.Measured), c.Reason, tt.want, tt.measured, tt.says)
			}
		})
	}
}

// The verdict is on the change; what else the statement says stands beside it.
func TestAPartOfAStatementThatDoesNotHoldIsACaveat(t *testing.T) {
	cpu := func(during, below, above analysis.Number) *analysis.Metrics {
		return &analysis.Metrics{CPU: analysis.CPU{Parts: analysis.Split{During: during}, Below40: below, AtLeast90: above}}
	}
	duration := func(ms analysis.Number) *analysis.Metrics {
		return &analysis.Metrics{Duration: analysis.Durations{Statistics: analysis.Statistics{Harmonic: ms}}}
	}
	tests := []struct {
		name                string
		rule                rule
		none, without, with *analysis.Metrics
		says                string
	}{
		{"CPU at 90 % for most of the time", cpuRule(), cpu(95, 0, 1), cpu(95, 0.1, 0.85), cpu(20, 1, 0), ""},
		{"CPU at 90 % for a third of the time", cpuRule(), cpu(95, 0, 1), cpu(95, 0.6, 0.33), cpu(20, 1, 0), "userspace-block at 90 % or more for 33 %"},
		{"no attack", cpuRule(), cpu(analysis.Unknown(), 0, 1), cpu(analysis.Unknown(), 0.1, 0), cpu(analysis.Unknown(), 1, 0), ""},
		{"no-block is faster than user space", durationRule(), duration(20), duration(30), duration(10), ""},
		{"no-block is slower than user space", durationRule(), duration(31), duration(30), duration(10), "31 against 30 ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &analysis.Summary{Variants: []analysis.Variant{variantOf(string(record.NoBlock), tt.none), variantOf(string(record.UserspaceBlock), tt.without), variantOf(string(record.XDPBlock), tt.with)}}
			c := tt.rule.judge(s)
			if (c.Verdict == analysis.Reproduced) != c.Measured.Known() || (tt.says == "") != (c.Caveat == "") || !strings.Contains(c.Caveat, tt.says) {
				t.Errorf("%s, with the caveat %q; want it reproduced, saying %q", c.Verdict, c.Caveat, tt.says)
			}
		})
	}
}

func TestVerdictIsThatOfTheInterval(t *testing.T) {
	between := func(low, high analysis.Number) *analysis.Evidence {
		return &analysis.Evidence{Method: "signed ranks", Low: low, High: high}
	}
	inf := analysis.Number(math.Inf(1))
	none := analysis.NoEvidence()
	tests := []struct {
		name            string
		measured, paper analysis.Number
		e               *analysis.Evidence
		want            analysis.Verdict
		says            string
	}{
		{"all of it below no change, and as large as claimed", -70, -65, between(-75, -66), analysis.Reproduced, ""},
		{"as large as claimed, though the interval reaches further in", -70, -65, between(-80, -50), analysis.Reproduced, "the claimed change is inside the interval"},
		{"smaller, with no change excluded", -30, -65, between(-40, -20), analysis.Smaller, ""},
		{"smaller, but perhaps not", -60, -65, between(-70, -50), analysis.Smaller, "the claimed change is inside the interval"},
		{"as large as claimed, but it may be nothing", -70, -65, between(-90, 5), analysis.Inconclusive, "both no change and the claimed one"},
		{"a little, and it may be nothing", -5, -65, between(-12, 3), analysis.Inconclusive, "the interval holds no change"},
		{"nothing in any block", 0, -65, between(0, 0), analysis.Inconclusive, "the interval holds no change"},
		{"the other way for sure", 20, -65, between(10, 30), analysis.Contradicted, ""},
		{"perhaps the other way", 20, -65, between(-1, 30), analysis.Inconclusive, "the interval holds no change"},
		{"more for sure, without bound", 50, 30.9, between(40, inf), analysis.Reproduced, ""},
		{"no interval, so the estimate alone", 20, -65, &none, analysis.Contradicted, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := weigh(tt.measured, tt.paper, tt.e); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if got := reach(tt.paper, tt.e); (tt.says == "") != (got == "") || !strings.Contains(got, tt.says) {
				t.Errorf("says %q, want %q", got, tt.says)
			}
		})
	}
}

// withThroughput is a summary of blocks with these figures in the two compared
// variants, by our estimator and the paper's.
func withThroughput(without, with, paperWithout, paperWith []analysis.Number) *analysis.Summary {
	trials := func(harmonic, paper []analysis.Number) []*analysis.Metrics {
		var all []*analysis.Metrics
		for i := range harmonic {
			all = append(all, &analysis.Metrics{Throughput: analysis.Throughput{Harmonic: harmonic[i], Paper: paper[i]}, Recovery: analysis.Recovery{BelowS: 10}})
		}
		return all
	}
	return &analysis.Summary{Seed: 1, Variants: []analysis.Variant{
		variantOf(string(record.UserspaceBlock), trials(without, paperWithout)...), variantOf(string(record.XDPBlock), trials(with, paperWith)...),
	}}
}

func TestClaimOfManyBlocks(t *testing.T) {
	steady := []analysis.Number{40, 41, 39, 40, 42, 38, 40}
	lower := []analysis.Number{28, 29, 27, 29, 31, 26, 28}
	zeros := make([]analysis.Number, 7)
	some := []analysis.Number{0, 0, 0, 40, 40, 40, 40}
	others := []analysis.Number{40, 40, 40, 0, 0, 0, 40}
	tests := []struct {
		name          string
		without, with []analysis.Number
		want          analysis.Verdict
		says          string
	}{
		{"more in every block, as much as claimed", lower, steady, analysis.Reproduced, "28 requests/s in userspace-block"},
		{"less in every block", steady, lower, analysis.Contradicted, "in xdp-block"},
		{"the same", steady, steady, analysis.Inconclusive, "the interval holds no change"},
		{"zero without the gateway: judged by the paper's estimator", zeros, steady, analysis.Reproduced, "userspace-block is at zero in 7 of 7 trials, so the change has no size: judged is that by the paper's estimator, +42.0 % (95 % interval"},
		{"zero on either side", some, others, analysis.Reproduced, "userspace-block is at zero in 3 of 7 trials and xdp-block is at zero in 3 of 7 trials"},
		{"zero on both sides, of six blocks or more", zeros, zeros, analysis.Reproduced, "userspace-block is at zero in 7 of 7 trials and xdp-block is at zero in 7 of 7 trials"},
		{"zero on both sides, of a few blocks", zeros[:3], zeros[:3], analysis.Reproduced, "userspace-block is at zero in 3 of 3 trials and"},
		{"zero on both sides, of one trial", zeros[:1], zeros[:1], analysis.Reproduced, "userspace-block is at zero and xdp-block is at zero"},
		{"zero on both sides of some blocks, which are left out", append([]analysis.Number{0}, lower[1:]...), append([]analysis.Number{0}, steady[1:]...), analysis.Reproduced, "28 requests/s in userspace-block"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := withThroughput(tt.without, tt.with, lower, steady)
			r := throughputRule()
			if c := r.judge(s); c.Verdict != tt.want || !strings.Contains(c.Caveat+c.Reason, tt.says) {
				t.Errorf("%s because %s (%s); want %s, saying %q", c.Verdict, c.Reason, c.Caveat, tt.want, tt.says)
			}
		})
	}
}

func TestPValuesOfTheClaimsAreCorrectedTogether(t *testing.T) {
	e := []*analysis.Evidence{{P: 0.01}, {P: analysis.Unknown()}, {P: 0.04}, {P: 0.03}}
	analysis.ApplyHolm(e)
	for i, want := range []float64{0.03, math.NaN(), 0.06, 0.06} {
		if got := float64(e[i].PHolm); math.Abs(got-want) > 1e-12 || math.IsNaN(got) != math.IsNaN(want) {
			t.Errorf("number %d: p %v, want %v", i, got, want)
		}
	}
}

// variantOf is a variant with these trials, one for each block.
func variantOf(name string, trials ...*analysis.Metrics) analysis.Variant {
	v := analysis.Variant{Name: name, TrialMetrics: trials}
	for i := range trials {
		v.Blocks, v.Names = append(v.Blocks, i+1), append(v.Names, name)
	}
	v.Summarise()
	return v
}

// only is a run with one cell, of that summary.
func only(s *analysis.Summary) *analysis.Report {
	return &analysis.Report{Summary: s, Parts: []*analysis.Part{{Summary: s}}}
}
