package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// describe prints what a run would do.
func (o *runOptions) describe(w io.Writer, s *scenarios.Scenario) error {
	plan := orchestrate.Plan(s, o.seed)
	if o.json {
		return json.NewEncoder(w).Encode(struct {
			Scenario   string                 `json:"scenario"`
			Seed       uint64                 `json:"seed"`
			ExpectedNS *time.Duration         `json:"expected_ns"` // null in a closed loop
			Trials     []results.PlannedTrial `json:"trials"`
		}{s.Name, o.seed, expected(s, len(plan)), plan})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // Flush returns the error
	long := ", each as long as its requests take, which nobody knows before (a client without a rate starts each " +
		"after its last)"
	if all := expected(s, len(plan)); all != nil {
		long = fmt.Sprintf(" of %s, %s in all", clock(s.ExpectedTrial()), clock(*all))
	}
	line("%s: %s%s, and some seconds around each%s", s.Name, plural(len(plan), "trial"), long, settles(s))
	line("")
	line("server\t%s for each response, quota %d, key %s, CPUs %s, memory %s",
		scenarios.Size(s.Server.Body), s.Server.Quota, s.Server.Key, host.FormatCPUs(s.Server.CPUs), scenarios.Size(s.Server.Memory))
	line("sequential\t%s", load(s.Sequential))
	if s.Parallel.Count > 0 {
		line("attack\t%s", load(s.Parallel))
	} else {
		line("attack\tnone")
	}
	if stretch := s.Trial.Alternate; stretch > 0 {
		line("measured\tin half of its stretches of %s, so that the report can say what measuring costs", stretch)
	}
	line("order\tdrawn from seed %d", o.seed)
	line("")
	for _, p := range plan {
		line("trial %d\tblock %d, %s", p.Index, p.Block, p.Label())
	}
	return t.Flush()
}

// expected is how long so many trials take by schedule; nil in a closed loop,
// which has none.
func expected(s *scenarios.Scenario, trials int) *time.Duration {
	if s.Sequential.Rate == 0 {
		return nil
	}
	all := time.Duration(trials) * s.ExpectedTrial()
	return &all
}

// settles says how long the machine may take to settle.
func settles(s *scenarios.Scenario) string {
	if s.Trial.Settle <= 0 {
		return ""
	}
	return fmt.Sprintf(", of which up to %s to settle", s.Trial.Settle)
}

// load says what a group of clients does.
func load(c scenarios.Clients) string {
	who := fmt.Sprintf("%s on CPUs %s, %s each", plural(c.Count, "client"), host.FormatCPUs(c.CPUs), plural(c.Requests, "request"))
	if c.Rate == 0 {
		return who + ", each after the last"
	}
	return fmt.Sprintf("%s at %g/s, from %s to %s", who, c.Rate, clock(c.Delay), clock(c.End()))
}

// clock is a time as people read it on one: "1:45".
func clock(t time.Duration) string {
	seconds := int(t.Round(time.Second) / time.Second)
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
