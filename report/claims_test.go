package report

import (
	"math"
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
