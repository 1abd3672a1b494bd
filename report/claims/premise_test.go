package claims

import (
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// attacked is a trial in which the sequential clients lost throughput for so many
// seconds, their responses were slower by a factor, and so many of a hundred
// requests of the attack were served.
func attacked(belowS, slower, served analysis.Number) *analysis.Metrics {
	return &analysis.Metrics{
		Recovery: analysis.Recovery{BelowS: belowS},
		Duration: analysis.Durations{Before: analysis.Statistics{P50: 10}, During: analysis.Statistics{P50: 10 * slower}},
		Requests: map[string]map[string]analysis.Number{results.RoleParallel: {"ok": served, "refused": 90 - served, "timeout": 10}},
	}
}

func TestWhatTheClaimsTakeForGranted(t *testing.T) {
	all := []string{"throughput", "recovery", "duration", "syscalls", "cpu", "memory"}
	tests := []struct {
		name                string
		none, without, with *analysis.Metrics // none may be nil
		want                []analysis.Unmet
	}{
		{"an attack that hurts, and is turned away", attacked(20, 30, 60), attacked(9, 9, 3), attacked(0, 1, 0), nil},
		{"it hurts only those who are not protected", attacked(20, 30, 60), attacked(0, 1, 3), attacked(0, 1, 0), nil},
		{"it hurts only where user space blocks", attacked(0, 1, 60), attacked(2, 1.2, 3), attacked(0, 1, 0), nil},
		{"a second is by chance", attacked(1, 1.1, 60), attacked(0, 1, 3), attacked(0, 1, 0), []analysis.Unmet{
			{What: "the attack took no throughput from the sequential clients: in no variant was it under 90 % of that before for more than 1 s", Claims: []string{"throughput", "recovery"}},
			{What: "the attack made no response of the sequential clients slower: in no variant did the median response time rise by more than 10 %", Claims: []string{"duration"}},
		}},
		{"nobody knows what it does to the unprotected", nil, attacked(0, 1, 3), attacked(0, 1, 0), []analysis.Unmet{
			{What: "the attack took no throughput from the sequential clients: in no variant was it under 90 % of that before for more than 1 s (no-block, which would show what it does to an unprotected server, was not run)", Claims: []string{"throughput", "recovery"}},
			{What: "the attack made no response of the sequential clients slower: in no variant did the median response time rise by more than 10 % (no-block, which would show what it does to an unprotected server, was not run)", Claims: []string{"duration"}},
		}},
		{"responses are slower, and no throughput is lost", attacked(0, 1.5, 60), attacked(0, 1, 3), attacked(0, 1, 0), []analysis.Unmet{
			{What: "the attack took no throughput from the sequential clients: in no variant was it under 90 % of that before for more than 1 s", Claims: []string{"throughput", "recovery"}},
		}},
		{"so few are answered that there is no median", attacked(20, analysis.Unknown(), 60), attacked(20, analysis.Unknown(), 3), attacked(0, 1, 0), nil},
		{"user space serves it", attacked(20, 30, 90), attacked(9, 9, 51), attacked(0, 1, 0), []analysis.Unmet{
			{What: "most of the attack was served, within the quota, in userspace-block: userspace-block turned away 49 % of its requests, xdp-block 100 %, so the change is not that between two places to turn the same clients away", Claims: all},
		}},
		{"both serve it", attacked(20, 30, 90), attacked(9, 9, 90), attacked(9, 9, 80), []analysis.Unmet{
			{What: "most of the attack was served, within the quota, in userspace-block and xdp-block: userspace-block turned away 10 % of its requests, xdp-block 20 %, so the change is not that between two places to turn the same clients away", Claims: all},
		}},
		{"half is turned away", attacked(20, 30, 90), attacked(9, 9, 50), attacked(0, 1, 0), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &analysis.Summary{Variants: []analysis.Variant{variantOf(string(record.UserspaceBlock), tt.without), variantOf(string(record.XDPBlock), tt.with)}}
			if tt.none != nil {
				s.Variants = append(s.Variants, variantOf(string(record.NoBlock), tt.none))
			}
			Judge(only(s))
			if !slices.EqualFunc(s.Unmet, tt.want, func(a, b analysis.Unmet) bool { return a.What == b.What && slices.Equal(a.Claims, b.Claims) }) {
				t.Errorf("unmet are %+v, want %+v", s.Unmet, tt.want)
			}
			for _, c := range s.Claims {
				for _, u := range tt.want {
					concerned := slices.Contains(u.Claims, c.ID)
					if concerned && (c.Verdict != analysis.Inconclusive || c.Caveat != "") || concerned != slices.Contains(c.Unmet, u.What) {
						t.Errorf("%s is %s for %q, though it lacks %q", c.ID, c.Verdict, c.Unmet, u.What)
					}
				}
			}
		})
	}
}

func TestWithoutAnAttackNothingIsJudged(t *testing.T) {
	s := &analysis.Summary{Window: analysis.Window{AttackFromS: analysis.Unknown()}, Variants: []analysis.Variant{
		variantOf(string(record.UserspaceBlock), attacked(9, 9, 3)), variantOf(string(record.XDPBlock), attacked(0, 1, 0)),
	}}
	Judge(only(s))
	for _, c := range s.Claims {
		if c.Verdict != analysis.Inconclusive || !slices.Equal(c.Unmet, []string{"the run has no attack"}) {
			t.Errorf("%s is %s, lacking %q", c.ID, c.Verdict, c.Unmet)
		}
	}
	s.Unmet = unmetPremises(s.Claims)
	if got := PremiseWords(s); len(got) != 1 || !strings.HasPrefix(got[0], "The run has no attack. So throughput, recovery, ") {
		t.Errorf("says %q", got)
	}
}

// A brief attack that hurts is not called too slow for the machine.
func TestTheAdviceIsOnWhatTheAttackLacks(t *testing.T) {
	const brief, slow = "An attack of ", "This machine may be too fast "
	for _, tt := range []struct {
		name                string
		lasts               analysis.Number
		none, without, with *analysis.Metrics
		want                []string // how each piece of advice begins
	}{
		{"brief", 0.8, attacked(1, 30, 60), attacked(0, 9, 3), attacked(0, 1, 0), []string{brief}},
		{"brief, and slow", 0.8, attacked(1, 1, 90), attacked(0, 1, 90), attacked(0, 1, 0), []string{brief, slow}},
		{"brief, and served", 0.8, attacked(1, 30, 90), attacked(0, 9, 90), attacked(0, 1, 0), []string{brief, slow}},
		{"slow", 8, attacked(1, 1, 90), attacked(0, 1, 90), attacked(0, 1, 0), []string{slow}},
		{"neither", 8, attacked(9, 30, 60), attacked(9, 9, 3), attacked(0, 1, 0), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &analysis.Summary{
				Window:   analysis.Window{AttackFromS: 10, AttackToS: 10 + tt.lasts},
				Variants: []analysis.Variant{variantOf(string(record.NoBlock), tt.none), variantOf(string(record.UserspaceBlock), tt.without), variantOf(string(record.XDPBlock), tt.with)},
				Manifest: &results.Manifest{},
			}
			Judge(only(s))
			got := PremiseWords(s)[len(s.Unmet):]
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("advice is %q, want %q", got, tt.want)
			}
		})
	}
}
