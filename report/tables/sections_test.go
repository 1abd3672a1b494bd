package tables

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/report/analysis"
)

func TestTheBracketsAreExplainedForEachNumberOfTrials(t *testing.T) {
	of := func(name string, n int) analysis.Variant {
		return analysis.Variant{Name: name, Trials: n, Metrics: new(analysis.Metrics)}
	}
	s := &analysis.Summary{Blocks: 10, Variants: []analysis.Variant{of("a", 10), of("b", 8)}}
	if got := strings.Join(bracketsNote(s), ""); !strings.Contains(got, "Of 8 values it is number 1 and number 8") ||
		!strings.Contains(got, "of 10 values it is number 2 and number 9") {
		t.Errorf("the brackets are explained as %q", got)
	}
}
