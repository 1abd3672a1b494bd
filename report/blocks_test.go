package report

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
)

// blocks is three variants in each of n blocks, in an order drawn for each. The
// machine is slower in some blocks, for all variants alike.
func blocks(n int) *synth {
	s := oneBlock()
	s.trials = nil
	rng := rand.New(rand.NewPCG(11, 12))
	for b := range n {
		factor := 0.9 + 0.2*rng.Float64()
		variants := paperVariants()
		rng.Shuffle(len(variants), func(i, j int) { variants[i], variants[j] = variants[j], variants[i] })
		for _, v := range variants {
			s.trials = append(s.trials, synthTrial{variant: v, block: b + 1, request: slowed(factor), server: grown(factor)})
		}
	}
	return s
}

// shortBlocks is blocks with trials of 20 s, which are quicker to write and read.
func shortBlocks(n int) *synth {
	s := blocks(n)
	s.experiment.Sequential.Requests, s.experiment.Parallel.Requests = 200, 40
	s.experiment.Parallel.DelayNS = 10 * second
	return s
}

// slowed makes each request that is served take that many times as long.
func slowed(factor float64) func(string, *record.Request) {
	return func(_ string, q *record.Request) {
		if q.Outcome == record.OK {
			q.EndNS = int64(float64(q.EndNS) * factor)
		}
	}
}

// grown makes memory and the costs of turning away that many times as large.
func grown(factor float64) func(*record.Line) {
	times := func(n int64) int64 { return int64(float64(n) * factor) }
	return func(line *record.Line) {
		switch {
		case line.Sample != nil:
			line.Sample.RSSBytes = times(line.Sample.RSSBytes)
		case line.Refusal != nil:
			line.Refusal.CPUNS, line.Refusal.WallNS = times(line.Refusal.CPUNS), times(line.Refusal.WallNS)
		case line.Gateway != nil:
			line.Gateway.DropNS *= factor
		}
	}
}

// find is the index of a variant's trial in a block.
func (s *synth) find(variant string, block int) int {
	return slices.IndexFunc(s.trials, func(t synthTrial) bool { return t.variant == variant && t.block == block })
}

func TestReportOfTenBlocksIsAsKept(t *testing.T) {
	run := blocks(10)
	run.trials[run.find("xdp-block", 7)].server = grown(3)
	dir := run.write(t)
	s := write(t, dir)
	var text bytes.Buffer
	must(t, Text(&text, s, 0))
	judged, err := json.MarshalIndent(map[string]any{"claims": s.Claims, "pairs": s.Pairs, "outliers": s.Outliers}, "", "  ")
	must(t, err)
	asKept(t, "ten-blocks", map[string][]byte{
		"text.txt": text.Bytes(), "report.md": reported(t, dir, "report.md"), "judged.json": append(judged, '\n'),
	})
}

func TestBlocksDecideWhatIsSaidAboutChance(t *testing.T) {
	tests := []struct {
		blocks   int
		interval bool
		note     string
		pair     Verdict
	}{
		{1, false, "one trial, no interval", ""},
		{2, false, "2 blocks, too few for a 95 % interval", TooFew},
		{5, false, "5 blocks, too few for a 95 % interval", TooFew},
		{6, true, "6 blocks: 95 % interval", Less},
	}
	for _, tt := range tests {
		t.Run(tt.note, func(t *testing.T) {
			run := shortBlocks(tt.blocks)
			run.trials[run.find("no-block", 1)].server = grown(9)
			s := summarise(t, run.write(t))
			v := s.Variants[0]
			for what, has := range map[string]bool{
				"low ends": v.Low != nil, "high ends": v.High != nil, "a trial of nine times the memory named": len(s.Outliers) > 0,
			} {
				if has != tt.interval {
					t.Errorf("%s: %v, want %v", what, has, tt.interval)
				}
			}
			for _, c := range s.Claims {
				if c.hasInterval() != tt.interval || c.P.known() != tt.interval || c.PHolm.known() != tt.interval {
					t.Errorf("%s: %+v, want an interval and p: %v", c.ID, c.Evidence, tt.interval)
				}
				if c.Blocks != tt.blocks || !strings.HasPrefix(c.Note, tt.note) {
					t.Errorf("%s: %d blocks, note %q; want %d, %q", c.ID, c.Blocks, c.Note, tt.blocks, tt.note)
				}
			}
			if got := verdictOf(s, "memory", "xdp-block", "userspace-block"); got != tt.pair {
				t.Errorf("memory of xdp-block against userspace-block is %q, want %q", got, tt.pair)
			}
		})
	}
}

