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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/equic/control"
)

// protect attaches the gateway and serves its socket until the context ends. What is
// pinned outlives that.
func protect(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	socket, err := control.ListenFor(ctx, o.socket, o.access)
	if errors.Is(err, control.ErrInUse) && o.gateway.Pin != "" { // by the gateway that is to be taken over
		o.gateway.TakeOver = func() error { return takeOver(ctx, o.socket, o.gateway.Pin) }
		err = o.tryAccess(ctx)
	}
	if err != nil {
		return machineError{err}
	}
	defer func() {
		if socket != nil {
			err = errors.Join(err, socket.Close())
		}
	}()
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
	_, absent := os.Stat(o.gateway.Pin)
	g, err := equic.Attach(o.gateway)
	if err != nil {
		return explain(err)
	}
	serves := false
	defer func() {
		if absent != nil && !serves { // nothing was there before
			err = errors.Join(err, g.Close())
		}
		err = errors.Join(err, g.Leave())
	}()
	if socket == nil { // the socket may belong to a gateway with another folder
		socket, err = awaitFree(ctx, control.ErrInUse, func() (net.Listener, error) {
			return control.ListenFor(ctx, o.socket, o.access)
		})
		if err != nil {
			return machineError{err}
		}
	}
	if o.metrics != "" {
		metrics, err := o.startMetrics(ctx, g, log)
		switch {
		case err == nil:
			defer metrics.stop()
		case o.gateway.TakeOver == nil:
			return machineError{err}
		default: // the predecessor has gone: without this process, quotas would lapse
			log.Error("the gateway runs without metrics", "error", err)
		}
	}
	serves = true
	w.watch(g)
	state := func() string { return stateOf(g.Attachments()) }
	stop := startReloader(&reloader{files: o.files.of(g), log: log, manager: m, state: state}, hangups)
	defer stop()
	log.Info("attached", "interfaces", o.gateway.Interfaces, "mode", g.Mode(), "socket", o.socket,
		"allowed", len(g.Allowed().Prefixes()), "denied", len(g.Denied().Prefixes()), "inherited", g.Inherited())
	if g.Monitor() {
		log.Warn("monitor mode is on: nothing is dropped")
	}
	m.ready(state())
	defer m.stopping()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	so := control.Options{
		Gateway: g, Allowed: g.Allowed(), Denied: g.Denied(), Ports: g.Ports(), Log: log, Folder: o.gateway.Pin,
	}
	if o.gateway.Pin != "" { // leave first: sessions that end after that change no pinned counts
		so.HandOver = func() {
			if err := g.Leave(); err != nil {
				log.Error("hand over", "error", err)
			}
			end(errHandedOver)
			stopServing()
		}
	}
	server, stopNow := control.NewServer(so), stopServing
	if so.HandOver != nil {
		stopNow = server.HandOver
	}
	defer context.AfterFunc(ctx, stopNow)()
	if err := server.Serve(serving, socket); err != nil {
		return err
	}
	return reportEnd(context.Cause(ctx), log, so.HandOver != nil)
}

// tryAccess reports whether the socket can get its group and mode, by another one beside it. After a
// predecessor has given the gateway up it would be too late for an error.
func (o *options) tryAccess(ctx context.Context) error {
	if o.access == (control.Access{}) {
		return nil
	}
	l, err := control.ListenFor(ctx, o.socket+"~", o.access)
	if err != nil {
		return err
	}
	return l.Close()
}

// errHandedOver is the cause with which a successor ends the program.
var errHandedOver = errors.New("handed over")

// The time within which an earlier process must close its sockets, and how often to look.
const (
	socketTime = 10 * time.Second
	socketLook = 2 * time.Millisecond
)

