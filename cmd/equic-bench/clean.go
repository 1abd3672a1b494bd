package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/orchestrate/netns"
)

func cleanCommand() *cobra.Command {
	var images bool
	c := &cobra.Command{
		Use:   "clean",
		Short: "Remove the containers, networks and groups of an interrupted run",
		Long: `Removes what an interrupted run left: containers, networks, control groups.
What belongs to a run in progress stays. Half a trial in a run directory is
removed by run --resume.`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			err := cleanGroups(c)
			engine, noEngine := docker.New(c.Context(), docker.Options{})
			if errors.Is(noEngine, docker.ErrNoEngine) {
				_, _ = fmt.Fprintln(c.ErrOrStderr(), "no Docker engine answers, so no container was looked for")
				return err
			}
			if noEngine != nil {
				return errors.Join(err, noEngine)
			}
			err = errors.Join(err, engine.Clean(c.Context()))
			if images {
				err = errors.Join(err, removeImages(c, engine))
			}
			return errors.Join(err, engine.Close())
		},
	}
	c.Flags().BoolVar(&images, "images", false, "remove the nodes' images of all builds too; the next run makes its own anew")
	return c
}

// cleanGroups leaves the control groups alone while a run measures: one that it
// has just made is as empty as one that is left.
func cleanGroups(c *cobra.Command) (err error) {
	release, err := lockMachine(c.Context())
	if errors.Is(err, errBusy) {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "a run is measuring, so no control group was looked for")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	return netns.Clean()
}

// removeImages keeps other runs from starting meanwhile: they share the images.
func removeImages(c *cobra.Command, engine *docker.Runtime) (err error) {
	release, err := lockMachine(c.Context())
	if err != nil {
		return fmt.Errorf("remove images: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	removed, err := engine.RemoveImages(c.Context())
	for _, name := range removed {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "removed image", name)
	}
	return err
}
