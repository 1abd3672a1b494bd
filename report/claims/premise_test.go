package claims

import (
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// attacked returns a trial in which the sequential clients lost throughput for that
// many seconds, their responses were slower by a factor, and that many of a hundred
// requests of an attack of 8 s were served.
func attacked(belowS, slower, served analysis.Number) *analysis.Metrics {
	return &analysis.Metrics{
		Recovery: analysis.Recovery{BelowS: belowS, OnsetS: belowS, ObservedS: 70},
		Duration: analysis.Durations{Before: analysis.Statistics{P50: 10}, During: analysis.Statistics{P50: 10 * slower}},
		Requests: map[string]map[string]analysis.Number{results.RoleParallel: {
			"ok": served, "refused": 90 - served,
			"timeout": 10,
		}},
		Attack: analysis.Attack{FirstStartS: 10, LastStartS: 18},
	}
}

func cellOf(none, without, with *analysis.Metrics) *analysis.Part {
	variants := []analysis.Variant{variantOf(record.UserspaceBlock, without), variantOf(record.XDPBlock, with)}
	if none != nil {
		variants = append(variants, variantOf(record.NoBlock, none))
	}
	return partOf(mixed, variants...)
}

const (
	unhurt       = "no variant was below 90 % of its throughput before the attack for more than 1 s"
	notSlower    = "in no variant was the median response time during the attack more than 10 % above that before"
	noneNotRun   = " (no-block, which would show the effect on an unprotected server, was not run)"
	servedByUser = "userspace-block served most of the attack, within its quota, and turned away 49 % of it"
)

func TestWhatTheClaimsTakeForGranted(t *testing.T) {
	throughput, durations := []string{"throughput", "recovery", "total-time"}, []string{"duration", "no-block-shorter"}
	tests := []struct {
		name                string
		none, without, with *analysis.Metrics // none may be nil
		want                []analysis.Unmet
	}{
		{"an attack that hurts, and is turned away", attacked(20, 30, 60), attacked(9, 9, 3), attacked(0, 1, 0), nil},
		{"it hurts only those who are not protected", attacked(20, 30, 60), attacked(1, 1, 3), attacked(0, 1, 0), nil},
		{"it hurts only where user space blocks", attacked(0, 1, 60), attacked(2, 1.2, 3), attacked(0, 1, 0), nil},
		{
			"a second is by chance", attacked(1, 1.1, 60), attacked(1, 1, 3), attacked(0, 1, 0),
			[]analysis.Unmet{{What: unhurt, Claims: throughput}, {What: notSlower, Claims: durations}},
		},
		{
			"no-block was not run", nil, attacked(1, 1, 3), attacked(0, 1, 0),
			[]analysis.Unmet{
				{What: unhurt + noneNotRun, Claims: throughput},
				{What: notSlower + noneNotRun, Claims: durations[:1]},
			},
		},
		{
			"responses are slower, and no throughput is lost", attacked(0, 1.5, 60), attacked(1, 1, 3), attacked(0, 1, 0),
			[]analysis.Unmet{{What: unhurt, Claims: throughput}},
		},
		{
			"so few are answered that there is no median", attacked(20, analysis.Unknown(), 60),
			attacked(20, analysis.Unknown(), 3), attacked(0, 1, 0), nil,
		},
		{
			"user space serves it", attacked(20, 30, 90), attacked(9, 9, 51), attacked(0, 1, 0),
			[]analysis.Unmet{{What: servedByUser, Claims: slices.Concat(throughput, durations)}},
		},
		{"half is turned away", attacked(20, 30, 90), attacked(9, 9, 50), attacked(0, 1, 0), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := reportOf(cellOf(tt.none, tt.without, tt.with))
			EQUIC().Judge(r)
			if !slices.EqualFunc(r.Unmet, tt.want,
				func(a, b analysis.Unmet) bool { return a.What == b.What && slices.Equal(a.Claims, b.Claims) }) {
				t.Errorf("unmet are %+v, want %+v", r.Unmet, tt.want)
			}
			for _, c := range r.Claims {
				for _, u := range tt.want {
					concerned := slices.Contains(u.Claims, c.Label)
					if concerned && c.Verdict != analysis.Unsure || concerned != slices.Contains(c.Unmet, u.What) {
						t.Errorf("%s is %s for %q, though it lacks %q", c.ID, c.Verdict, c.Unmet, u.What)
					}
				}
			}
		})
	}
}

func TestWithoutAnAttackNothingIsJudged(t *testing.T) {
	part := cellOf(nil, attacked(9, 9, 3), attacked(0, 1, 0))
	part.Summary.Window.AttackFromS = analysis.Unknown()
	r := reportOf(part)
	EQUIC().Judge(r)
	for _, c := range r.Claims {
		if c.Verdict != analysis.NotRun &&
			(c.Verdict != analysis.Unsure || !slices.Equal(c.Unmet, []string{"the run has no attack"})) {
			t.Errorf("%s is %s, lacking %q", c.ID, c.Verdict, c.Unmet)
		}
	}
	if got := PremiseWords(r); len(got) != 1 ||
		!strings.HasPrefix(got[0], "The run has no attack. So throughput, recovery, ") {
		t.Errorf("says %q", got)
	}
}