// awaitFree opens something that an earlier process may still have open. It tries again for up to socketTime
// while open returns inUse.
func awaitFree[T any](ctx context.Context, inUse error, open func() (T, error)) (T, error) {
	for end := time.Now().Add(socketTime); ; time.Sleep(socketLook) {
		l, err := open()
		if !errors.Is(err, inUse) || time.Now().After(end) || ctx.Err() != nil {
			return l, err
		}
	}
}

// startMetrics starts the metrics. The process that is taken over may still have their
// address.
func (o *options) startMetrics(ctx context.Context, g *equic.Gateway, log *slog.Logger) (*metricsServer, error) {
	open := func() (*metricsServer, error) { return startMetrics(ctx, o.metrics, g, log) }
	if o.gateway.TakeOver == nil {
		return open()
	}
	return awaitFree(ctx, syscall.EADDRINUSE, open)
}

// takeOver makes the process that listens on a socket give its gateway up, if it is the one in a folder.
func takeOver(ctx context.Context, socket, folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	replies, err := ask(ctx, socket, "handover "+folder)
	if err != nil {
		return err
	}
	if replies[0] != "ok" {
		return fmt.Errorf("the process that listens on %s replied %s", socket, replies[0])
	}
	return nil
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

// reportEnd logs the end, and returns its cause if that is SIGINT or a machineError.
func reportEnd(cause error, log *slog.Logger, pinned bool) error {
	log.Info("ended", "handed_over", errors.Is(cause, errHandedOver), "stays_attached", pinned)
	if _, machine := errors.AsType[machineError](cause); machine || errors.Is(cause, errInterrupted) {
		return cause
	}
	return nil
}

// detachedFor is how long the gateway waits for an interface that has disappeared, for
// example while its driver is reloaded, before it ends.
const detachedFor = 10 * time.Second

// stateOf describes attachments for the service manager.
func stateOf(all []equic.Attachment) string {
	var parts []string
	for _, at := range all {
		switch {
		case !at.Attached:
			parts = append(parts, fmt.Sprintf("not attached to %s, nothing is dropped there: %v", at.Interface, at.Err))
		case at.Interface == "":
			parts = append(parts, fmt.Sprintf("attached (%s)", at.Mode))
		default:
			parts = append(parts, fmt.Sprintf("attached to %s (%s)", at.Interface, at.Mode))
		}
	}
	return strings.Join(parts, "; ")
}

// watcher logs changes of the attachments, and ends the program if nothing is attached
// anywhere for too long. An interface that is gone brings no packets; the others are
// protected.
type watcher struct {
	log     *slog.Logger
	end     context.CancelCauseFunc
	manager *manager

	mu    sync.Mutex
	of    interface{ Attachments() []equic.Attachment } // nil before watch
	timer *time.Timer                                   // runs while nothing is attached
}

// watch begins to watch a gateway.
func (w *watcher) watch(g *equic.Gateway) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of = g
	w.updateTimer(g.Attachments())
}

// changed is called by the gateway (OnAttachment).
func (w *watcher) changed(now equic.Attachment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Attached {
		w.log.Info("attached", "interface", now.Interface, "mode", now.Mode)
	} else {
		w.log.Error("not attached: nothing is dropped", "interface", now.Interface, "error", now.Err)
	}
	if w.of != nil {
		all := w.of.Attachments()
		w.manager.status(stateOf(all))
		w.updateTimer(all)
	}
}

// updateTimer starts or stops the timer. Callers hold mu.
func (w *watcher) updateTimer(all []equic.Attachment) {
	somewhere := slices.ContainsFunc(all, func(at equic.Attachment) bool { return at.Attached })
	switch {
	case somewhere && w.timer != nil:
		w.timer.Stop()
		w.timer = nil
	case !somewhere && w.timer == nil:
		w.log.Error("nothing is attached", "ends_in", detachedFor)
		w.timer = time.AfterFunc(detachedFor, func() {
			w.end(machineError{fmt.Errorf("nothing was attached for %v: %s", detachedFor, stateOf(all))})
		})
	}
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
