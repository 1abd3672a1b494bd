package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/orchestrate/netns"
)

func cleanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove what an interrupted run left: containers, networks, control groups",
		Args:  arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			err = netns.Clean()
			engine, noEngine := docker.New(c.Context(), docker.Options{})
			if errors.Is(noEngine, docker.ErrNoEngine) {
				_, _ = fmt.Fprintln(c.ErrOrStderr(), "no Docker engine answers, so no container was looked for")
				return err
			}
			if noEngine != nil {
				return errors.Join(err, noEngine)
			}
			return errors.Join(err, engine.Clean(c.Context()), engine.Close())
		},
	}
}
