package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/swarm"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/orchestrate/docker"
)

// silence is how long the manager may fail to answer while nodes run: longer than a restart of its
// engine takes.
const silence = time.Minute

// loadInterval is the time between two looks while the load runs.
const loadInterval = time.Second

// nodes are the services of one trial.
type nodes struct {
	runtime *Runtime
	spec    orchestrate.Spec
	net     string
	hosts   map[string]swarm.Node // by node
	detach  context.CancelFunc    // ends watching and copying, which outlive the context of Open
	copying context.Context
	working sync.WaitGroup

	mu     sync.Mutex
	byName map[string]*node
}

var _ orchestrate.Nodes = (*nodes)(nil)

// node is one service with one task. It is protected by the lock of its trial.
type node struct {
	spec    orchestrate.NodeSpec
	service string
	task    swarm.Task    // as last seen
	changed chan struct{} // has a token when the task has changed
	ended   chan struct{} // closed when the task has ended, or is lost
	copied  chan struct{} // closed when its output is written too
	killed  bool          // by Signal: what is left of its output does not matter
	code    int
	err     error
}

func newNode(s orchestrate.NodeSpec) *node {
	return &node{spec: s, changed: make(chan struct{}, 1), ended: make(chan struct{}), copied: make(chan struct{})}
}

// Open makes the network of a trial. A service would start at once, so Start makes it.
//
// As in package docker, the caller's context is checked before and after.
func (r *Runtime) Open(ctx context.Context, spec orchestrate.Spec) (_ orchestrate.Nodes, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), spec.Limit())
	defer cancel()
	n := &nodes{runtime: r, spec: spec, net: hostNetwork, hosts: r.hosts.place(spec.Nodes), byName: map[string]*node{}}
	n.copying, n.detach = context.WithCancel(context.WithoutCancel(ctx))
	if spec.HostNetwork {
		err = checkAddresses(n.hosts)
	} else {
		n.net, err = r.createNetwork(limited, spec)
	}
	if err != nil {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), spec.Limit())
		defer cancel()
		return nil, errors.Join(r.engine.Lost(err), n.Remove(removing)) // the manager may have made it all the same
	}
	for _, s := range spec.Nodes {
		n.byName[s.Name] = newNode(s)
	}
	n.working.Go(func() { n.watch(n.copying) })
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, n.Remove(limited))
	}
	return n, nil
}

// Start makes a node's service, and waits until its task runs. As in Open, the caller's context
// does not end what the manager has begun.
func (n *nodes) Start(ctx context.Context, name string, stdout, stderr io.Writer) error {
	node, host := n.node(name), n.hosts[name]
	spec := n.runtime.service(n.spec, node.spec, host, n.net, n.Location(n.spec.Nodes[0].Name).Address)
	making, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.spec.Limit())
	defer cancel()
	engine := n.runtime.engine
	id, err := createOnce(making, func() (string, error) {
		made, err := engine.ServiceCreate(making, spec, swarm.ServiceCreateOptions{})
		return made.ID, err
	}, func() (string, error) {
		there, _, err := engine.ServiceInspectWithRaw(making, spec.Name, swarm.ServiceInspectOptions{})
		return there.ID, err
	})
	if err != nil {
		return engine.Lost(fmt.Errorf("create the service %s: %w", spec.Name, err))
	}
	n.mu.Lock()
	node.service = id
	n.mu.Unlock()
	for {
		task, err := n.seen(node)
		switch {
		case err != nil:
			return err
		case refused(task):
			if docker.UnknownCapability(task.Status.Err) && n.runtime.fallBack() {
				return n.restart(ctx, name, stdout, stderr)
			}
			return n.rejected(name, task)
		case started(task):
			n.working.Go(func() { n.follow(n.copying, node, task.ID, stdout, stderr) })
			return nil
		}
		select {
		case <-ctx.Done():
			return n.notStarted(ctx, name, task)
		case <-node.changed:
		}
	}
}

