package swarm

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
)

// grace is how long a node may take to end after SIGTERM, before it is killed. It is longer than
// a run waits.
const grace = 15 * time.Second

// hostNetwork is the network of a host, by the name that each engine has for it.
const hostNetwork = "host"

// nowhere is a constraint that no host satisfies.
const nowhere = "node.id == nowhere"

// createNetwork makes the trial's own overlay network, without a route to other networks.
func (r *Runtime) createNetwork(ctx context.Context, spec orchestrate.Spec) (id string, err error) {
	if err := r.engine.CheckSubnet(ctx, spec.Subnet); err != nil {
		return "", err
	}
	made, err := r.engine.NetworkCreate(ctx, docker.ResourceName(spec, "net"), network.CreateOptions{
		Driver:   "overlay",
		Internal: true,
		IPAM:     &network.IPAM{Config: []network.IPAMConfig{{Subnet: spec.Subnet.String()}}},
		Labels:   r.engine.Labels(spec, ""),
	})
	if err != nil {
		return "", fmt.Errorf("create the overlay network %s: %w", spec.Subnet, err)
	}
	return made.ID, nil
}

// service describes a node: one task that is never restarted, on one host. server is the address
// that the server was given.
func (r *Runtime) service(
	spec orchestrate.Spec, n orchestrate.NodeSpec, host swarm.Node, net string, server netip.Addr,
) swarm.ServiceSpec {
	p := r.Platform()
	one, never, after := uint64(1), uint64(0), grace
	var capAdd []string
	if n.Kernel {
		capAdd = p.Runtime.Capabilities
	}
	return swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: docker.ResourceName(spec, n.Name), Labels: r.engine.Labels(spec, n.Role)},
		Mode:        swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &one}},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{
				Image:           p.Runtime.Image,
				Command:         readdressed(n.Command, spec.Nodes[0].Address, server),
				Env:             readdressed(n.Env, spec.Nodes[0].Address, server),
				Hostname:        n.Name,
				ReadOnly:        true,
				StopGracePeriod: &after,
				Healthcheck:     &container.HealthConfig{Test: []string{"NONE"}},
				CapabilityDrop:  []string{"ALL"},
				CapabilityAdd:   capAdd,
				Ulimits:         docker.Ulimits(n.OpenFiles),
			},
			Resources:     &swarm.ResourceRequirements{Limits: &swarm.Limit{MemoryBytes: n.MemoryBytes}},
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone, MaxAttempts: &never},
			Placement:     &swarm.Placement{Constraints: []string{"node.id == " + host.ID}},
			Networks:      []swarm.NetworkAttachmentConfig{{Target: net}},
			// The output is read after the node has ended: none of it may be rotated away, whatever the engine's
			// own limit is.
			LogDriver: &swarm.Driver{Name: "json-file", Options: map[string]string{"max-size": "8g"}},
		},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR}, // a virtual address would be rewritten
	}
}

// readdressed replaces the server's planned address, in words that are "address", "address:port" or
// "NAME=address:port", by the one that the swarm gave it.
func readdressed(words []string, planned, got netip.Addr) []string {
	all := make([]string, len(words))
	for i, word := range words {
		if word == planned.String() && got.IsValid() {
			all[i] = got.String()
			continue
		}
		name, value, named := strings.Cut(word, "=")
		if !named {
			name, value = "", word
		}
		if at, err := netip.ParseAddrPort(value); err == nil && at.Addr() == planned && got.IsValid() {
			value = netip.AddrPortFrom(got, at.Port()).String()
		}
		if named {
			value = name + "=" + value
		}
		all[i] = value
	}
	return all
}

// stopService makes the swarm end a service's task with SIGTERM, and keep its log: the service
// asks for a host that does not exist.
func (r *Runtime) stopService(ctx context.Context, id string) error {
	return retry(ctx, func() error {
		service, _, err := r.engine.ServiceInspectWithRaw(ctx, id, swarm.ServiceInspectOptions{})
		if err != nil {
			return err
		}
		service.Spec.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{nowhere}}
		_, err = r.engine.ServiceUpdate(ctx, id, service.Version, service.Spec, swarm.ServiceUpdateOptions{})
		return err
	})
}

// removeService removes a service, if it is still there.
func (r *Runtime) removeService(ctx context.Context, id string) error {
	return retry(ctx, func() error {
		if err := r.engine.ServiceRemove(ctx, id); !errdefs.IsNotFound(err) {
			return err
		}
		return nil
	})
}

// tasks lists the tasks of some services, including those that are removed.
func (r *Runtime) tasks(ctx context.Context, services []string) ([]swarm.Task, error) {
	if len(services) == 0 {
		return nil, nil // no filter would mean all
	}
	args := filters.NewArgs()
	for _, id := range services {
		args.Add("service", id)
	}
	found, err := r.engine.TaskList(ctx, swarm.TaskListOptions{Filters: args})
	if !errdefs.IsNotFound(err) {
		return found, err
	}
	all, err := r.engine.TaskList(ctx, swarm.TaskListOptions{}) // a filter needs services that exist
	return slices.DeleteFunc(all, func(t swarm.Task) bool { return !slices.Contains(services, t.ServiceID) }), err
}

// retry calls f again for as long as the manager does not answer: its engine may be
// restarting.
func retry(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !docker.Silent(err) && !errdefs.IsUnavailable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pollInterval):
		}
	}
}

// createOnce creates something with a name of its own, and returns its ID. If the manager creates it but
// does not answer, the next attempt conflicts with it, and find returns its ID.
func createOnce(ctx context.Context, create, find func() (string, error)) (id string, err error) {
	again := false
	err = retry(ctx, func() (err error) {
		id, err = create()
		if again && errdefs.IsConflict(err) {
			id, err = find()
		}
		again = true
		return err
	})
	return id, err
}

// address returns a task's address in a network; it is not valid before it has one.
func address(task swarm.Task, net string) netip.Addr {
	for _, a := range task.NetworksAttachments {
		if a.Network.ID != net || len(a.Addresses) == 0 {
			continue
		}
		if prefix, err := netip.ParsePrefix(a.Addresses[0]); err == nil {
			return prefix.Addr()
		}
	}
	return netip.Addr{}
}
