package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
)

// protect attaches the gateway and serves its socket until the context ends. It opens
// the socket first: a live socket shows that a gateway already runs, before anything of
// that gateway is changed.
func protect(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	socket, err := control.ListenFor(ctx, o.socket, o.access)
	if err != nil {
		return machineError{err}
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	if o.events {
		events := startEvents(stdout, log)
		defer events.stop()
		o.gateway.Events = events.in
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	m := newManager(log)
	w := watcher{log: log, end: end, manager: m}
	defer w.stop()
	o.gateway.OnAttachment = w.changed
	g, err := equic.Attach(o.gateway)
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if o.metrics != "" {
		metrics, err := startMetrics(ctx, o.metrics, g, log)
		if err != nil {
			return machineError{err}
		}
		defer metrics.stop()
	}
	state := func() string { return stateOf(g.Attachment()) }
	stop := startReloader(&reloader{files: o.files.of(g), log: log, manager: m, state: state}, hangups)
	defer stop()
	log.Info("attached", "interface", o.gateway.Interface, "mode", g.Mode(), "socket", o.socket,
		"allowed", len(g.Allowed().Prefixes()), "denied", len(g.Denied().Prefixes()))
	if o.gateway.Monitor {
		log.Warn("monitor mode is on: nothing is dropped")
	}
	m.ready(state())
	defer m.stopping()
	return serve(ctx, g, o.gateway.Ports, socket, log)
}

// of returns the files that were given, with the lists of a gateway.
func (f listFiles) of(g *equic.Gateway) (files []listFile) {
	for _, file := range []listFile{{f.allow, g.Allowed()}, {f.deny, g.Denied()}} {
		if file.path != "" {
			files = append(files, file)
		}
	}
	return files
}

// serve serves the socket until the context ends. It returns the cause if that is
// SIGINT or a machineError.
func serve(ctx context.Context, g *equic.Gateway, ports []equic.Port, socket net.Listener, log *slog.Logger) error {
	server := control.NewServer(control.Options{
		Gateway: g, Allowed: g.Allowed(), Denied: g.Denied(), Ports: ports, Log: log,
	})
	if err := server.Serve(ctx, socket); err != nil {
		return err
	}
	log.Info("ended")
	cause := context.Cause(ctx)
	if _, machine := errors.AsType[machineError](cause); machine || errors.Is(cause, errInterrupted) {
		return cause
	}
	return nil
}

// detachedFor is how long the gateway waits for an interface that has disappeared, for
// example while its driver is reloaded, before it ends.
const detachedFor = 10 * time.Second

// stateOf describes an attachment for the service manager.
func stateOf(now equic.Attachment) string {
	switch {
	case !now.Attached:
		return fmt.Sprintf("not attached, nothing is dropped: %v", now.Err)
	case now.Interface == "":
		return fmt.Sprintf("attached (%s)", now.Mode)
	}
	return fmt.Sprintf("attached to %s (%s)", now.Interface, now.Mode)
}

// watcher logs changes of the attachment, and ends the program if nothing is attached
// for too long.
type watcher struct {
	log     *slog.Logger
	end     context.CancelCauseFunc
	manager *manager

	mu    sync.Mutex
	timer *time.Timer // runs while nothing is attached
}

// changed is called by the gateway (OnAttachment).
func (w *watcher) changed(now equic.Attachment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.manager.status(stateOf(now))
	if now.Attached {
		w.log.Info("attached", "interface", now.Interface, "mode", now.Mode)
		if w.timer != nil {
			w.timer.Stop()
		}
		return
	}
	w.log.Error("not attached: nothing is dropped", "interface", now.Interface, "error", now.Err, "ends_in", detachedFor)
	w.timer = time.AfterFunc(detachedFor, func() {
		w.end(machineError{fmt.Errorf("nothing was attached for %v: %w", detachedFor, now.Err)})
	})
}

func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// explain distinguishes wrong options from features that the machine lacks.
func explain(err error) error {
	if errors.Is(err, equic.ErrOptions) || errors.Is(err, equic.ErrListFull) {
		return usageError{err}
	}
	return machineError{err}
}
