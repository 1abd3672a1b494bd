package tables

import (
	"testing"

	"github.com/equic-bench/equic-bench/report/internal/synth"
)

func TestARunIsOneSentence(t *testing.T) {
	alone := synth.OneBlock()
	alone.Trials = alone.Trials[:1]
	alone.Trials[0].Variant = "userspace-early"
	alone.Experiment.Variants = []string{"userspace-early"}
	for name, tt := range map[string]struct {
		run  *synth.Run
		want string
	}{
		"one block": {synth.OneBlock(), "In one trial of each variant, throughput changes by +11.2 % " +
			"from userspace-block to xdp-block " +
			`(eQUIC Gateway: +30.9 %); the verdicts on its 5 comparisons are "unsure" (1) and "estimate only" (4).`},
		"ten": {synth.ShortBlocks(10), "Over 10 trials of each variant, throughput changes by +26.6 % " +
			"(95 % interval +22.0 % to +31.0 %) " +
			`from userspace-block to xdp-block (eQUIC Gateway: +30.9 %); the verdicts on its 5 comparisons are ` +
			`"consistent" (1), "same direction, stronger" (1), "same direction, weaker" (1), "contradicted" (1) and "unsure" (1).`},
		"a variant without a claim": {
			alone, "In one trial of each variant, throughput is 40.0 requests/s with userspace-early.",
		},
		"two loads": {synth.TwoLoads(), "In one trial of each variant, throughput changes by +15.1 % " +
			"from userspace-block to xdp-block " +
			`(eQUIC Gateway: +30.9 %); the verdicts on its 18 comparisons are "estimate only" (18).`},
	} {
		if got := Quote(judged(t, tt.run.Write(t))); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tt.want)
		}
	}
}
