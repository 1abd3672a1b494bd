package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate/docker"
)

func cleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove the containers and networks that an interrupted run left",
		Args:  arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			engine, err := docker.New(c.Context(), docker.Options{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, engine.Close()) }()
			return engine.Clean(c.Context())
		},
	}
}
