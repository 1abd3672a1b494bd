package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/results"
)

func packCommand() *cobra.Command {
	var asJSON, withReport bool
	c := &cobra.Command{
		Use:   "pack RUN DIR",
		Short: "Copy a run to publish it, with its records compressed",
		Long: `Copies a run to the new folder DIR, with its records compressed and checksums of
its own, and prints DIR. It is read, reported, compared and verified as the run
is. The report is left out: draw it again there. With --report it is the other
way round: the copy has the report, and no records. A run that does not verify
is refused (exit code 4).`,
		Example: `  equic-bench pack results/runs/20260102T030405Z-paper published/paper
  equic-bench report published/paper
  equic-bench pack --report published/paper small/paper`,
		Args: arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := pack(c, args[0], args[1], withReport); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(map[string]string{"run": args[1]})
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), args[1])
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the new folder as JSON")
	c.Flags().BoolVar(&withReport, "report", false, "copy the report in place of the records, which are much larger")
	return c
}

func pack(c *cobra.Command, from, to string, withReport bool) error {
	v, err := results.Verify(c.Context(), from)
	if err != nil {
		return err
	}
	fromRecords, err := verifyFromRecords(c.Context(), from, v)
	if err != nil {
		return err
	}
	if !withReport { // it is not copied
		fromRecords = slices.DeleteFunc(fromRecords, func(f results.Finding) bool { return f.Check == "report" })
	}
	if broken := brokenChecks(slices.Concat(v.Findings, fromRecords)); len(broken) > 0 {
		return fmt.Errorf("%w: %s: %s; `equic-bench verify %s` names the files",
			errUnverified, from, strings.Join(broken, ", "), from)
	}
	if v.NoRecords && !withReport {
		return fmt.Errorf("%w: %s: its records are not there", errUnverified, from)
	}
	run, err := results.Open(from)
	if err != nil {
		return err
	}
	copyRun := results.Pack
	if withReport {
		copyRun = results.PackReport
	}
	err = copyRun(c.Context(), run, to)
	switch {
	case errors.Is(err, fs.ErrExist):
		return usage(c, "%s exists already: name a new folder", to)
	case errors.Is(err, results.ErrInside):
		return usage(c, "%s is inside the run: name a folder elsewhere", to)
	case errors.Is(err, results.ErrNoReport):
		return usage(c, "%s has no report: draw it first with `equic-bench report %s`", from, from)
	}
	return err
}
