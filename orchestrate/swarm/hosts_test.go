package swarm

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

// host returns a host that is up, with a role or none.
func host(name, role string) swarm.Node {
	n := swarm.Node{ID: "id-" + name}
	n.Description.Hostname = name
	n.Description.Resources.NanoCPUs = 4e9
	n.Status.State, n.Spec.Availability = swarm.NodeStateReady, swarm.NodeAvailabilityActive
	if role != "" {
		n.Spec.Labels = map[string]string{labelRole: role}
	}
	return n
}

func TestLabelsChooseTheHosts(t *testing.T) {
	for _, test := range []struct {
		name  string
		hosts []swarm.Node
		says  string // the error; empty for none
	}{
		{name: "one for each", hosts: []swarm.Node{host("b", roleClients), host("a", roleServer), host("c", "")}},
		{
			name: "none for the server", hosts: []swarm.Node{host("b", roleClients), host("a", "")},
			says: "none of a, b has the label equic-bench.role=server",
		},
		{
			name: "none for the clients", hosts: []swarm.Node{host("a", roleServer)},
			says: "none of a has the label equic-bench.role=clients",
		},
		{
			name: "two for the server", hosts: []swarm.Node{host("b", roleServer), host("a", roleServer), host("c", roleClients)},
			says: "a, b all have the label equic-bench.role=server",
		},
		{name: "an unknown role", hosts: []swarm.Node{host("a", "client")}, says: "equic-bench.role=client; write server or clients"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := chooseHosts(test.hosts)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v, want %q", err, test.says)
				}
				return
			}
			if err != nil || nameOf(got.server) != "a" || len(got.clients) != 1 || nameOf(got.clients[0]) != "b" {
				t.Errorf("got server %q, clients %v, %v", nameOf(got.server), got.clients, err)
			}
		})
	}
}

func TestClientsTakeTurns(t *testing.T) {
	all := hosts{server: host("s", roleServer), clients: []swarm.Node{host("x", roleClients), host("y", roleClients)}}
	var nodes []orchestrate.NodeSpec
	for _, n := range []struct{ name, role string }{
		{"server", results.RoleServer},
		{"sequential-1", results.RoleSequential},
		{"sequential-2", results.RoleSequential},
		{"sequential-3", results.RoleSequential},
		{"parallel-1", results.RoleParallel},
	} {
		nodes = append(nodes, orchestrate.NodeSpec{Name: n.name, Role: n.role})
	}
	got := map[string]string{}
	for name, h := range all.place(nodes) {
		got[name] = nameOf(h)
	}
	want := map[string]string{
		"server": "s", "sequential-1": "x", "sequential-2": "y", "sequential-3": "x", "parallel-1": "y",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWarningsNameHosts(t *testing.T) {
	gone, small := host("gone", roleClients), host("small", roleClients)
	gone.Status.State, gone.Status.Message = swarm.NodeStateDown, "heartbeat failure"
	small.Description.Resources.NanoCPUs = 2e9
	got := hosts{server: host("s", roleServer), clients: []swarm.Node{gone, small}}.warnings()
	want := []string{
		"the host gone is down: heartbeat failure",
		"the clients' hosts differ: gone has 4 CPUs (), small has 2 ()",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheServersAddressIsReplacedInWholeWords(t *testing.T) {
	planned, got := netip.MustParseAddr("172.31.98.2"), netip.MustParseAddr("172.31.98.7")
	words := []string{"/equic-client", "--server", "172.31.98.2:4433", "EQUIC_FLOOD=172.31.98.2:4433", "172.31.98.20:4433", "A=172.31.98.2", "172.31.98.2"}
	want := []string{"/equic-client", "--server", "172.31.98.7:4433", "EQUIC_FLOOD=172.31.98.7:4433", "172.31.98.20:4433", "A=172.31.98.2", "172.31.98.7"}
	if diff := cmp.Diff(want, readdressed(words, planned, got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
