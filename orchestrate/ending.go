package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// kill ends the running nodes of a broken trial, and waits until all output has
// arrived.
func (t *trial) kill(ctx context.Context) error {
	for _, m := range t.members {
		if !m.running() {
			continue
		}
		m.kill()
		if err := t.signal(ctx, m, syscall.SIGKILL); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stopLimit, errors.New("a node outlives SIGKILL"))
	defer cancel()
	for {
		if firstNot(t.members, func(m *member) bool { return !m.running() }) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.changed:
		}
	}
}

// signal sends a signal, for stopLimit at most: the runtime may hang.
func (t *trial) signal(ctx context.Context, m *member, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	return t.nodes.Signal(ctx, m.spec.Name, signal)
}

// dismiss asks the nodes of an interrupted trial to end. It waits until they have ended, for
// stopLimit at most, or until Options.Hurry is closed. The removal then kills nodes that
// still run.
func (t *trial) dismiss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	message := fmt.Sprintf("interrupted: its nodes are asked to end, for %s at most", stopLimit)
	t.runner.emit(Event{Trial: t.plan, Phase: PhaseStop, Message: message})
	var errs []error
	for _, m := range t.members {
		if m.running() {
			m.stop()
			errs = append(errs, t.nodes.Signal(ctx, m.spec.Name, syscall.SIGTERM))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for firstNot(t.members, func(m *member) bool { return !m.running() }) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-t.runner.options.Hurry:
			return nil
		case <-t.changed:
		}
	}
	return nil
}

// teardown gives up the nodes: it removes them or, with Options.Keep, leaves them to
// the next trial, unless the run was interrupted.
func (t *trial) teardown(ctx context.Context) error {
	if t.runner.options.Keep && ctx.Err() == nil {
		t.nodes.Detach()
		t.runner.kept = t.nodes
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.spec.Limit())
	defer cancel()
	return t.nodes.Remove(ctx)
}
