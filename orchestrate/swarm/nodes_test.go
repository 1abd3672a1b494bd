package swarm

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/swarm"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// task returns the task of the service "s" on the host x.
func task(state swarm.TaskState, status *swarm.ContainerStatus) swarm.Task {
	t := swarm.Task{ID: "t", ServiceID: "s", NodeID: "id-x"}
	t.Status.State, t.Status.ContainerStatus = state, status
	return t
}

func TestANodeEndsWithItsTaskOrItsHost(t *testing.T) {
	up, down := host("x", roleClients), host("x", roleClients)
	down.Status.State, down.Status.Message = swarm.NodeStateDown, "heartbeat failure"
	running := task(swarm.TaskStateRunning, nil)
	refusedTask := task(swarm.TaskStateFailed, nil)
	refusedTask.Status.Err = "starting container failed: no such program"
	pending := swarm.Task{ID: "next", ServiceID: "s"} // of a service that is asked to end
	for _, test := range []struct {
		name  string
		host  swarm.Node
		looks [][]swarm.Task
		ended bool
		code  int
		lost  string // the reason; empty for none
	}{
		{name: "it runs", host: up, looks: [][]swarm.Task{{running}}},
		{
			name: "it ends well", host: up, ended: true,
			looks: [][]swarm.Task{{running}, {task(swarm.TaskStateComplete, &swarm.ContainerStatus{})}},
		},
		{
			name: "it fails", host: up, ended: true, code: 3,
			looks: [][]swarm.Task{{running}, {task(swarm.TaskStateFailed, &swarm.ContainerStatus{ExitCode: 3})}},
		},
		{
			name: "it is asked to end", host: up, ended: true,
			looks: [][]swarm.Task{{running}, {pending, task(swarm.TaskStateShutdown, &swarm.ContainerStatus{})}},
		},
		{name: "it does not start", host: up, looks: [][]swarm.Task{{refusedTask}}}, // Start returns the error
		{
			name: "its host is down", host: down, ended: true, lost: "x, the host of server, is down: heartbeat failure",
			looks: [][]swarm.Task{{running}},
		},
		{name: "its host is down before it starts", host: down, looks: [][]swarm.Task{{pending}}},
		{
			name: "its task is removed", host: up, ended: true, lost: "the task of server was removed",
			looks: [][]swarm.Task{{running}, {}},
		},
		{
			name: "it is lost", host: up, ended: true, lost: "the task of server is orphaned",
			looks: [][]swarm.Task{{running}, {task(swarm.TaskStateOrphaned, nil)}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := newNode(orchestrate.NodeSpec{Name: "server"})
			of.service = "s"
			n := &nodes{hosts: map[string]swarm.Node{"server": test.host}, byName: map[string]*node{"server": of}}
			for _, tasks := range test.looks {
				n.take([]swarm.Node{test.host}, tasks)
			}
			lost, isLost := errors.AsType[*orchestrate.LostError](of.err)
			if of.hasEnded() != test.ended || of.code != test.code || isLost != (test.lost != "") ||
				isLost && !strings.HasPrefix(lost.Reason, test.lost) {
				t.Errorf("ended %v with %d, %v", of.hasEnded(), of.code, of.err)
			}
		})
	}
}

func TestAServiceWhoseCreationWasNotAnsweredIsFound(t *testing.T) {
	find := func() (string, error) { return "found", nil }
	taken := errdefs.ErrConflict
	for name, test := range map[string]struct {
		answers []error // of the manager, in turn
		want    string
		err     error
	}{
		"created at once":              {answers: []error{nil}, want: "created"},
		"not created, then created":    {answers: []error{io.EOF, nil}, want: "created"},
		"created without an answer":    {answers: []error{io.EOF, taken}, want: "found"},
		"a name that was taken before": {answers: []error{taken}, err: taken},
	} {
		t.Run(name, func(t *testing.T) {
			create := func() (string, error) {
				err := test.answers[0]
				test.answers = test.answers[1:]
				if err != nil {
					return "", err
				}
				return "created", nil
			}
			if id, err := createOnce(t.Context(), create, find); id != test.want || !errors.Is(err, test.err) {
				t.Errorf("%q, %v; want %q, %v", id, err, test.want, test.err)
			}
		})
	}
}

func TestAHostHasAnAddressThatOthersReach(t *testing.T) {
	for _, test := range []struct {
		name, status, manager, want string
	}{
		{"a worker", "192.0.2.7", "", "192.0.2.7"},
		{"a manager", "0.0.0.0", "192.0.2.1:2377", "192.0.2.1"},
		{"a manager that advertises loopback", "127.0.0.1", "127.0.0.1:2377", ""},
		{"nothing", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := host("x", roleServer)
			n.Status.Addr = test.status
			if test.manager != "" {
				n.ManagerStatus = &swarm.ManagerStatus{Addr: test.manager}
			}
			got, err := addressOf(n)
			if test.want == "" {
				if !errors.Is(err, ErrHosts) {
					t.Errorf("got %v, %v; want ErrHosts", got, err)
				}
				return
			}
			if err != nil || got != netip.MustParseAddr(test.want) {
				t.Errorf("got %v, %v; want %s", got, err, test.want)
			}
		})
	}
}

func TestNodesWithTheNetworksOfTheirHostsNeedAHostEach(t *testing.T) {
	x, y := host("x", roleServer), host("y", roleClients)
	x.Status.Addr, y.Status.Addr = "192.0.2.1", "192.0.2.2"
	if err := checkAddresses(map[string]swarm.Node{"server": x, "sequential-1": y}); err != nil {
		t.Error(err)
	}
	err := checkAddresses(map[string]swarm.Node{"server": x, "sequential-1": y, "sequential-2": y})
	if !errors.Is(err, ErrHosts) || !strings.Contains(err.Error(), "sequential-1 and sequential-2") {
		t.Errorf("got %v", err)
	}
}
