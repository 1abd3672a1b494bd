package tables

import (
	"cmp"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// serversTable returns what each server can serve on its CPUs, and what a request costs
// both sides. It has no row if no capacity was measured.
func serversTable(r *analysis.Report) Titled {
	t := NewTitled("What a server can serve", 1, "server", "requests/s", "server CPU per request (ms)",
		"client CPU per request (ms)", "server CPU per refusal after the handshake (ms)")
	for i := range r.Manifest.Capacities {
		c := &r.Manifest.Capacities[i]
		if c.Given || c.ByCPUTimePerS == 0 {
			continue
		}
		cpus := cmp.Or(c.ServerCPUs, max(1, len(serverOf(r, c.Point).ServerCPUs))) // older runs have no ServerCPUs
		refusal := analysis.Unknown()
		if c.RefusingNS > 0 {
			refusal = analysis.Number(c.RefusingNS / 1e6)
		}
		t.AppendRow(table.Row{
			cmp.Or(c.Point, "the server"), analysis.Number(c.ServingPerS).Short(),
			analysis.Number(1e3 * float64(cpus) / c.ByCPUTimePerS).Short(), analysis.Number(c.ServingClientNS / 1e6).Short(),
			refusal.Short(),
		})
	}
	return t
}

// serverOf returns the experiment of a cell with the server of a capacity.
func serverOf(r *analysis.Report, point string) *results.Experiment {
	for i := range r.Manifest.Cells {
		if c := &r.Manifest.Cells[i]; c.Server == point {
			return &c.Experiment
		}
	}
	return &r.Manifest.Experiment
}

// serversWords explains the table of servers.
func serversWords() []string {
	return []string{"Each request has a connection of its own, so most of its cost is that of the handshake. A dash in " +
		"the last column is a server that refuses nothing by itself."}
}
