package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/report"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

// errUnverified means that a check of the run failed.
var errUnverified = errors.New("not verified")

// mostFaults limits the files printed per check; --json has them all.
const mostFaults = 20

// verifyOptions are the flags of verify.
type verifyOptions struct {
	results string
	bin     string
	json    bool
}

func verifyCommand() *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify [RUN]",
		Short: "Check that a run is unchanged and its report follows from it",
		Long: `Checks that a run has ended and is sealed; that every file is the one of
SHA256SUMS and there is no other; that scenario, trials and records are those of
the manifest; that each rule for a valid trial has the recorded outcome; that
each trial of a search follows from those before it; that the binaries it used
are the ones beside this program; and that its report follows from its records
byte for byte. It changes nothing in the run. Without RUN it takes the newest.

A report that was not drawn yet is no failure; nor is a copy without records
(` + "`pack --report`" + `); nor are binaries that are not there or of another version,
unless --bin names their folder. Exit code 4 means that a check failed.`,
		Example: `  equic-bench verify results/runs/20260102T030405Z-paper
  equic-bench verify results/runs/20260102T030405Z-paper --bin bin`,
		Args: arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			run, err := chosenRun(o.results, args)
			if err != nil {
				return err
			}
			findings, err := o.verify(c, run)
			if err != nil {
				return err
			}
			return o.print(c.OutOrStdout(), run, findings)
		},
	}
	f := c.Flags()
	f.StringVar(&o.results, "results", defaultResults, "folder in which to look for the newest run")
	f.StringVar(&o.bin, "bin", "", "folder of the binaries that the run used: all must be there and the same "+
		"(default: that of equic-bench, where they may be missing)")
	f.BoolVar(&o.json, "json", false, "print the checks as JSON, with every file at fault")
	return c
}

// verify makes all checks.
func (o *verifyOptions) verify(c *cobra.Command, run string) ([]results.Finding, error) {
	with := results.Programs{Dir: o.bin, Version: programVersion(), Asked: c.Flags().Changed("bin")}
	if with.Asked {
		if info, err := os.Stat(o.bin); err != nil || !info.IsDir() {
			return nil, usage(c, "--bin %q is no folder", o.bin)
		}
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the folder of equic-bench, give --bin: %w", err)
		}
		with.Dir = filepath.Dir(self)
	}
	v, err := results.Verify(c.Context(), run)
	if err != nil {
		return nil, err
	}
	fromRecords, err := verifyFromRecords(c.Context(), run, v)
	if err != nil {
		return nil, err
	}
	return slices.Concat(v.Findings, fromRecords, []results.Finding{results.VerifyBinaries(v.Manifest, with)}), nil
}

// verifyFromRecords makes the checks that read the records of a run.
func verifyFromRecords(ctx context.Context, run string, v *results.Verification) ([]results.Finding, error) {
	searches := v.Manifest != nil && v.Manifest.Experiment.Search != nil
	if v.NoRecords {
		findings := []results.Finding{results.NeedsRecords("verdicts"), results.NeedsRecords("report")}
		if searches {
			findings = slices.Insert(findings, 1, results.NeedsRecords("search"))
		}
		return findings, nil
	}
	findings := []results.Finding{validity.Verify(v.Manifest, v.Trials, (&results.Run{Dir: run}).Until(ctx).Lines)}
	if searches {
		searched := &results.Run{Dir: run, Manifest: *v.Manifest, Trials: v.Trials}
		findings = append(findings, orchestrate.VerifySearch(searched.Until(ctx), analysis.JudgeAttack))
	}
	if err := ctx.Err(); err != nil { // the findings are those of records that were not read to their end
		return nil, fmt.Errorf("verify %s: %w", run, err)
	}
	drawn, err := report.Verify(ctx, run)
	return append(findings, drawn), err
}

// print prints the findings and the verdict, and returns the verdict as an error.
func (o *verifyOptions) print(w io.Writer, run string, findings []results.Finding) error {
	failed := brokenChecks(findings)
	var verdict error
	if len(failed) > 0 {
		verdict = fmt.Errorf("%w: %s: %s", errUnverified, run, strings.Join(failed, ", "))
	}
	if !o.json {
		return errors.Join(printFindings(w, run, findings, len(failed)), verdict)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return errors.Join(e.Encode(struct {
		Run      string            `json:"run"`
		Verified bool              `json:"verified"`
		Checks   []results.Finding `json:"checks"`
	}{run, len(failed) == 0, findings}), verdict)
}

// brokenChecks returns the names of the failed checks.
func brokenChecks(findings []results.Finding) []string {
	var names []string
	for _, f := range findings {
		if f.Status == results.Broken {
			names = append(names, f.Check)
		}
	}
	return names
}

// printFindings prints a line for each check and, at the end, the verdict. Below a
// failed check, it lists the files and explains the failure.
func printFindings(w io.Writer, run string, findings []results.Finding, failed int) error {
	_, err := io.WriteString(w, findingsText(run, findings, failed, terminalWidth(w)))
	return err
}

// findingsText returns the findings for a terminal with that many columns; zero means
// no limit.
func findingsText(run string, findings []results.Finding, failed, width int) string {
	const indent = 28
	b := new(strings.Builder)
	more := func(text string) { fmt.Fprintf(b, "%*s%s\n", indent, "", wrapped(text, indent, width)) }
	for _, f := range findings {
		status := string(f.Status)
		if f.Status == results.Broken {
			status = "FAILED"
		}
		fmt.Fprintf(b, "%-11s %-15s %s\n", status, f.Check, wrapped(f.Evidence, indent, width))
		for i, fault := range f.Faults {
			if i == mostFaults {
				more(fmt.Sprintf("... and %d more; --json names all", len(f.Faults)-i))
				break
			}
			more(fault.File + ": " + oneLine(errors.New(fault.Fault)))
		}
		if f.Means != "" {
			more(f.Means)
		}
	}
	if failed > 0 {
		fmt.Fprintf(b, "not verified: %s: %d of %s failed\n", run, failed, plural(len(findings), "check"))
	} else {
		fmt.Fprintf(b, "verified: %s\n", run)
	}
	return b.String()
}
