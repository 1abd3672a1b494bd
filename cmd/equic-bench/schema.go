package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/equic-bench/equic-bench/scenarios"
)

func schemaCommand() *cobra.Command {
	var markdown bool
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files, for editors",
		Long: `Prints the JSON Schema of scenario files. An editor with the YAML language
server uses it where a file begins with

  # yaml-language-server: $schema=schema.json

as those in scenarios/ do. With --markdown it prints the manual of scenario
files, for people: every key with its unit, range, default and an example.`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			write := scenarios.Schema
			if markdown {
				write = scenarios.Manual
			}
			text, err := write()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "print the manual (docs/scenario.md) in place of the schema")
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedName() == "json" {
			return usage(c, "%w: the schema is JSON without it, so leave it out", err)
		}
		return usage(c, "%w", err)
	})
	return c
}
