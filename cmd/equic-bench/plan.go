package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// describe prints what a run would do.
func (o *runOptions) describe(w io.Writer, s *scenarios.Scenario) error {
	plan, most := orchestrate.PlanAfter(s, o.seed, nil)
	if o.json {
		mostOfSearch := most
		if s.Search == nil {
			mostOfSearch = 0
		}
		return json.NewEncoder(w).Encode(struct {
			Scenario   string                 `json:"scenario"`
			Seed       uint64                 `json:"seed"`
			ExpectedNS *time.Duration         `json:"expected_ns"` // null in a closed loop; for a search the maximum
			Trials     []results.PlannedTrial `json:"trials"`      // for a search the first round
			MostTrials int                    `json:"most_trials,omitempty"`
		}{s.Name, o.seed, expected(s, plan, most), plan, mostOfSearch})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // Flush returns the error
	line("%s: %s%s, and some seconds around each%s", s.Name, trials(s, o.seed), duration(s, plan, most), settles(s))
	line("")
	for _, c := range s.Cells() {
		if c.Cell != "" {
			line("%s\t%s", c.Cell, strings.Join(c.Set, ", "))
		}
		describeCell(line, c)
	}
	line("order\tdrawn from seed %d", o.seed)
	line("")
	for _, p := range plan {
		line("trial %d\tblock %d, %s", p.Index, p.Block, p.Label())
	}
	if more := most - len(plan); more > 0 {
		line("then\tat most %d more, depending on the results of these", more)
	}
	return t.Flush()
}

// trials returns the number of trials in words; for a search, the maximum.
func trials(s *scenarios.Scenario, seed uint64) string {
	plan, most := orchestrate.PlanAfter(s, seed, nil)
	if most > len(plan) {
		return "at most " + plural(most, "trial")
	}
	return plural(most, "trial")
}

// describeCell prints the server and the load of a cell.
func describeCell(line func(format string, args ...any), s *scenarios.Scenario) {
	quota := ""
	if !s.Server.Foreign() || s.Server.SharesCounts() {
		quota = fmt.Sprintf(" quota %d,", s.Server.Quota)
	}
	line("server\t%s for each response,%s key %s, CPUs %s, memory %s",
		scenarios.Size(s.Server.Body), quota, s.Server.Key, cpuText(s.Server.CPUs), scenarios.Size(s.Server.Memory))
	group := func(name string, c scenarios.Clients) {
		if c.Count == 0 {
			line("%s\tnone", name)
			return
		}
		line("%s\t%s", name, load(c))
	}
	group("sequential", s.Sequential)
	group("attack", s.Parallel)
	for _, c := range s.Background {
		group("and", c)
	}
	if s.Neighbour.Count > 0 {
		group("neighbour", s.Neighbour)
	}
	if search := s.Search; search != nil {
		line("search\tfor the strongest attack, from %gx to %gx, that leaves the sequential clients %g %% of their "+
			"throughput, at most %gx their p99 and %s lost", search.From, search.To, search.KeepPercent, search.P99, plural(search.Lost, "request"))
	}
	if stretch := s.Trial.Alternate; stretch > 0 {
		line("measured\tin half of its stretches of %s, so that the report can say what measuring costs", stretch)
	}
}

// duration returns in words how long the trials of a plan take. For a search, most is the largest possible
// number of trials; otherwise it is the length of the plan.
func duration(s *scenarios.Scenario, plan []results.PlannedTrial, most int) string {
	var least time.Duration
	for _, p := range plan {
		c := s.CellNamed(p.Cell)
		var earliest time.Duration
		for _, group := range c.Groups() {
			earliest = max(earliest, group.Earliest())
		}
		least += c.Trial.Startup + earliest
	}
	all := expected(s, plan, most)
	switch {
	case all == nil && least > time.Duration(len(plan))*s.Trial.Startup:
		return fmt.Sprintf(", %s or more in all (each is as long as its requests take)", clock(least))
	case all == nil:
		return ", each as long as its requests take, which is not yet known (a client without a rate starts each after " +
			"its last)"
	case len(s.Cells()) > 1:
		return fmt.Sprintf(" in %d cells, %s in all", len(s.Cells()), clock(*all))
	}
	return fmt.Sprintf(" of %s, %s in all", clock(s.ExpectedTrial()), clock(*all))
}

// cpuText formats CPUs as a scenario does; without CPUs, the run chooses them.
func cpuText(cpus []int) string {
	if len(cpus) == 0 {
		return scenarios.Auto
	}
	return host.FormatCPUs(cpus)
}

// expected returns how long the trials take by schedule. It is nil if the end of a group of clients is known
// only during the run, as in a closed loop. The plan of a search is the first round, which has one trial of
// each kind. Its time is scaled up to the largest possible number of trials.
func expected(s *scenarios.Scenario, plan []results.PlannedTrial, most int) *time.Duration {
	var all time.Duration
	for _, p := range plan {
		c := s.CellNamed(p.Cell)
		if slices.ContainsFunc(c.Groups(), endsByItself) {
			return nil
		}
		all += c.ExpectedTrial()
	}
	all = time.Duration(float64(all) * (float64(most) / float64(len(plan)))) // a product of integers can overflow
	return &all
}

// endsByItself reports whether the end of a group is known only during the run: it has a
// number of requests, and no rate that is known before.
func endsByItself(c scenarios.Clients) bool {
	return c.Count > 0 && c.Duration == 0 && (c.ClosedLoop() || c.Strength > 0)
}

// settles returns in words how long the machine may take to settle.
func settles(s *scenarios.Scenario) string {
	if s.Trial.Settle <= 0 {
		return ""
	}
	return fmt.Sprintf(", of which up to %s to settle", s.Trial.Settle)
}

// load describes a group of clients.
func load(c scenarios.Clients) string {
	each := plural(c.Requests, "request") + " each"
	if c.Duration > 0 {
		each = "for " + c.Duration.String()
	}
	noun := "client"
	if c.Kind.Flood() || c.Kind == record.Hold {
		noun = string(c.Kind) + " client"
	}
	who := fmt.Sprintf("%s on CPUs %s, %s", plural(c.Count, noun), cpuText(c.CPUs), each)
	switch {
	case c.Strength > 0:
		upTo := ""
		if c.UpTo {
			upTo = "up to "
		}
		return fmt.Sprintf("%s, together at %s%gx the capacity of the server, from %s", who, upTo, c.Strength, clock(c.Delay))
	case c.Max:
		return fmt.Sprintf("%s, as fast as possible from %s to %s", who, clock(c.Delay), clock(c.End()))
	case c.Pace > 0:
		return fmt.Sprintf("%s, each %s after the start of the last, or when that has ended", who, c.Pace)
	case c.Rate == 0:
		return who + ", each after the last"
	}
	return fmt.Sprintf("%s at %g/s, from %s to %s", who, c.Rate, clock(c.Delay), clock(c.End()))
}

// clock formats a time as a clock does: "1:45".
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
