package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

func listCommand() *cobra.Command {
	var root string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the runs, the newest first",
		Args:  arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			runs, err := listRuns(root)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(map[string][]listedRun{"runs": runs})
			}
			if len(runs) == 0 {
				c.PrintErrf("no run under %s: make one with `equic-bench run scenarios/quick.yaml`\n", root)
				return nil
			}
			return printRuns(c.OutOrStdout(), runs)
		},
	}
	c.Flags().StringVar(&root, "results", defaultResults, "folder of the run directories")
	c.Flags().BoolVar(&asJSON, "json", false, "print the runs as JSON")
	return c
}

// listedRun is a run directory.
type listedRun struct {
	Run      string    `json:"run"` // path
	Scenario string    `json:"scenario,omitempty"`
	Runtime  string    `json:"runtime,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Planned  int       `json:"trials_planned"`
	Valid    int       `json:"trials_valid"`
	State    runState  `json:"state"`
}

// runState is how far a run has come.
type runState string

// The states.
const (
	runWhole      runState = "whole"      // every planned trial is valid
	runInvalid    runState = "invalid"    // it ended, and a trial stayed invalid
	runUnfinished runState = "unfinished" // it is in progress, or can be resumed
	runUnreadable runState = "unreadable"
)

// listRuns returns the runs under a folder, the newest first.
func listRuns(root string) ([]listedRun, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	all := []listedRun{}
	for _, e := range slices.Backward(entries) {
		dir := filepath.Join(root, e.Name())
		run, err := results.Open(dir)
		switch {
		case errors.Is(err, results.ErrNoRun):
			continue
		case err != nil:
			all = append(all, listedRun{Run: dir, State: runUnreadable})
		default:
			all = append(all, listed(run))
		}
	}
	return all, nil
}

func listed(run *results.Run) listedRun {
	m := &run.Manifest
	l := listedRun{
		Run: run.Dir, Scenario: m.Scenario, Runtime: m.Runtime.Name, Started: m.Started, Planned: len(m.Plan),
		Valid: run.ValidTrials(),
	}
	over := 0 // trials that are valid, or have no attempt left
	for _, t := range run.Trials {
		if t.Valid || t.Attempt == orchestrate.Attempts {
			over++
		}
	}
	switch {
	case l.Valid == l.Planned:
		l.State = runWhole
	case over == l.Planned:
		l.State = runInvalid
	default:
		l.State = runUnfinished
	}
	return l
}

func printRuns(w io.Writer, runs []listedRun) error {
	t := tables.NewTable(4, 5, "run", "runtime", "state", "valid", "planned")
	for _, r := range runs {
		t.AppendRow(r.Run, r.Runtime, string(r.State), r.Valid, r.Planned)
	}
	_, err := fmt.Fprintln(w, t.Text(terminalWidth(w)))
	return err
}
