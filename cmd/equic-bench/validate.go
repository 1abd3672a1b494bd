package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/scenarios"
)

func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "validate SCENARIO",
		Short:   "Check a scenario file, and say everything that is wrong with it",
		Example: "  equic-bench validate scenarios/paper.yaml",
		Args:    arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := scenarios.Load(args[0])
			if err != nil {
				return err
			}
			warn(c.ErrOrStderr(), s.Warnings())
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: valid\n", args[0])
			return err
		},
	}
}

// warn prints warnings, one on each line.
func warn(w io.Writer, warnings []string) {
	for _, text := range warnings {
		_, _ = fmt.Fprintf(w, "warning: %s\n", text) // progress: nothing depends on it
	}
}
