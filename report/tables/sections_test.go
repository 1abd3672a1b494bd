package tables

import (
	"slices"
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

// A ratio of two medians need not lie between the ratios of their bounds: a figure made of
// two others is one of each trial.
func TestEachMedianOfTheReferenceRunIsWithinItsInterval(t *testing.T) {
	intervals := 0
	for _, p := range judged(t, "../../results/reference/paper").Parts {
		for i := range p.Summary.Variants {
			v := &p.Summary.Variants[i]
			for _, m := range analysis.MetricsWhere(func(*analysis.Metric) bool { return true }) {
				low, median, high := m.Value(v.Low), m.Value(v.Metrics), m.Value(v.High)
				if !low.Known() || !high.Known() {
					continue
				}
				if intervals++; median < low || median > high {
					t.Errorf("%s of %s: %v, and its interval is %v to %v", m.ID, v.Name, median, low, high)
				}
			}
		}
	}
	if intervals < 100 {
		t.Errorf("%d intervals", intervals)
	}
}

func TestTheHostsOfASwarmAreInTheSetUp(t *testing.T) {
	m := &results.Manifest{}
	m.Runtime.Hosts = []results.Host{
		{Name: "a", Role: "server", Address: "192.0.2.1", CPUs: 8, MemoryBytes: 16 << 30, Engine: "28.2.2"},
		{Name: "b", Role: "clients", Address: "192.0.2.2", CPUs: 2, MemoryBytes: 4 << 30, Engine: "28.2.2"},
	}
	var got []string
	for _, row := range SetUp(&analysis.Summary{Manifest: m}) {
		if strings.HasPrefix(row[0], "host of the ") {
			got = append(got, row[0]+": "+row[1])
		}
	}
	want := []string{
		"host of the server: a (192.0.2.1), 8 CPUs, 16,384 MiB of memory, engine 28.2.2",
		"host of the clients: b (192.0.2.2), 2 CPUs, 4,096 MiB of memory, engine 28.2.2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
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
