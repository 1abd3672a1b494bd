package swarm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
	"github.com/equic-bench/equic-bench/results"
)

// labelRole is the label of a host that takes part; its value is roleServer or roleClients.
const (
	labelRole   = "equic-bench.role"
	roleServer  = "server"
	roleClients = "clients"
)

// hosts are the hosts of a swarm that take part.
type hosts struct {
	server  swarm.Node
	clients []swarm.Node // by name
}

// listHosts returns the hosts that have a label, or ErrHosts.
func listHosts(ctx context.Context, engine *docker.Engine) (hosts, error) {
	all, err := engine.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return hosts{}, engine.Lost(fmt.Errorf("list the hosts of the swarm: %w", err))
	}
	return chooseHosts(all)
}

// chooseHosts returns those of all hosts that have a label, or ErrHosts.
func chooseHosts(all []swarm.Node) (hosts, error) {
	slices.SortFunc(all, func(a, b swarm.Node) int {
		return cmp.Or(cmp.Compare(nameOf(a), nameOf(b)), cmp.Compare(a.ID, b.ID))
	})
	var with hosts
	var servers, names []string
	for _, n := range all {
		names = append(names, nameOf(n))
		switch role := n.Spec.Labels[labelRole]; role {
		case "":
		case roleServer:
			with.server, servers = n, append(servers, nameOf(n))
		case roleClients:
			with.clients = append(with.clients, n)
		default:
			return hosts{}, fmt.Errorf("%w: %s has the label %s=%s; write %s or %s", ErrHosts, nameOf(n), labelRole, role,
				roleServer, roleClients)
		}
	}
	switch {
	case len(servers) > 1:
		return hosts{}, fmt.Errorf("%w: %s all have the label %s=%s, but only one is measured: remove it from the others "+
			"(docker node update --label-rm %s HOST)", ErrHosts, strings.Join(servers, ", "), labelRole, roleServer, labelRole)
	case len(servers) == 0:
		return hosts{}, unlabelled(names, roleServer)
	case len(with.clients) == 0:
		return hosts{}, unlabelled(names, roleClients)
	}
	return with, nil
}

func unlabelled(names []string, role string) error {
	return fmt.Errorf("%w: none of %s has the label %s=%s: label the hosts of the server and of the clients with docker node "+
		"update --label-add %s=%s HOST", ErrHosts, strings.Join(names, ", "), labelRole, role, labelRole, role)
}

// nameOf returns the name of a host; its ID if it has never been reached.
func nameOf(n swarm.Node) string { return cmp.Or(n.Description.Hostname, n.ID) }

// down returns why a host cannot run nodes; empty if it can.
func down(n swarm.Node) string {
	switch {
	case n.Status.State != swarm.NodeStateReady:
		return strings.TrimSpace(fmt.Sprintf("is %s: %s", n.Status.State, n.Status.Message))
	case n.Spec.Availability != swarm.NodeAvailabilityActive:
		return fmt.Sprintf("takes no work: its availability is %s", n.Spec.Availability)
	}
	return ""
}

// place returns the host of each node of a trial: clients are spread over the clients' hosts in turn, sequential ones
// first.
func (h hosts) place(nodes []orchestrate.NodeSpec) map[string]swarm.Node {
	at := map[string]swarm.Node{}
	turn := 0
	for _, n := range nodes {
		if n.Role == results.RoleServer {
			at[n.Name] = h.server
			continue
		}
		at[n.Name] = h.clients[turn%len(h.clients)]
		turn++
	}
	return at
}

// addressOf returns the address of a host: the one that a manager advertises, or the one from which
// the managers hear of a worker. Managers may have no useful one of the latter kind.
func addressOf(n swarm.Node) (netip.Addr, error) {
	text := n.Status.Addr
	if m := n.ManagerStatus; m != nil {
		if at, err := netip.ParseAddrPort(m.Addr); err == nil {
			text = at.Addr().String()
		}
	}
	at, err := netip.ParseAddr(text)
	if err != nil || at.IsUnspecified() || at.IsLoopback() {
		return at, fmt.Errorf("%w: the swarm has no address of %s that the other hosts reach (it has %q): join it again with "+
			"--advertise-addr", ErrHosts, nameOf(n), text)
	}
	return at, nil
}

// checkAddresses returns an error if a host has no usable address, or if two nodes, by name, would
// share that of one host.
func checkAddresses(at map[string]swarm.Node) error {
	by := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		if _, err := addressOf(at[name]); err != nil {
			return err
		}
		id := at[name].ID
		if other := by[id]; other != "" {
			return fmt.Errorf("%w: %s and %s would both have the address of %s, as one client: with server.interface: host, "+
				"label a host for each client", ErrHosts, other, name, nameOf(at[name]))
		}
		by[id] = name
	}
	return nil
}

// recorded returns the hosts as a manifest has them.
func (h hosts) recorded() []results.Host {
	all := []results.Host{recordedHost(h.server, roleServer)}
	for _, n := range h.clients {
		all = append(all, recordedHost(n, roleClients))
	}
	return all
}

func recordedHost(n swarm.Node, role string) results.Host {
	return results.Host{
		Name: nameOf(n), Role: role, Address: n.Status.Addr,
		CPUs:        int(n.Description.Resources.NanoCPUs / 1e9),
		MemoryBytes: n.Description.Resources.MemoryBytes,
		Arch:        n.Description.Platform.Architecture,
		Engine:      n.Description.Engine.EngineVersion,
	}
}

// warnings names hosts that are down, and clients' hosts that differ from each other.
func (h hosts) warnings() (all []string) {
	for _, n := range append([]swarm.Node{h.server}, h.clients...) {
		if why := down(n); why != "" {
			all = append(all, fmt.Sprintf("the host %s %s", nameOf(n), why))
		}
	}
	first := recordedHost(h.clients[0], roleClients)
	for _, n := range h.clients[1:] {
		if other := recordedHost(n, roleClients); other.CPUs != first.CPUs || other.Arch != first.Arch {
			all = append(all, fmt.Sprintf("the clients' hosts differ: %s has %d CPUs (%s), %s has %d (%s)", first.Name, first.CPUs,
				first.Arch, other.Name, other.CPUs, other.Arch))
			break
		}
	}
	return all
}
