package tables

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/report/analysis"
)

func TestWarningsThatDifferInNumbersAreOneKind(t *testing.T) {
	s := &analysis.Summary{
		Warnings: []string{"CPU 0 is shared", "CPU 3 is shared"},
		Trials: []analysis.Trial{
			{Name: "001-a", Warnings: []string{"server lost 1,150 datagrams", "a clock moved"}},
			{Name: "002-b", Warnings: []string{"server lost 3 datagrams", "# of nothing", "5 of nothing"}},
		},
	}
	want := []string{
		"CPU 0 is shared", "CPU 3 is shared", "server lost 3 to 1,150 datagrams (2 times)", "001-a: a clock moved",
		"002-b: # of nothing", "002-b: 5 of nothing",
	}
	if diff := cmp.Diff(want, warningLines(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	all := []string{"001-a: server lost 1,150 datagrams", "002-b: server lost 3 datagrams"}
	if diff := cmp.Diff(all, Warnings(s)[2].All); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