// restart starts a node whose task was rejected.
func (n *nodes) restart(ctx context.Context, name string, stdout, stderr io.Writer) error {
	n.mu.Lock()
	old := n.byName[name]
	fresh := newNode(old.spec)
	n.byName[name] = fresh
	n.mu.Unlock()
	if err := n.runtime.removeService(ctx, old.service); err != nil {
		return n.runtime.engine.Lost(fmt.Errorf("remove the service of %s: %w", name, err))
	}
	return n.Start(ctx, name, stdout, stderr)
}

// refused reports whether a task's host did not start it.
func refused(task swarm.Task) bool {
	return task.Status.State == swarm.TaskStateRejected ||
		task.Status.State == swarm.TaskStateFailed && strings.HasPrefix(task.Status.Err, "starting container failed")
}

// started reports whether a task runs, or has ended.
func started(task swarm.Task) bool {
	return task.Status.State == swarm.TaskStateRunning || hasEnded(task)
}

// hasEnded reports whether a task has ended.
func hasEnded(task swarm.Task) bool {
	switch task.Status.State {
	case swarm.TaskStateComplete, swarm.TaskStateFailed, swarm.TaskStateShutdown, swarm.TaskStateRejected,
		swarm.TaskStateOrphaned, swarm.TaskStateRemove:
		return true
	default:
		return false
	}
}

func (n *nodes) node(name string) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byName[name]
}

func (n *nodes) seen(node *node) (swarm.Task, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return node.task, node.err
}

// rejected returns the error of a task that a host did not take.
func (n *nodes) rejected(name string, task swarm.Task) error {
	host := nameOf(n.hosts[name])
	if strings.Contains(task.Status.Err, "No such image") {
		n.runtime.mu.Lock()
		image := n.runtime.tag
		n.runtime.mu.Unlock()
		return fmt.Errorf("%w: %s does not have the image %s: on this machine, `docker save %s -o equic-node.tar`, "+
			"and on %s, `docker load -i equic-node.tar`", ErrHosts, host, image, image, host)
	}
	return &orchestrate.LostError{Reason: fmt.Sprintf("%s did not start %s (attempt %d): %s", host, name, n.spec.Attempt,
		task.Status.Err)}
}

// notStarted returns the error of a task that does not run in time, or before an interruption.
func (n *nodes) notStarted(ctx context.Context, name string, task swarm.Task) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	why := task.Status.Err
	if why == "" {
		why = task.Status.Message
	}
	return &orchestrate.LostError{Reason: fmt.Sprintf("%s does not start on %s (%v): its task is %s: %s", name,
		nameOf(n.hosts[name]), context.Cause(ctx), task.Status.State, why)}
}

// watch follows the tasks and hosts of the trial, until Detach.
func (n *nodes) watch(ctx context.Context) {
	answered := time.Now()
	for {
		err := n.look(ctx)
		switch {
		case err == nil:
			answered = time.Now()
		case ctx.Err() != nil:
			return
		case time.Since(answered) > silence:
			n.lose(n.runtime.engine.Lost(fmt.Errorf("the manager has not answered for %s: %w", silence, err)))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(n.pause()):
		}
	}
}

// services returns the IDs of the services so far.
func (n *nodes) services() (ids []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.byName {
		if node.service != "" {
			ids = append(ids, node.service)
		}
	}
	return ids
}

// pause returns the time until the next look: while the load runs, the manager has little to do for
// us.
func (n *nodes) pause() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.byName {
		if !started(node.task) {
			return pollInterval
		}
	}
	return loadInterval
}

// look reads the tasks of the trial, and the hosts.
func (n *nodes) look(ctx context.Context) error {
	ids := n.services()
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, silence/2)
	defer cancel()
	hosts, err := n.runtime.engine.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return err
	}
	tasks, err := n.runtime.tasks(ctx, ids)
	if err != nil {
		return err
	}
	n.take(hosts, tasks)
	return nil
}

