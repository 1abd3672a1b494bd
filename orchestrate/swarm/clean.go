package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"github.com/equic-bench/equic-bench/orchestrate/docker"
)

// pollInterval is the time between two looks at what the swarm does.
const pollInterval = 250 * time.Millisecond

const (
	// goneLimit bounds the wait for the tasks of removed services of killed runs.
	goneLimit = 2 * grace
	// networkLimit bounds the removal of networks, after that wait.
	networkLimit = 15 * time.Second
)

// remove removes the services, then the networks, that have all of the labels and that chosen
// selects. It waits until the tasks are gone, except on hosts that are down: those end them when
// they come back.
func (r *Runtime) remove(ctx context.Context, chosen func(labels map[string]string) bool, labels ...string) error {
	var services []swarm.Service
	err := retry(ctx, func() (err error) {
		services, err = r.engine.ServiceList(ctx, swarm.ServiceListOptions{Filters: docker.Labelled(labels...)})
		return err
	})
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	var errs []error
	var removed []string
	for _, s := range services {
		if !chosen(s.Spec.Labels) {
			continue
		}
		removed = append(removed, s.ID)
		if err := r.removeService(ctx, s.ID); err != nil {
			errs = append(errs, fmt.Errorf("remove service %s: %w", s.Spec.Name, err))
		}
	}
	errs = append(errs, r.awaitGone(ctx, removed))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), networkLimit)
	defer cancel()
	return errors.Join(append(errs, r.removeNetworks(ctx, chosen, labels))...)
}

// awaitGone waits until removed services have no task left.
func (r *Runtime) awaitGone(ctx context.Context, services []string) error {
	for len(services) > 0 {
		left, err := r.unfinished(ctx, services)
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d tasks of removed services have not ended: %w", left, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
	return nil
}

// unfinished counts the tasks of services on hosts that are up.
func (r *Runtime) unfinished(ctx context.Context, services []string) (left int, err error) {
	nodes, err := r.engine.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list the hosts of the swarm: %w", err)
	}
	tasks, err := r.tasks(ctx, services)
	if err != nil {
		return 0, fmt.Errorf("list tasks: %w", err)
	}
	for _, t := range tasks {
		up := slices.ContainsFunc(nodes, func(n swarm.Node) bool {
			return n.ID == t.NodeID && n.Status.State == swarm.NodeStateReady
		})
		if up {
			left++
		}
	}
	return left, nil
}

func (r *Runtime) removeNetworks(ctx context.Context, chosen func(map[string]string) bool, labels []string) error {
	all, err := r.networks(ctx, labels...)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range all {
		if !chosen(n.Labels) {
			continue
		}
		if err := r.removeNetwork(ctx, n.ID); err != nil {
			errs = append(errs, fmt.Errorf("remove network %s: %w", n.Name, err))
		}
	}
	return errors.Join(errs...)
}

// removeNetwork removes an overlay network, and waits until it is gone: its subnet is taken until
// then.
func (r *Runtime) removeNetwork(ctx context.Context, id string) error {
	if err := r.engine.NetworkRemove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	for {
		_, err := r.engine.NetworkInspect(ctx, id, network.InspectOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pollInterval):
		}
	}
}

// networks lists the overlay networks that have all of the labels.
func (r *Runtime) networks(ctx context.Context, labels ...string) ([]network.Summary, error) {
	all, err := r.engine.NetworkList(ctx, network.ListOptions{Filters: docker.Labelled(labels...)})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	return slices.DeleteFunc(all, func(n network.Summary) bool { return n.Scope != "swarm" }), nil
}

// Leftovers returns the names of what Clean would remove.
func (r *Runtime) Leftovers(ctx context.Context) (names []string, err error) {
	services, err := r.engine.ServiceList(ctx, swarm.ServiceListOptions{Filters: docker.Labelled(docker.LabelRun)})
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	for _, s := range services {
		if docker.Dead(s.Spec.Labels) {
			names = append(names, "service "+s.Spec.Name)
		}
	}
	networks, err := r.networks(ctx, docker.LabelRun)
	if err != nil {
		return nil, err
	}
	for _, n := range networks {
		if docker.Dead(n.Labels) {
			names = append(names, "network "+n.Name)
		}
	}
	return names, nil
}

// Clean removes the services and networks of runs whose process is gone, and returns their names.
func (r *Runtime) Clean(ctx context.Context) (removed []string, err error) {
	before, err := r.Leftovers(ctx)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	removing, cancel := context.WithTimeout(ctx, goneLimit)
	defer cancel()
	cleanErr := r.remove(removing, docker.Dead, docker.LabelRun)
	after, err := r.Leftovers(ctx)
	removed = slices.DeleteFunc(before, func(name string) bool { return slices.Contains(after, name) })
	return removed, errors.Join(cleanErr, err)
}
