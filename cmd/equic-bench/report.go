package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/report"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/figures"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

// The output formats of report.
const (
	formatText    = "text"
	formatGoBench = "gobench"
)

// reportOptions are the flags of report.
type reportOptions struct {
	results string
	format  string
	json    bool
	lang    string
	claims  string
	out     string
	plot    bool
	all     bool
}

func reportCommand() *cobra.Command {
	var o reportOptions
	var show showOptions
	c := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Draw the figures of a run from its records, and print its answer",
		Long: `Draws every figure and table of a run again from its raw records, into the
run's folder report/, and prints the main table, or with --all every table, the
verdicts on the claims, and the warnings. Without RUN it takes the newest run.
report.html there is all of it on one page, for any browser, without a network.
The figures are of the size and type of a two-column paper's, as SVG, PDF and
PNG, each with its data as CSV; report.md has their captions.

The claims of the paper eQUIC Gateway stand beside what was measured, those of
another paper with --claims FILE (docs/extending.md has its keys), and published
costs of dropping packets with --claims anchors (of scenarios/anchors.yaml).

With --format gobench it prints a line of Go benchmark results for each valid
trial in place of the table: benchstat compares two runs, or with
-col /variant the variants of one. It does not pair trials by block, as the
tables do.`,
		Example: `  equic-bench report --open
  equic-bench report results/runs/20260102T030405Z-paper --serve 127.0.0.1:8080
  equic-bench report results/runs/20260102T030405Z-paper --format gobench > old.txt
  benchstat old.txt new.txt`,
		Args: show.arguments,
		RunE: func(c *cobra.Command, args []string) error {
			args = show.rest(args)
			if err := o.check(c); err != nil {
				return err
			}
			if err := show.check(c); err != nil {
				return err
			}
			judged, err := o.read(c)
			if err != nil {
				return err
			}
			run, err := chosenRun(o.results, args)
			if err != nil {
				return err
			}
			summary, err := report.Write(c.Context(), run, report.Options{Lang: o.lang, Claims: judged, Out: o.out})
			if err != nil {
				return err
			}
			dir := o.out
			if dir == "" {
				dir = filepath.Join(run, results.ReportDir)
				if err := results.SweepReports(run); err != nil { // this report is complete
					c.PrintErrln("warning:", oneLine(err))
				}
			}
			if err := o.print(c.OutOrStdout(), dir, summary); err != nil {
				return err
			}
			if err := nextSteps(c.ErrOrStderr(), run, dir); err != nil {
				return err
			}
			return show.show(c, dir)
		},
	}
	f := c.Flags()
	f.StringVar(&o.results, "results", defaultResults, "folder in which to look for the newest run")
	f.StringVar(&o.format, "format", formatText,
		"what to print: text (tables), or gobench (Go benchmark results of each trial, for benchstat)")
	f.StringVar(&o.lang, "lang", figures.English,
		"language of the figures' texts: en, or pt (Portuguese, the paper's); all else is in English")
	f.StringVar(&o.claims, "claims", "", "`FILE` with the claims to judge, or anchors, in place of those of eQUIC Gateway")
	f.StringVar(&o.out, "out", "", "`FOLDER` for the report, new or with an older one (default: report/ in the run)")
	f.BoolVar(&o.all, "all", false, "print every table, verdict and warning, not just the main table")
	f.BoolVar(&o.json, "json", false, "print summary.json in place of the tables")
	f.BoolVar(&o.plot, "plot", false, "plot the throughput of the honest clients on the terminal, and print no tables")
	show.flags(c)
	return c
}

func (o *reportOptions) check(c *cobra.Command) error {
	switch {
	case o.format != formatText && o.format != formatGoBench:
		return usage(c, "format %q is unknown, use %s or %s", o.format, formatText, formatGoBench)
	case !slices.Contains(figures.Languages(), o.lang):
		return usage(c, "language %q is unknown, use %s", o.lang, strings.Join(figures.Languages(), " or "))
	case o.json && c.Flags().Changed("format"):
		return usage(c, "--json and --format exclude each other")
	case o.plot && (o.json || o.all || c.Flags().Changed("format")):
		return usage(c, "--plot excludes --all, --json and --format")
	case o.all && (o.json || o.format == formatGoBench):
		return usage(c, "--all excludes --json and --format gobench")
	}
	return nil
}

// read reads the file of claims; nil if none was named.
func (o *reportOptions) read(c *cobra.Command) (*claims.File, error) {
	if o.claims == "" {
		return nil, nil
	}
	f, err := claims.Load(o.claims)
	if err != nil {
		return nil, usage(c, "%v", err)
	}
	return f, nil
}

// print prints the report in a folder.
func (o *reportOptions) print(w io.Writer, dir string, s *analysis.Report) error {
	switch {
	case o.json:
		text, err := os.ReadFile(filepath.Join(dir, report.SummaryFile))
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	case o.format == formatGoBench:
		return tables.GoBench(w, s)
	case o.plot:
		return plot(w, s)
	case o.all:
		return tables.Text(w, s, terminalWidth(w))
	}
	return tables.Brief(w, s, terminalWidth(w))
}

// plot plots a report on w, in colour if w is a terminal.
func plot(w io.Writer, s *analysis.Report) error {
	width := terminalWidth(w)
	return tables.Plot(w, s, width, width > 0 && os.Getenv("NO_COLOR") == "")
}

// chosenRun returns the run that was named, or the newest.
func chosenRun(root string, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	return results.Newest(root)
}
