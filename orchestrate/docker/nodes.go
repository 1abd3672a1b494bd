package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// nodes are the containers of one trial.
type nodes struct {
	runtime *Runtime
	spec    orchestrate.Spec
	byName  map[string]*node
}

var _ orchestrate.Nodes = (*nodes)(nil)

// node is one container.
type node struct {
	id        string
	openFiles int
	done      chan struct{} // closed when the node has ended and its output is copied

	mu      sync.Mutex
	release func() // ends the connections to the engine; nil before Start
	code    int
	err     error
}

// Open makes the network, then all containers at once, and starts none.
//
// The caller's context is checked before and after, but not while the engine works: an
// interrupted engine may complete a creation that we would not notice.
func (r *Runtime) Open(ctx context.Context, spec orchestrate.Spec) (_ orchestrate.Nodes, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := &nodes{runtime: r, spec: spec, byName: map[string]*node{}}
	for _, s := range spec.Nodes {
		n.byName[s.Name] = &node{openFiles: s.OpenFiles, done: make(chan struct{})}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.abandon(ctx))
		}
	}()
	if err := n.create(context.WithoutCancel(ctx)); err != nil {
		return nil, r.engine.Lost(err)
	}
	return n, ctx.Err()
}

func (n *nodes) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.spec.Limit())
	defer cancel()
	net, err := n.runtime.createNetwork(ctx, n.spec)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for _, s := range n.spec.Nodes {
		g.Go(func() error {
			id, err := n.runtime.createContainer(ctx, n.spec, s, net)
			node := n.byName[s.Name]
			node.mu.Lock()
			defer node.mu.Unlock()
			node.id = id
			return err
		})
	}
	return g.Wait()
}

// abandon removes the resources of an Open that failed.
func (n *nodes) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.spec.Limit())
	defer cancel()
	return n.Remove(ctx)
}

// Start attaches to a node's output, then starts it, so that no output is missed.
func (n *nodes) Start(ctx context.Context, name string, stdout, stderr io.Writer) error {
	node, engine := n.byName[name], n.runtime.engine
	output, err := attach(ctx, engine.Client, node.id)
	if err != nil {
		return n.runtime.engine.Lost(fmt.Errorf("attach to container %s: %w", name, err))
	}
	// Once the engine has answered, the wait outlives this call, until Detach.
	waiting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	answered := context.AfterFunc(ctx, cancel)
	exit, failed := engine.ContainerWait(waiting, node.id, container.WaitConditionNextExit)
	answered()
	node.mu.Lock()
	node.release = func() {
		cancel()
		output.Close()
	}
	node.mu.Unlock()
	go node.follow(output, stdout, stderr, exit, failed)
	if err := engine.ContainerStart(ctx, node.id, container.StartOptions{}); err != nil {
		return n.runtime.engine.Lost(fmt.Errorf("start container %s: %w", name, limited(err, node.openFiles)))
	}
	return nil
}

// follow copies a node's output to its end, then takes its exit code.
func (n *node) follow(
	output types.HijackedResponse, stdout, stderr io.Writer, exit <-chan container.WaitResponse, failed <-chan error,
) {
	defer close(n.done)
	_, err := stdcopy.StdCopy(stdout, stderr, output.Reader)
	if err != nil {
		err = fmt.Errorf("copy output: %w", err)
	}
	select {
	case e := <-exit:
		n.end(int(e.StatusCode), errors.Join(err, exitError(e)))
	case waitErr := <-failed:
		n.end(0, errors.Join(err, waitErr))
	}
}

// exitError returns the error that kept the engine from reporting an exit code.
func exitError(e container.WaitResponse) error {
	if e.Error == nil {
		return nil
	}
	return errors.New(e.Error.Message)
}

func (n *node) end(code int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.code, n.err = code, err
}

// Wait returns a node's exit code once its output is copied.
func (n *nodes) Wait(ctx context.Context, name string) (int, error) {
	node := n.byName[name]
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-node.done:
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	return node.code, n.runtime.engine.Lost(node.err)
}

// Signal sends a signal to the node's first process.
func (n *nodes) Signal(ctx context.Context, name string, signal syscall.Signal) error {
	err := n.runtime.engine.ContainerKill(ctx, n.byName[name].id, unix.SignalName(signal))
	if err != nil && !errdefs.IsConflict(err) { // conflict: it is not running
		return n.runtime.engine.Lost(fmt.Errorf("send %s to container %s: %w", unix.SignalName(signal), name, err))
	}
	return nil
}

// Location returns the zero value: nodes run on this machine, at the addresses in their specs.
func (*nodes) Location(string) orchestrate.Location { return orchestrate.Location{} }

// Arrived returns no count: the other ends of the containers' interfaces are not accessible.
func (*nodes) Arrived() (*orchestrate.Arrivals, error) { return nil, nil }

// Detach leaves the containers and stops copying their output.
func (n *nodes) Detach() {
	for _, node := range n.byName {
		node.detach()
	}
}

func (n *node) detach() {
	n.mu.Lock()
	release := n.release
	n.mu.Unlock()
	if release == nil {
		return
	}
	release()
	<-n.done
}

// Remove kills the running nodes and removes containers and network. It removes only those that
// this process made, as another process may be running, or continuing, the same run.
func (n *nodes) Remove(ctx context.Context) error {
	n.Detach()
	all := func(map[string]string) bool { return true }
	return n.runtime.engine.Lost(n.runtime.remove(ctx, all, n.runtime.engine.OfTrial(n.spec)...))
}
