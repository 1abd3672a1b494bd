package report

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
)

func TestReportOfTenBlocksIsAsKept(t *testing.T) {
	t.Parallel()
	run := synth.Blocks(10)
	run.Trials[run.Find("xdp-block", 7)].Server = synth.Grown(3)
	dir := run.Write(t)
	s := write(t, dir)
	var text bytes.Buffer
	testkit.Must(t, tables.Text(&text, s, 0))
	judged, err := json.MarshalIndent(map[string]any{"claims": s.Claims, "pairs": s.Pairs, "outliers": s.Outliers}, "",
		"  ")
	testkit.Must(t, err)
	golden.CheckAll(t, "ten-blocks", map[string][]byte{
		"text.txt": text.Bytes(), "report.md": reported(t, dir, "report.md"), "judged.json": append(judged, '\n'),
	})
}

func TestBlocksDecideWhatIsSaidAboutChance(t *testing.T) {
	tests := []struct {
		blocks   int
		interval bool
		note     string
		pair     analysis.Verdict
	}{
		{1, false, "one trial, no interval", ""},
		{2, false, "2 blocks, too few for a 95 % interval", analysis.TooFew},
		{5, false, "5 blocks, too few for a 95 % interval", analysis.TooFew},
		{6, true, "6 blocks: 95 % interval", analysis.Less},
	}
	for _, tt := range tests {
		t.Run(tt.note, func(t *testing.T) {
			run := synth.ShortBlocks(tt.blocks)
			run.Trials[run.Find("no-block", 1)].Server = synth.Grown(9)
			s := summarise(t, run.Write(t))
			v := s.Variants[0]
			for what, has := range map[string]bool{
				"low ends": v.Low != nil, "high ends": v.High != nil, "a trial of nine times the memory named": len(s.Outliers) > 0,
			} {
				if has != tt.interval {
					t.Errorf("%s: %v, want %v", what, has, tt.interval)
				}
			}
			for _, c := range s.Claims {
				if c.Verdict == analysis.NotRun {
					continue
				}
				if c.HasInterval() != tt.interval || c.P.Known() != tt.interval || c.PHolm.Known() != tt.interval {
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

// verdictOf returns the verdict on a pair; "" if it is missing.
func verdictOf(s *analysis.Report, metric, with, without string) analysis.Verdict {
	for _, p := range s.Pairs {
		if p.Metric == metric && p.With == with && p.Without == without {
			return p.Verdict
		}
	}
	return ""
}

// pairOf compares the memory of two variants.
func pairOf(t *testing.T, s *analysis.Report, with, without string) analysis.Pair {
	t.Helper()
	for _, p := range s.Pairs {
		if p.Metric == "memory" && p.With == with && p.Without == without {
			return p
		}
	}
	t.Fatalf("no pair of %s and %s", with, without)
	return analysis.Pair{}
}

// The blocks differ by up to 20 %, the variants by a constant factor. The change is the
// same in each block only if the values are paired by block.
func TestPairingTakesOutWhatABlockSharesByItsNumber(t *testing.T) {
	s := synth.ShortBlocks(6)
	s.Trials[s.Find("xdp-block", 2)].Invalid = "the server was throttled"
	sum := summarise(t, s.Write(t))
	c := pairOf(t, sum, "xdp-block", "userspace-block")
	if c.Blocks != 5 || c.HasInterval() {
		t.Errorf("%d blocks, interval %v; want the 5 that have both variants, and none", c.Blocks, c.HasInterval())
	}
	if math.Abs(float64(c.Measured)+40) > 1e-4 { // 45 against 75 MiB
		t.Errorf("memory changes by %v %%, want -40", float64(c.Measured))
	}
	if none := pairOf(t, sum, "userspace-block", "no-block"); none.Blocks != 6 {
		t.Errorf("the other two variants have %d blocks in common, want 6", none.Blocks)
	}
}

func TestOfTwoValidTrialsInABlockTheLastIsPaired(t *testing.T) {
	s := synth.ShortBlocks(2)
	again := s.Trials[s.Find("xdp-block", 1)]
	again.Server = synth.Grown(2)
	s.Trials = append(s.Trials, again)
	p := pairOf(t, summarise(t, s.Write(t)), "xdp-block", "userspace-block")
	if p.Blocks != 2 || !(p.Measured > -40) {
		t.Errorf("%d blocks, %v %%; want 2, one of them with twice the memory", p.Blocks, float64(p.Measured))
	}
}

func claimOf(t *testing.T, s *analysis.Report, id string) analysis.Claim {
	t.Helper()
	i := slices.IndexFunc(s.Claims, func(c analysis.Claim) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("no claim %s", id)
	}
	return s.Claims[i]
}

func TestWithoutACommonBlockNothingIsPaired(t *testing.T) {
	s := synth.OneBlock()
	for i := range s.Trials {
		s.Trials[i].Block = i + 1
	}
	sum := summarise(t, s.Write(t))
	c := claimOf(t, sum, "duration")
	unpaired := 100 * (sum.Variants[2].Duration.Harmonic/sum.Variants[1].Duration.Harmonic - 1)
	if c.Blocks != 0 || !strings.Contains(c.Note, "nothing is paired") || math.Abs(float64(c.Measured-unpaired)) > 1e-9 {
		t.Errorf("%d blocks, change %v, note %q; want %v", c.Blocks, c.Measured, c.Note, unpaired)
	}
}

func TestOutliersAreNamedAndKept(t *testing.T) {
	s := synth.ShortBlocks(6)
	s.Trials[s.Find("xdp-block", 3)].Server = synth.Grown(4)
	sum := summarise(t, s.Write(t))
	named := slices.ContainsFunc(sum.Outliers, func(o analysis.Outlier) bool {
		return o.Metric == "memory" && strings.HasSuffix(o.Trial, "-xdp-block") && o.Value == 180 && o.Score > 3.5
	})
	if !named {
		t.Errorf("180 MiB among 45 is not named: %+v", sum.Outliers)
	}
	if c := pairOf(t, sum, "xdp-block", "userspace-block"); c.Blocks != 6 || c.High < 0 {
		t.Errorf("the outlier's block is not in the interval: %d blocks, up to %v", c.Blocks, c.High)
	}
}

func TestMedianOverTrialsHasItsInterval(t *testing.T) {
	sum := summarise(t, synth.ShortBlocks(6).Write(t))
	v := sum.Variants[2]
	if v.Low == nil || !(v.Low.MemoryBytes.P90 < v.MemoryBytes.P90 && v.MemoryBytes.P90 < v.High.MemoryBytes.P90) {
		t.Fatalf("no interval around %v", v.MemoryBytes.P90)
	}
	var all []float64
	for _, m := range v.TrialMetrics {
		all = append(all, float64(m.MemoryBytes.P90))
	}
	// With six trials, it is from the least to the largest.
	if float64(v.Low.MemoryBytes.P90) != slices.Min(all) || float64(v.High.MemoryBytes.P90) != slices.Max(all) {
		t.Errorf("interval %v to %v of %v", v.Low.MemoryBytes.P90, v.High.MemoryBytes.P90, all)
	}
	if v.Low.BlockTime.CPUMeanUS.Known() {
		t.Error("a variant that refuses nobody has an interval of the cost")
	}
}
