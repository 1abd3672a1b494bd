package validity

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Runs of earlier versions have trials whose server ran without a probe.
func TestAnUnmeasuredServerIsAskedForWhatCanBeKnown(t *testing.T) {
	whole := nodeEvidence{server: &record.Server{}, gateway: &record.Gateway{}}
	measured, bare, counter := whole, whole, whole
	measured.probe, bare.server, counter.gateway = &record.Probe{}, nil, nil
	e := &evidence{experiment: new(results.Experiment), variant: record.XDPBlock, unmeasured: true}
	for name, test := range map[string]struct {
		node nodeEvidence
		says string // empty if it is complete
	}{
		"it is complete without a probe": {whole, ""},
		"it was measured":                {measured, "was measured, against the plan"},
		"it leaves no totals":            {bare, "left no server record"},
		"its gateway leaves no totals":   {counter, "left no gateway record"},
	} {
		if got := test.node.serverIncomplete(e); got != test.says {
			t.Errorf("%s: %q, want %q", name, got, test.says)
		}
	}
	if ok, facts := generatorNotBottleneck(e); !ok || !strings.HasPrefix(facts, "not asked") {
		t.Errorf("whether the generator was the bottleneck: %v, %q", ok, facts)
	}
	if said := e.notMeasured(); !strings.Contains(said, "not measured, as planned") {
		t.Errorf("what is asked of its probe: %q", said)
	}
}