// Clients on a schedule end with it, so the total time shows nothing.
func TestAScheduleHidesTheTotalTime(t *testing.T) {
	part := cellOf(nil, attacked(9, 9, 3), attacked(0, 1, 0))
	part.Summary.Manifest.Experiment.Sequential.RatePerSecond = 10
	c := claimed(t, "total-time", part)
	if c.Verdict != analysis.Unsure || len(c.Unmet) != 1 || !strings.Contains(c.Unmet[0], "their schedule of 10/s") {
		t.Errorf("%s, lacking %q", c.Verdict, c.Unmet)
	}
}

// If an attack is as fast as the clients can make it, there is no advice to make it faster.
func TestAnAttackAtTheClientsLimitCannotBeFaster(t *testing.T) {
	none, without, with := attacked(1, 1, 90), attacked(0, 1, 90), attacked(0, 1, 0)
	for _, m := range []*analysis.Metrics{none, without, with} {
		m.Attack.LastStartS = 18
	}
	part := cellOf(none, without, with)
	attack := &part.Summary.Manifest.Experiment.Parallel
	attack.RatePerSecond, attack.Strength, attack.Reached = 100, 2, 1.2
	words := strings.Join(PremiseWords(reportOf(part)), "\n")
	if !strings.Contains(words, "Give the clients more CPUs") || strings.Contains(words, "--set") {
		t.Errorf("says %s", words)
	}
}

// A short attack that hurts is not called too weak for the machine. One that is too
// short to judge is not called harmless.
func TestTheAdviceIsOnWhatTheAttackLacks(t *testing.T) {
	const short, weak = "Use a longer attack", "An attack of "
	for _, tt := range []struct {
		name                string
		lasts               analysis.Number
		none, without, with *analysis.Metrics
		want                []string // the beginning of each piece of advice
	}{
		{"short", 0.8, attacked(1, 30, 60), attacked(0, 9, 3), attacked(0, 1, 0), []string{short}},
		{"short, and slows nothing", 0.8, attacked(1, 1, 90), attacked(0, 1, 3), attacked(0, 1, 0), []string{short, weak}},
		{"short, and served", 0.8, attacked(1, 30, 90), attacked(0, 9, 90), attacked(0, 1, 0), []string{short, weak}},
		{"short, but it hurts", 0.8, attacked(5, 30, 60), attacked(0, 9, 3), attacked(0, 1, 0), nil},
		{"weak", 8, attacked(1, 1, 90), attacked(0, 1, 90), attacked(0, 1, 0), []string{weak}},
		{"neither", 8, attacked(9, 30, 60), attacked(9, 9, 3), attacked(0, 1, 0), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, m := range []*analysis.Metrics{tt.none, tt.without, tt.with} {
				m.Attack.LastStartS = 10 + tt.lasts
			}
			part := cellOf(tt.none, tt.without, tt.with)
			part.Summary.Manifest.Experiment.Parallel.RatePerSecond = 100
			words := PremiseWords(reportOf(part))
			for _, begins := range []string{short, weak} {
				says := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(analysis.Capital(w), begins) })
				if says != slices.Contains(tt.want, begins) {
					t.Errorf("says %q: %v, want %q", begins, words, tt.want)
				}
			}
			tooShort := slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "lasted 0.8 s, too short") })
			if tooShort != slices.Contains(tt.want, short) || tooShort &&
				strings.Contains(strings.Join(words, " "), "No variant was below") {
				t.Errorf("says %q", words)
			}
		})
	}
}

// Premises concern every variant, not only those that the paper compares.
func TestVariantsThatThePaperDoesNotHaveAreLookedAtToo(t *testing.T) {
	part := partOf(mixed, variantOf(record.UserspaceEarly, attacked(9, 9, 80)),
		variantOf(record.XDPBlockNew, attacked(9, 9, 0)))
	r := reportOf(part)
	EQUIC().Judge(r)
	words := strings.Join(PremiseWords(r), "\n")
	if len(r.Claims) > 0 || !strings.Contains(words, "Userspace-early served most of the attack") ||
		strings.Contains(words, "Xdp-block-new served") {
		t.Errorf("%d claims; says %q", len(r.Claims), words)
	}
}

func TestADurationHidesTheTotalTime(t *testing.T) {
	part := cellOf(nil, attacked(9, 9, 3), attacked(0, 1, 0))
	part.Summary.Manifest.Experiment.Sequential.DurationNS = 150e9
	c := claimed(t, "total-time", part)
	if c.Verdict != analysis.Unsure || len(c.Unmet) != 1 || !strings.Contains(c.Unmet[0], "stop after 150 s") {
		t.Errorf("%s, lacking %q", c.Verdict, c.Unmet)
	}
}
