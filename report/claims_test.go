package report

import (
	"math"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	inf := Number(math.Inf(1))
	tests := []struct {
		name            string
		measured, paper Number
		want            Verdict
	}{
		{"as much more as claimed", 30.9, 30.9, Reproduced},
		{"less more than claimed", 30, 30.9, Smaller},
		{"less instead of more", -1, 30.9, Contradicted},
		{"no change is not the claimed change", 0, 30.9, Contradicted},
		{"as much less as claimed", -90, -89, Reproduced},
		{"a little less", -10, -89, Smaller},
		{"more instead of less", 10, -89, Contradicted},
		{"from nothing to something, where less was claimed", inf, -18, Contradicted},
		{"nothing to compare", unknown(), -18, Inconclusive},
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
// seconds; +Inf is never, watched for 70 s.
func withRecovery(without, with float64) *Summary {
	m := func(s float64) *Metrics {
		return &Metrics{Recovery: Recovery{OnsetS: Number(s), ObservedS: 70, PaperBin: Number(6 + math.Ceil(s/5))}}
	}
	return &Summary{Variants: []Variant{{Name: withoutGateway, Metrics: m(without)}, {Name: withGateway, Metrics: m(with)}}}
}

func TestClaimOnRecovery(t *testing.T) {
	never := math.Inf(1)
	tests := []struct {
		name          string
		without, with float64
		measured      float64
		want          Verdict
	}{
		{"the kernel recovers in half the time", 20, 10, -50, Reproduced},
		{"the kernel is never disturbed", 20, 0, -100, Reproduced},
		{"neither is disturbed", 0, 0, math.NaN(), Inconclusive},
		{"neither recovers", never, never, math.NaN(), Inconclusive},
		{"user space never recovers: a bound, not 100 %", never, 35, -50, Reproduced},
		{"the kernel never recovers", 20, never, 250, Contradicted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := recoveryRule()
			c := r.judge(withRecovery(tt.without, tt.with))
			same := float64(c.Measured) == tt.measured || math.IsNaN(tt.measured) && math.IsNaN(float64(c.Measured))
			if c.Verdict != tt.want || !same {
				t.Errorf("%s, measured %v; want %s, %v", c.Verdict, float64(c.Measured), tt.want, tt.measured)
			}
		})
	}
}

// The change may be as large as claimed while the statement itself is not true.
func TestClaimOnCPUNeedsItsHalvesToHold(t *testing.T) {
	m := func(during, below, above Number) *Metrics {
		return &Metrics{CPU: CPU{Parts: Split{During: during}, Below40: below, AtLeast90: above}}
	}
	tests := []struct {
		name    string
		without *Metrics
		want    Verdict
	}{
		{"at 90 % for most of the time", m(95, 0.1, 0.85), Reproduced},
		{"at 90 % for a third of the time", m(95, 0.6, 0.33), Smaller},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := cpuRule()
			s := &Summary{Variants: []Variant{{Name: withoutGateway, Metrics: tt.without}, {Name: withGateway, Metrics: m(20, 1, 0)}}}
			if c := r.judge(s); c.Verdict != tt.want {
				t.Errorf("%s, want %s: %s", c.Verdict, tt.want, c.Reason)
			}
		})
	}
}

func TestVerdictIsThatOfTheInterval(t *testing.T) {
	between := func(low, high Number) *Evidence { return &Evidence{Method: "signed ranks", Low: low, High: high} }
	inf := Number(math.Inf(1))
	none := noEvidence()
	tests := []struct {
		name            string
		measured, paper Number
		e               *Evidence
		want            Verdict
		says            string
	}{
		{"all of it below no change, and as large as claimed", -70, -65, between(-75, -66), Reproduced, ""},
		{"as large as claimed, though the interval reaches further in", -70, -65, between(-80, -50), Reproduced, "the claimed change is inside the interval"},
		{"smaller, with no change excluded", -30, -65, between(-40, -20), Smaller, ""},
		{"smaller, but perhaps not", -60, -65, between(-70, -50), Smaller, "the claimed change is inside the interval"},
		{"as large as claimed, but it may be nothing", -70, -65, between(-90, 5), Inconclusive, "both no change and the claimed one"},
		{"a little, and it may be nothing", -5, -65, between(-12, 3), Inconclusive, "the interval holds no change"},
		{"nothing in any block", 0, -65, between(0, 0), Inconclusive, "the interval holds no change"},
		{"the other way for sure", 20, -65, between(10, 30), Contradicted, ""},
		{"perhaps the other way", 20, -65, between(-1, 30), Inconclusive, "the interval holds no change"},
		{"more for sure, without bound", 50, 30.9, between(40, inf), Reproduced, ""},
		{"no interval, so the estimate alone", 20, -65, &none, Contradicted, ""},
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
func withThroughput(without, with, paperWithout, paperWith []Number) *Summary {
	variant := func(name string, harmonic, paper []Number) Variant {
		v := Variant{Name: name}
		for i := range harmonic {
			v.trials = append(v.trials, &Metrics{Throughput: Throughput{Harmonic: harmonic[i], Paper: paper[i]}})
			v.blocks, v.names = append(v.blocks, i+1), append(v.names, name)
		}
		v.summarise()
		return v
	}
	return &Summary{Seed: 1, Variants: []Variant{variant(withoutGateway, without, paperWithout), variant(withGateway, with, paperWith)}}
}

func TestClaimOfManyBlocks(t *testing.T) {
	steady := []Number{40, 41, 39, 40, 42, 38, 40}
	lower := []Number{28, 29, 27, 29, 31, 26, 28}
	zeros := make([]Number, 7)
	some := []Number{0, 0, 0, 40, 40, 40, 40}
	others := []Number{40, 40, 40, 0, 0, 0, 40}
	tests := []struct {
		name          string
		without, with []Number
		want          Verdict
		says          string
	}{
		{"more in every block, as much as claimed", lower, steady, Reproduced, "28 requests/s in userspace-block"},
		{"less in every block", steady, lower, Contradicted, "in xdp-block"},
		{"the same", steady, steady, Inconclusive, "the interval holds no change"},
		{"zero without the gateway: judged by the paper's estimator", zeros, steady, Reproduced, "userspace-block is at zero, so the change has no size"},
		{"zero on either side", some, others, Reproduced, "in others xdp-block, so the change has no size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := withThroughput(tt.without, tt.with, lower, steady)
			r := throughputRule()
			if c := r.judge(s); c.Verdict != tt.want || !strings.Contains(c.Reason, tt.says) {
				t.Errorf("%s because %s; want %s, saying %q", c.Verdict, c.Reason, tt.want, tt.says)
			}
		})
	}
}

func TestPValuesOfTheClaimsAreCorrectedTogether(t *testing.T) {
	e := []*Evidence{{P: 0.01}, {P: unknown()}, {P: 0.04}, {P: 0.03}}
	correct(e)
	for i, want := range []float64{0.03, math.NaN(), 0.06, 0.06} {
		if got := float64(e[i].PHolm); math.Abs(got-want) > 1e-12 || math.IsNaN(got) != math.IsNaN(want) {
			t.Errorf("number %d: p %v, want %v", i, got, want)
		}
	}
}
