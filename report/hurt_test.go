package report

import (
	"math"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
)

// A change with verdict unsure is still shown.
func TestAnAttackThatHurtNobodyIsSaidFirst(t *testing.T) {
	for _, tt := range []struct {
		name     string
		requests int // of each attacker, 50 a second
		begins   string
		advice   string
	}{
		{
			"short", 40, "The attack lasted 0.78 s, too short to tell its effect in bins of 1 s from chance",
			"Use a longer attack",
		},
		{
			"weak", 120, "No variant was below 90 % of its throughput before the attack",
			"--set clients.parallel.rate=100/s --set clients.parallel.requests=240 --set clients.parallel.max_in_flight=2000",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := synth.ShortBlocks(1)
			run.Experiment.Parallel.Requests, run.Experiment.Parallel.MaxInFlight = tt.requests, 1000
			dir := synth.Served(run, string(record.NoBlock), string(record.UserspaceBlock)).Write(t)
			s := write(t, dir)
			for _, c := range s.Claims {
				unsure := c.Experiment == "mixed"
				if got := c.Verdict == analysis.Unsure; got != unsure || unsure && math.IsNaN(float64(c.Measured)) &&
					c.ID != "recovery" {
					t.Errorf("%s is %s, with a change of %v", c.ID, c.Verdict, float64(c.Measured))
				}
			}
			var text strings.Builder
			testkit.Must(t, tables.Text(&text, s, 0))
			for name, page := range map[string]string{
				"text": text.String(), MarkdownFile: string(reported(t, dir, MarkdownFile)),
				HTMLFile: string(reported(t, dir, HTMLFile)),
			} {
				words, table := strings.Index(page, tt.begins), strings.LastIndex(page, "+30.9 %")
				if words < 0 || table < words {
					t.Errorf("%s says it at byte %d, and has the table of the claims at byte %d", name, words, table)
				}
				if !strings.Contains(page, tt.advice) {
					t.Errorf("%s does not say what to do", name)
				}
			}
		})
	}
}
