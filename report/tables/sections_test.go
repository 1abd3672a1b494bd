package tables

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
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

func TestWhenTheServerValidatesAddressesIsInTheSetUp(t *testing.T) {
	for retry, want := range map[string]string{
		"": "", "always": "always", "64": "above 64 handshakes in progress from addresses that are not validated",
	} {
		got := ""
		for _, row := range Loads(&results.Experiment{ServerRetry: retry}) {
			if row[0] == "Retry" {
				got = row[1]
			}
		}
		if got != want {
			t.Errorf("server.retry %q: %q, want %q", retry, got, want)
		}
	}
}
