package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// Clean removes the containers and networks of runs whose process is gone, and returns
// their names.
func (r *Runtime) Clean(ctx context.Context) (removed []string, err error) {
	before, err := r.Leftovers(ctx)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	cleanErr := r.remove(ctx, Dead, LabelRun)
	after, err := r.Leftovers(ctx)
	removed = slices.DeleteFunc(before, func(name string) bool { return slices.Contains(after, name) })
	return removed, errors.Join(cleanErr, err)
}

// remove removes the containers, then the networks, that have all of the labels ("name"
// or "name=value") and that chosen selects.
func (r *Runtime) remove(ctx context.Context, chosen func(labels map[string]string) bool, labels ...string) error {
	return errors.Join(r.removeContainers(ctx, chosen, labels), r.removeNetworks(ctx, chosen, labels))
}

func (r *Runtime) removeContainers(ctx context.Context, chosen func(map[string]string) bool, labels []string) error {
	all, err := r.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: Labelled(labels...)})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var g errgroup.Group // not WithContext: one failure must not stop the others
	for _, c := range all {
		if !chosen(c.Labels) {
			continue
		}
		g.Go(func() error {
			err := r.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			if err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("remove container %v: %w", c.Names, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (r *Runtime) removeNetworks(ctx context.Context, chosen func(map[string]string) bool, labels []string) error {
	all, err := r.engine.NetworkList(ctx, network.ListOptions{Filters: Labelled(labels...)})
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	var errs []error
	for _, n := range all {
		if !chosen(n.Labels) {
			continue
		}
		if err := r.engine.NetworkRemove(ctx, n.ID); err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove network %s: %w", n.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Labelled returns a filter for the resources that have all of some labels ("name" or
// "name=value").
func Labelled(labels ...string) filters.Args {
	args := filters.NewArgs()
	for _, l := range labels {
		args.Add("label", l)
	}
	return args
}

// Leftovers returns the names of what Clean would remove.
func (r *Runtime) Leftovers(ctx context.Context) ([]string, error) {
	var names []string
	containers, err := r.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: Labelled(LabelRun)})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers {
		if Dead(c.Labels) {
			names = append(names, "container "+strings.ReplaceAll(strings.Join(c.Names, ", "), "/", ""))
		}
	}
	networks, err := r.engine.NetworkList(ctx, network.ListOptions{Filters: Labelled(LabelRun)})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range networks {
		if Dead(n.Labels) {
			names = append(names, "network "+n.Name)
		}
	}
	return names, nil
}
