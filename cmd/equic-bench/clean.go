package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/equic-bench/equic-bench/orchestrate"
)

func cleanCommand() *cobra.Command {
	var images, asJSON bool
	c := &cobra.Command{
		Use:   "clean",
		Short: "Remove the containers, networks and groups of an interrupted run",
		Long: `Removes what an interrupted run left: containers, services of a swarm, networks,
control groups with the processes in them, and prints what it removed. What
belongs to a run in progress stays. Half a trial in a run directory is removed
by run --resume.`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			removed, err := clean(c, images)
			if err == nil && len(removed) == 0 && !asJSON {
				_, _ = fmt.Fprintln(c.ErrOrStderr(), "found nothing to remove")
			}
			return errors.Join(err, printRemoved(c.OutOrStdout(), removed, asJSON))
		},
	}
	c.Flags().BoolVar(&images, "images", false,
		"remove the nodes' images of all builds too; the next run makes them again")
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

// clean removes the leftovers of dead runs, and returns their names.
func clean(c *cobra.Command, images bool) (removed []string, err error) {
	for _, k := range slices.Backward(runtimeKinds) {
		tidy := k.cleanAlone
		if k.cleaner == nil {
			tidy = func(c *cobra.Command) ([]string, error) { return k.cleanOpened(c, images) }
		}
		gone, cleanErr := tidy(c)
		removed, err = append(removed, gone...), errors.Join(err, cleanErr)
	}
	return removed, err
}

// cleanAlone removes nothing while a run measures: new resources of a run look like
// leftovers of a killed one.
func (k runtimeKind) cleanAlone(c *cobra.Command) (removed []string, err error) {
	release, err := lockMachine(c.Context())
	if errors.Is(err, errBusy) {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "a run is measuring, so no %s was looked for\n", k.leaves)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	return k.cleaner.Clean(c.Context())
}

// cleanOpened opens the runtime, and removes its leftovers. If images is set, it also removes the resources
// that the runtime shares between runs.
func (k runtimeKind) cleanOpened(c *cobra.Command, images bool) (removed []string, err error) {
	open := k.openCleaner
	if open == nil {
		open = func(ctx context.Context) (orchestrate.Runtime, error) { return k.open(ctx, "") }
	}
	rt, err := open(c.Context())
	if isAny(err, k.absent...) {
		if k.remote { // most machines have none
			return nil, nil
		}
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "%s, so no %s was looked for\n", k.reason(err), k.leaves)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	removed, err = rt.Clean(c.Context())
	if images {
		gone, imagesErr := removeImages(c, rt)
		removed, err = append(removed, gone...), errors.Join(err, imagesErr)
	}
	return removed, err
}

// removeImages prevents other runs from starting meanwhile: they share the images.
func removeImages(c *cobra.Command, rt orchestrate.Runtime) (removed []string, err error) {
	release, err := lockMachine(c.Context())
	if err != nil {
		return nil, fmt.Errorf("remove images: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	return rt.Unprepare(c.Context())
}
