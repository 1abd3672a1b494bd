package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/scenarios"
)

func validateCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "validate SCENARIO",
		Short:   "Check a scenario file, and say everything that is wrong with it",
		Example: "  equic-bench validate scenarios/paper.yaml",
		Args:    arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := scenarios.Load(args[0])
			var warnings []string
			if err == nil {
				warnings = append(s.Warnings(), sharedCores(s, localPlatform())...)
			}
			if asJSON {
				return errors.Join(err, printValidity(c.OutOrStdout(), args[0], warnings, err))
			}
			if err != nil {
				return err
			}
			warn(c.ErrOrStderr(), warnings)
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: valid\n", args[0])
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print errors and warnings as JSON, too")
	return c
}

// sharedCores warns if server and clients would share cores here.
func sharedCores(s *scenarios.Scenario, here orchestrate.Platform) []string {
	server, clients := orchestrate.Place(s, here)
	return orchestrate.SharedCores(server, clients, here.Cores)
}

// printValidity prints the findings on a scenario file.
func printValidity(w io.Writer, path string, warnings []string, found error) error {
	type problem struct {
		Line   int    `json:"line,omitempty"`
		Column int    `json:"column,omitempty"`
		What   string `json:"what"`
		Remedy string `json:"remedy,omitempty"`
	}
	result := struct {
		Scenario string    `json:"scenario"`
		Valid    bool      `json:"valid"`
		Errors   []problem `json:"errors"`
		Warnings []string  `json:"warnings"`
	}{Scenario: path, Valid: found == nil, Errors: []problem{}, Warnings: append([]string{}, warnings...)}
	if wrong, ok := errors.AsType[*scenarios.Error](found); ok {
		for _, p := range wrong.Problems {
			result.Errors = append(result.Errors, problem{p.Line, p.Column, p.What, p.Remedy})
		}
	} else if found != nil {
		result.Errors = append(result.Errors, problem{What: found.Error()})
	}
	return json.NewEncoder(w).Encode(result)
}

// warn prints warnings, one on each line.
func warn(w io.Writer, warnings []string) {
	for _, text := range warnings {
		_, _ = fmt.Fprintf(w, "warning: %s\n", text) // only progress: an error does not matter
	}
}
