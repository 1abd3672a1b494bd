package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/report"
	"github.com/equic-bench/equic-bench/results"
)

func reportCommand() *cobra.Command {
	var root string
	c := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Draw the figures of a run from its raw records, and print its tables",
		Long: `Draws every figure and table of a run anew from its raw records, into the
run's folder report/, and prints the tables. Without RUN it takes the newest.`,
		Args: arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			run, err := chosenRun(root, args)
			if err != nil {
				return err
			}
			summary, err := report.Write(run)
			if err != nil {
				return err
			}
			c.PrintErrln("report:", filepath.Join(run, results.ReportDir))
			return report.Text(c.OutOrStdout(), summary)
		},
	}
	c.Flags().StringVar(&root, "results", defaultResults, "folder in which to look for the newest run")
	return c
}

// chosenRun is the run that was named, or the newest.
func chosenRun(root string, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	return results.Newest(root)
}