// verdictOf is the verdict on a pair; "" where it is not there.
func verdictOf(s *Summary, metric, with, without string) Verdict {
	for _, p := range s.Pairs {
		if p.Metric == metric && p.With == with && p.Without == without {
			return p.Verdict
		}
	}
	return ""
}

func pairOf(t *testing.T, s *Summary, metric, with, without string) Pair {
	t.Helper()
	for _, p := range s.Pairs {
		if p.Metric == metric && p.With == with && p.Without == without {
			return p
		}
	}
	t.Fatalf("no pair %s of %s and %s", metric, with, without)
	return Pair{}
}

func TestDirectionAndReachOfPairs(t *testing.T) {
	none, inf := noEvidence(), Number(math.Inf(1))
	none.Blocks = 8
	of := func(blocks int, low, high Number) *Evidence {
		return &Evidence{Blocks: blocks, Method: "signed ranks", Low: low, High: high}
	}
	tests := []struct {
		name     string
		change   Number
		e        *Evidence
		want     Verdict
		interval string
	}{
		{"all above no change", 20, of(8, 10, 30), More, "+10.0 % to +30.0 %"},
		{"all below no change", -20, of(8, -30, -10), Less, "-30.0 % to -10.0 %"},
		{"no change inside", 5, of(8, -1, 12), Inconclusive, "-1.0 % to +12.0 %"},
		{"no change at the end", 5, of(8, 0, 12), Inconclusive, "+0.0 % to +12.0 %"},
		{"some from zero", 20, of(8, 10, inf), More, "+10.0 % or more"},
		{"all from zero", inf, of(8, inf, inf), More, "from zero"},
		{"some from zero, some to zero", unknown(), &none, Inconclusive, "–"},
		{"five blocks", 20, &Evidence{Blocks: 5}, TooFew, "–"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := direction(tt.change, tt.e); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := tt.e.interval(); got != tt.interval {
				t.Errorf("interval %q, want %q", got, tt.interval)
			}
		})
	}
}

// The blocks differ by up to 20 %, the variants by a constant factor: only when
// paired by block is the change the same in each.
func TestPairingTakesOutWhatABlockSharesByItsNumber(t *testing.T) {
	s := shortBlocks(6)
	s.trials[s.find("xdp-block", 2)].invalid = "the server was throttled"
	sum := summarise(t, s.write(t))
	c := claimOf(t, sum, "memory")
	if c.Blocks != 5 || c.hasInterval() {
		t.Errorf("%d blocks, interval %v; want the 5 that have both variants, and none", c.Blocks, c.hasInterval())
	}
	if math.Abs(float64(c.Measured)+40) > 1e-4 { // 45 against 75 MiB
		t.Errorf("memory changes by %v %%, want -40", float64(c.Measured))
	}
	if none := pairOf(t, sum, "memory", "userspace-block", "no-block"); none.Blocks != 6 {
		t.Errorf("the other two variants have %d blocks in common, want 6", none.Blocks)
	}
}

func TestOfTwoValidTrialsInABlockTheLastIsPaired(t *testing.T) {
	s := shortBlocks(2)
	again := s.trials[s.find("xdp-block", 1)]
	again.server = grown(2)
	s.trials = append(s.trials, again)
	p := pairOf(t, summarise(t, s.write(t)), "memory", "xdp-block", "userspace-block")
	if p.Blocks != 2 || !(p.Measured > -40) {
		t.Errorf("%d blocks, %v %%; want 2, one of them with twice the memory", p.Blocks, float64(p.Measured))
	}
}

func claimOf(t *testing.T, s *Summary, id string) Claim {
	t.Helper()
	i := slices.IndexFunc(s.Claims, func(c Claim) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("no claim %s", id)
	}
	return s.Claims[i]
}

func TestWithoutACommonBlockNothingIsPaired(t *testing.T) {
	s := oneBlock()
	for i := range s.trials {
		s.trials[i].block = i + 1
	}
	c := claimOf(t, summarise(t, s.write(t)), "memory")
	if c.Blocks != 0 || !strings.Contains(c.Note, "nothing is paired") || c.Measured != -40 {
		t.Errorf("%d blocks, change %v, note %q", c.Blocks, c.Measured, c.Note)
	}
}

