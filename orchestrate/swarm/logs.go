package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// logLimit bounds the reading of a node's whole output after its end.
const logLimit = 30 * time.Second

// follow copies a node's output while it runs, then what is missing of it. The stream of a
// running task may break, and that of a task that has ended stays open: so each reading starts
// at the beginning, and skips what has been written.
func (n *nodes) follow(ctx context.Context, node *node, task string, stdout, stderr io.Writer) {
	defer close(node.copied)
	out, log := &resumed{to: stdout}, &resumed{to: stderr}
	running, ended := context.WithCancel(ctx)
	defer ended()
	n.working.Go(func() {
		select {
		case <-node.ended:
			ended()
		case <-running.Done():
		}
	})
	for running.Err() == nil {
		_ = n.copyLog(running, task, true, out, log) // the reading after the end reports what is wrong
		pause(running)
	}
	n.mu.Lock()
	done := node.killed || node.err != nil
	n.mu.Unlock()
	if done {
		return
	}
	limited, cancel := context.WithTimeout(ctx, logLimit)
	defer cancel()
	for {
		err := n.copyLog(limited, task, false, out, log)
		if err == nil || errdefs.IsNotFound(err) { // not found: its service is removed
			return
		}
		if limited.Err() != nil {
			n.incomplete(node, err)
			return
		}
		pause(limited)
	}
}

// pause waits before the next reading.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(pollInterval):
	}
}

// incomplete records that a node's output could not be read to its end.
func (n *nodes) incomplete(node *node, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	host := nameOf(n.hosts[node.spec.Name])
	node.err = &orchestrate.LostError{Reason: fmt.Sprintf("the output of %s cannot be read from %s: %v", node.spec.Name, host, err)}
}

// copyLog reads a task's output from its beginning.
func (n *nodes) copyLog(ctx context.Context, task string, follow bool, stdout, stderr *resumed) error {
	stdout.seen, stderr.seen = 0, 0
	stream, err := n.runtime.engine.TaskLogs(ctx, task, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: follow, Tail: "all",
	})
	if err != nil {
		return err
	}
	_, err = stdcopy.StdCopy(stdout, stderr, stream)
	return errors.Join(err, stream.Close())
}

// resumed writes a stream that is read several times from its beginning: each byte once.
type resumed struct {
	to            io.Writer
	seen, written int64 // bytes of this reading, and of all
}

// Write passes on what has not been written before.
func (r *resumed) Write(p []byte) (int, error) {
	fresh := p[min(int64(len(p)), max(0, r.written-r.seen)):]
	r.seen += int64(len(p))
	if len(fresh) == 0 {
		return len(p), nil
	}
	k, err := r.to.Write(fresh)
	r.written += int64(k)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