// take takes note of hosts and tasks. A host that is down ends only what has been started: it may
// come back before the node has to be ready.
func (n *nodes) take(hosts []swarm.Node, tasks []swarm.Task) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, node := range n.byName {
		listed := node.service == ""
		for _, t := range tasks {
			if node.service != "" && t.ServiceID == node.service && t.NodeID == n.hosts[name].ID {
				listed = true
				node.see(t)
			}
		}
		if !started(node.task) || node.hasEnded() {
			continue
		}
		if !listed {
			node.lose("the task of %s was removed from the swarm", name)
		}
		for _, h := range hosts {
			if h.ID == n.hosts[name].ID && h.Status.State == swarm.NodeStateDown && !node.hasEnded() {
				node.lose("%s, the host of %s, is down: %s", nameOf(h), name, h.Status.Message)
			}
		}
	}
}

// lose ends all nodes with an error.
func (n *nodes) lose(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.byName {
		if !node.hasEnded() {
			node.end(err)
		}
	}
}

// see takes note of a node's task. The caller holds the lock.
func (n *node) see(task swarm.Task) {
	if n.hasEnded() || task.Status.State == n.task.Status.State && task.ID == n.task.ID {
		return
	}
	n.task = task
	switch c := task.Status.ContainerStatus; {
	case !hasEnded(task) || refused(task): // Start says why
		n.wake()
	case c == nil:
		n.lose("the task of %s is %s: %s", n.spec.Name, task.Status.State, task.Status.Err)
	default:
		n.code = c.ExitCode
		n.end(nil)
	}
}

// lose ends a node that can no longer be seen. The caller holds the lock.
func (n *node) lose(format string, args ...any) {
	n.end(&orchestrate.LostError{Reason: fmt.Sprintf(format, args...)})
}

// end records that the node's task has ended. The caller holds the lock.
func (n *node) end(err error) {
	n.err = err
	close(n.ended)
	n.wake()
}

func (n *node) wake() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

func (n *node) hasEnded() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// Wait returns a node's exit code once its output is copied.
func (n *nodes) Wait(ctx context.Context, name string) (int, error) {
	node := n.node(name)
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-node.copied:
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return node.code, node.err
}

// Signal ends a node: by SIGTERM, or by SIGKILL with the service removed. A swarm has no other
// signals.
func (n *nodes) Signal(ctx context.Context, name string, signal syscall.Signal) error {
	n.mu.Lock()
	id := n.byName[name].service
	n.mu.Unlock()
	var err error
	switch signal {
	case unix.SIGTERM:
		err = n.runtime.stopService(ctx, id)
	case unix.SIGKILL:
		err = n.runtime.removeService(ctx, id)
		n.kill(name)
	default:
		return fmt.Errorf("a swarm cannot send %s", unix.SignalName(signal))
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return n.runtime.engine.Lost(fmt.Errorf("end the service of %s: %w", name, err))
	}
	return nil
}

// kill ends a node whose service is removed.
func (n *nodes) kill(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if node := n.byName[name]; !node.hasEnded() {
		node.killed, node.code = true, 128+int(unix.SIGKILL)
		node.end(nil)
	}
}

// Location returns the host of a node, and the address that the swarm gave it.
func (n *nodes) Location(name string) orchestrate.Location {
	at := orchestrate.Location{Host: nameOf(n.hosts[name])}
	if n.spec.HostNetwork {
		at.Address, _ = addressOf(n.hosts[name]) // Open has checked it
		return at
	}
	task, _ := n.seen(n.node(name))
	at.Address = address(task, n.net)
	return at
}

// Arrived returns no count: the other ends of the tasks' interfaces are on other hosts.
func (*nodes) Arrived() (*orchestrate.Arrivals, error) { return nil, nil }

// Detach leaves the services, and stops copying their output.
func (n *nodes) Detach() {
	n.detach()
	n.working.Wait()
}

// Remove ends the running nodes, and removes services and network.
func (n *nodes) Remove(ctx context.Context) error {
	n.Detach()
	all := func(map[string]string) bool { return true }
	return n.runtime.engine.Lost(n.runtime.remove(ctx, all, n.runtime.engine.OfTrial(n.spec)...))
}
