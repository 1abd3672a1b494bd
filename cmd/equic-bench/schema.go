package main

import (
	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/scenarios"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files, for editors",
		Long: `Prints the JSON Schema of scenario files. An editor with the YAML language
server uses it where a file begins with

  # yaml-language-server: $schema=schema.json

as those in scenarios/ do.`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := scenarios.Schema()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
}