func TestOutliersAreNamedAndKept(t *testing.T) {
	s := shortBlocks(6)
	s.trials[s.find("xdp-block", 3)].server = grown(4)
	sum := summarise(t, s.write(t))
	named := slices.ContainsFunc(sum.Outliers, func(o Outlier) bool {
		return o.Metric == "memory" && strings.HasSuffix(o.Trial, "-xdp-block") && o.Value == 180 && o.Score > 3.5
	})
	if !named {
		t.Errorf("180 MiB among 45 is not named: %+v", sum.Outliers)
	}
	if c := claimOf(t, sum, "memory"); c.Blocks != 6 || c.High < 0 {
		t.Errorf("the outlier's block is not in the interval: %d blocks, up to %v", c.Blocks, c.High)
	}
}

func TestMedianOverTrialsHasItsInterval(t *testing.T) {
	sum := summarise(t, shortBlocks(6).write(t))
	v := sum.Variants[2]
	if v.Low == nil || !(v.Low.MemoryBytes.P90 < v.MemoryBytes.P90 && v.MemoryBytes.P90 < v.High.MemoryBytes.P90) {
		t.Fatalf("no interval around %v", v.MemoryBytes.P90)
	}
	var all []float64
	for _, m := range v.trials {
		all = append(all, float64(m.MemoryBytes.P90))
	}
	// With six trials, it is from the least to the largest.
	if float64(v.Low.MemoryBytes.P90) != slices.Min(all) || float64(v.High.MemoryBytes.P90) != slices.Max(all) {
		t.Errorf("interval %v to %v of %v", v.Low.MemoryBytes.P90, v.High.MemoryBytes.P90, all)
	}
	if v.Low.BlockTime.CPUMeanUS.known() {
		t.Error("a variant that refuses nobody has an interval of the cost")
	}
}

func TestVariantsWithFewerTrialsAreNotHidden(t *testing.T) {
	metrics := func() *Metrics { return &Metrics{Syscalls: Syscalls{ByName: map[string]SyscallLine{}}} }
	of := func(name string, n int) Variant {
		var trials []*Metrics
		for range n {
			trials = append(trials, metrics())
		}
		return variantOf(name, trials...)
	}
	for want, trials := range map[string][2]int{
		"median of 6 trials":       {6, 6},
		"median of 8 to 10 trials": {10, 8},
		"median of 4 to 6 trials, too few for a 95 % interval where there are fewer than 6": {6, 4},
		"one trial, no interval": {1, 1},
	} {
		s := &Summary{Blocks: max(trials[0], trials[1]), Variants: []Variant{of("a", trials[0]), of("b", trials[1])}}
		if got := s.trialsNote(); got != want {
			t.Errorf("%v trials: %q, want %q", trials, got, want)
		}
	}
	few := &Summary{Blocks: 6, Variants: []Variant{of("a", 6), of("b", 4)}}
	if got := trialsWithInterval(few, ""); got != "6" {
		t.Errorf("an interval is said to be of %s trials, want 6", got)
	}
	s := &Summary{Blocks: 10, Variants: []Variant{of("a", 10), of("b", 8)}}
	if got := trialsWithInterval(s, ""); got != "8 to 10" {
		t.Errorf("intervals are said to be of %s trials, want 8 to 10", got)
	}
	if got := strings.Join(bracketsNote(s), ""); !strings.Contains(got, "Of 8 values it is number 1 and number 8") || !strings.Contains(got, "of 10 values it is number 2 and number 9") {
		t.Errorf("the brackets are explained as %q", got)
	}
}

func TestACallThatATrialNeverMadeCountsAsZero(t *testing.T) {
	trial := func(calls map[string]SyscallLine) *Metrics {
		return &Metrics{Syscalls: Syscalls{Calls: 1, ByName: calls}}
	}
	v := variantOf("a",
		trial(map[string]SyscallLine{"read": {Calls: 10}, "mremap": {Calls: 50}}),
		trial(map[string]SyscallLine{"read": {Calls: 11}}),
		trial(map[string]SyscallLine{"read": {Calls: 12}}))
	if read, mremap := v.Syscalls.ByName["read"].Calls, v.Syscalls.ByName["mremap"].Calls; read != 11 || mremap != 0 {
		t.Errorf("%v reads and %v mremaps, want 11 and 0", read, mremap)
	}
}
