package docker

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/docker/docker/api/types/network"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// createNetwork makes the trial's own network: a bridge without a route to other networks.
func (r *Runtime) createNetwork(ctx context.Context, spec orchestrate.Spec) (string, error) {
	if err := r.engine.CheckSubnet(ctx, spec.Subnet); err != nil {
		return "", err
	}
	made, err := r.engine.NetworkCreate(ctx, ResourceName(spec, "net"), network.CreateOptions{
		Driver:   "bridge",
		Internal: true,
		IPAM:     &network.IPAM{Config: []network.IPAMConfig{{Subnet: spec.Subnet.String()}}},
		Labels:   r.engine.Labels(spec, ""),
	})
	if Silent(err) {
		return "", fmt.Errorf("create network %s: %w", spec.Subnet, err)
	}
	if err != nil {
		return "", fmt.Errorf("create network %s: %w; if it is taken, set network.subnet in the scenario", spec.Subnet, err)
	}
	return made.ID, nil
}

// CheckSubnet returns an error that names the network that overlaps with a subnet.
func (e *Engine) CheckSubnet(ctx context.Context, subnet netip.Prefix) error {
	all, err := e.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	for _, n := range all {
		for _, c := range n.IPAM.Config {
			other, err := netip.ParsePrefix(c.Subnet)
			if err != nil || !other.Overlaps(subnet) {
				continue
			}
			remedy := "set network.subnet in the scenario to a free one"
			if n.Labels[LabelRun] != "" {
				remedy = "if no other run is using it, remove it with `equic-bench clean`, else " + remedy
			}
			return fmt.Errorf("%w: subnet %s: the network %s has %s; %s", ErrSubnetTaken, subnet, n.Name, other, remedy)
		}
	}
	return nil
}
