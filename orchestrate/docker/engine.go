package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/equic-bench/equic-bench/orchestrate"
)

// Engine is a connection to an engine, with what the runtimes that use one have in
// common.
type Engine struct {
	*client.Client

	// Owner names this process in the labels of its resources.
	Owner string
}

// Connect connects to the engine that the docker command would use, and asks it what it is.
// The error is ErrNoEngine if none answers.
func Connect(ctx context.Context) (_ *Engine, _ system.Info, err error) {
	c, err := newClient()
	if err != nil {
		return nil, system.Info{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	info, err := c.Info(ctx)
	if err != nil {
		return nil, info, noEngine("ask the engine at "+c.DaemonHost(), err)
	}
	if info.OSType != "linux" {
		return nil, info, fmt.Errorf("%w: the one at %s runs %s containers, not Linux ones; switch it, or set DOCKER_HOST",
			ErrRefused, c.DaemonHost(), info.OSType)
	}
	if err := refusePodman(ctx, c); err != nil {
		return nil, info, err
	}
	return &Engine{Client: c, Owner: thisProcess()}, info, nil
}

// Lost adds to an error that the engine has stopped answering, if that is its cause.
func (e *Engine) Lost(err error) error {
	if !Silent(err) {
		return err
	}
	return fmt.Errorf("%w: the one at %s stopped answering: %w; restart the engine, then run `equic-bench clean`",
		ErrNoEngine, e.DaemonHost(), err)
}

// Silent reports whether an error means that the engine is gone or hangs. The time
// limits are longer than a working engine needs.
func Silent(err error) bool {
	is := func(broken error) bool { return errors.Is(err, broken) }
	return client.IsErrConnectionFailed(err) ||
		slices.ContainsFunc([]error{
			io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE,
			context.DeadlineExceeded,
		}, is)
}

// Labels returns the labels of a resource of a trial; the role is that of a node, or empty.
func (e *Engine) Labels(spec orchestrate.Spec, role string) map[string]string {
	l := map[string]string{
		LabelRun:     spec.Run,
		labelOwner:   e.Owner,
		labelTrial:   trialID(spec),
		labelVariant: spec.Trial.Label(),
	}
	if role != "" {
		l[labelRole] = role
	}
	return l
}

// OfTrial returns the labels ("name=value") of the resources that this process made for a trial.
// Another process may be running, or continuing, the same run.
func (e *Engine) OfTrial(spec orchestrate.Spec) []string {
	return []string{LabelRun + "=" + spec.Run, labelTrial + "=" + trialID(spec), labelOwner + "=" + e.Owner}
}

// Dead reports whether the process of the run with these labels has ended.
func Dead(labels map[string]string) bool { return !alive(labels[labelOwner]) }
