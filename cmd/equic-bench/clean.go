package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/orchestrate/netns"
)

func cleanCommand() *cobra.Command {
	var images, asJSON bool
	c := &cobra.Command{
		Use:   "clean",
		Short: "Remove the containers, networks and groups of an interrupted run",
		Long: `Removes what an interrupted run left: containers, networks, control groups, and
prints what it removed. What belongs to a run in progress stays. Half a trial in
a run directory is removed by run --resume.`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			removed, err := clean(c, images)
			if err == nil && len(removed) == 0 && !asJSON {
				_, _ = fmt.Fprintln(c.ErrOrStderr(), "found nothing to remove")
			}
			return errors.Join(err, printRemoved(c.OutOrStdout(), removed, asJSON))
		},
	}
	c.Flags().BoolVar(&images, "images", false, "remove the nodes' images of all builds too; the next run makes its own anew")
	c.Flags().BoolVar(&asJSON, "json", false, "print what was removed as JSON")
	return c
}

func printRemoved(w io.Writer, removed []string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(map[string][]string{"removed": append([]string{}, removed...)})
	}
	for _, name := range removed {
		if _, err := fmt.Fprintln(w, "removed", name); err != nil {
			return err
		}
	}
	return nil
}

// clean removes what dead runs left, and names it.
func clean(c *cobra.Command, images bool) (removed []string, err error) {
	removed, err = cleanGroups(c)
	engine, noEngine := docker.New(c.Context(), docker.Options{})
	if errors.Is(noEngine, docker.ErrNoEngine) {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "no Docker engine answers, so no container was looked for")
		return removed, err
	}
	if noEngine != nil {
		return removed, errors.Join(err, noEngine)
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	gone, cleanErr := removeLeftovers(c.Context(), engine)
	removed, err = append(removed, gone...), errors.Join(err, cleanErr)
	if images {
		gone, imagesErr := removeImages(c, engine)
		removed, err = append(removed, gone...), errors.Join(err, imagesErr)
	}
	return removed, err
}

// cleanGroups leaves the control groups alone while a run measures: one that it
// has just made is as empty as one that is left.
func cleanGroups(c *cobra.Command) (removed []string, err error) {
	release, err := lockMachine(c.Context())
	if errors.Is(err, errBusy) {
		_, _ = fmt.Fprintln(c.ErrOrStderr(), "a run is measuring, so no control group was looked for")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	return netns.Clean()
}

// removeImages keeps other runs from starting meanwhile: they share the images.
func removeImages(c *cobra.Command, engine *docker.Runtime) (removed []string, err error) {
	release, err := lockMachine(c.Context())
	if err != nil {
		return nil, fmt.Errorf("remove images: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	names, err := engine.RemoveImages(c.Context())
	for _, name := range names {
		removed = append(removed, "image "+name)
	}
	return removed, err
}
