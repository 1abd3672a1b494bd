package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/compare"
	"github.com/equic-bench/equic-bench/report/analysis"
)

// The results of compare other than "no regression".
var (
	errRegression = errors.New("a regression")
	errUnsure     = errors.New("unsure")
)

// compareFormats maps names of formats to writers of a comparison.
var compareFormats = map[string]func(*compare.Comparison, io.Writer) error{
	"text":     func(c *compare.Comparison, w io.Writer) error { return c.Text(w, terminalWidth(w)) },
	"markdown": (*compare.Comparison).Markdown, "json": (*compare.Comparison).JSON,
}

func compareCommand() *cobra.Command {
	var o compare.Options
	var threshold, format string
	var asJSON bool
	c := &cobra.Command{
		Use:   "compare BASE NEW",
		Short: "Report what changed between two runs, for people and CI",
		Long:  compareAbout(),
		Example: `  equic-bench compare results/runs/20260102T030405Z-paper results/runs/20260103T030405Z-paper
  equic-bench compare BASE NEW --threshold 10% --metrics cpu,memory-peak --format markdown`,
		Args: arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if asJSON {
				if c.Flags().Changed("format") && format != "json" {
					return usage(c, "--json and --format %s do not go together", format)
				}
				format = "json"
			}
			write, known := compareFormats[format]
			if !known {
				return usage(c, "format %q is unknown, use text, markdown or json", format)
			}
			var err error
			if o.Threshold, err = parsePercent(threshold); err != nil {
				return usage(c, "--threshold: %w", err)
			}
			o.Base, o.New = args[0], args[1]
			found, err := compare.Runs(c.Context(), o)
			if errors.Is(err, compare.ErrMetric) {
				return usage(c, "--metrics: %w", err)
			}
			if err != nil {
				return err
			}
			if err := write(found, c.OutOrStdout()); err != nil {
				return err
			}
			return outcome(found)
		},
	}
	f := c.Flags()
	f.StringVar(&threshold, "threshold", "5%", "the least change that matters")
	f.StringSliceVar(&o.Metrics, "metrics", compare.DefaultMetrics(),
		"metrics to compare, with commas between them, or all")
	f.BoolVar(&o.Force, "force", false, "compare runs of another scenario, kernel, CPU or runtime too")
	f.StringVar(&format, "format", "text", "text, markdown or json")
	f.BoolVar(&asJSON, "json", false, "the same as --format json")
	return c
}

func compareAbout() string {
	var b strings.Builder
	b.WriteString(`Compares two run directories by their raw records, each variant with itself:
which metrics changed, which did not, and which are undecided. A row is

  changed      p is 0.05 or less after Holm's correction for all rows, and the
               typical change is as large as the threshold
  not changed  the 95 % interval of the change is inside the threshold
  unsure       all else; more trials make it narrower (run --repetitions)

It refuses runs that differ in scenario, kernel, CPU, runtime or XDP mode. Exit
codes: 0 no regression, 5 a metric got worse, 6 none did, but a row is unsure;
2 the runs cannot be compared.

Metrics:
`)
	for _, m := range analysis.ComparedMetrics() {
		name, about, _ := strings.Cut(compare.Describe(m), ": ")
		about, better, _ := strings.Cut(about, "; ")
		fmt.Fprintf(&b, "  %s: %s\n      %s\n", name, better, about)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// outcome returns the error for a comparison that found a regression or is inconclusive.
func outcome(c *compare.Comparison) error {
	switch c.Verdict {
	case compare.Regression:
		return fmt.Errorf("%w: %s", errRegression, c.Cause())
	case compare.Undecided:
		return fmt.Errorf("%w: %s", errUnsure, c.Cause())
	case compare.NoRegression:
	}
	return nil
}

// parsePercent reads "5%" as 0.05.
func parsePercent(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || !(value > 0) || math.IsInf(value, 1) {
		return 0, fmt.Errorf("%q is not a percentage above zero; write it as 5%%", text)
	}
	return value / 100, nil
}
