package tables

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
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

func TestTheNetworkIsDescribedUnlessItIsIPv4(t *testing.T) {
	for family, want := range map[record.Family]string{
		"":                "",
		record.FamilyIPv6: "IPv6, a, b; a client is a /64",
		record.FamilyBoth: "IPv4 and IPv6, a, b; the clients of each group use them in turn",
	} {
		rows := networkRows(&results.Experiment{Family: family, Subnets: []string{"a", "b"}})
		if (len(rows) > 0) != (want != "") || len(rows) > 0 && !strings.Contains(rows[0][1], want) {
			t.Errorf("%q: %q, want %q", family, rows, want)
		}
	}
}

func TestAttackersWithSeveralAddressesAreNoFewClients(t *testing.T) {
	load := results.Load{Clients: 4, Requests: 10, RatePerSecond: 5}
	if got := LoadWords(load); strings.Contains(got, "address") {
		t.Errorf("one address each: %q", got)
	}
	load.Addresses = 1000
	if got, want := LoadWords(load), "each from 1,000 addresses in turn, each of which counts as a client"; !strings.HasSuffix(got, want) {
		t.Errorf("%q, want %q at its end", got, want)
	}
}
