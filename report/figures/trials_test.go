package figures

import (
	"testing"

	"github.com/equic-bench/equic-bench/report/analysis"
)

func TestIntervalsAreOfTheVariantsThatHaveThem(t *testing.T) {
	of := func(name string, n int) analysis.Variant {
		return analysis.Variant{Name: name, Trials: n, Metrics: new(analysis.Metrics)}
	}
	few := &analysis.Summary{Blocks: 6, Variants: []analysis.Variant{of("a", 6), of("b", 4)}}
	if got := trialsWithInterval(few, ""); got != "6" {
		t.Errorf("an interval is said to be of %s trials, want 6", got)
	}
	s := &analysis.Summary{Blocks: 10, Variants: []analysis.Variant{of("a", 10), of("b", 8)}}
	if got := trialsWithInterval(s, ""); got != "8 to 10" {
		t.Errorf("intervals are said to be of %s trials, want 8 to 10", got)
	}
}
