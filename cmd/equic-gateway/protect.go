package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
)

// protect attaches the gateway and answers its socket until the context ends.
// The socket comes first: one that is alive tells of a gateway that already
// runs, before anything of that one is touched.
func protect(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	socket, err := control.Listen(ctx, o.socket)
	if err != nil {
		return machineError{err}
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	if o.events {
		events := startEvents(stdout, log)
		defer events.stop()
		o.gateway.Events = events.in
	}
	g, err := equic.Attach(o.gateway)
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if o.metrics != "" {
		m, err := startMetrics(ctx, o.metrics, g, log)
		if err != nil {
			return machineError{err}
		}
		defer m.stop()
	}
	log.Info("attached", "interface", o.gateway.Interface, "mode", g.Mode(), "socket", o.socket)
	return serve(ctx, g, o.gateway.Ports, socket, log)
}

// serve answers the socket until the context ends. The error says if that was by
// SIGINT.
func serve(ctx context.Context, g *equic.Gateway, ports []equic.Port, socket net.Listener, log *slog.Logger) error {
	server := control.NewServer(control.Options{
		Gateway: g, Allowed: g.Allowed(), Denied: g.Denied(), Ports: ports, Log: log,
	})
	if err := server.Serve(ctx, socket); err != nil {
		return err
	}
	log.Info("ended")
	if cause := context.Cause(ctx); errors.Is(cause, errInterrupted) {
		return cause
	}
	return nil
}

// explain tells wrong options from what the machine lacks.
func explain(err error) error {
	if errors.Is(err, equic.ErrOptions) {
		return usageError{err}
	}
	return machineError{err}
}
