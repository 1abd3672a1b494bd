// Command equic-bench runs the experiments and reports on them. This package parses the flags and returns the
// exit code. It joins the packages of the pipeline (scenarios, orchestrate with a runtime, report), and only
// this package imports them all.
//
// Standard output is data, standard error is progress.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

func main() {
	// A closed reader, such as tee or head, must not end a run before it has removed
	// what it made. Writes to it fail, with no other effect.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	second := &secondSignal{come: make(chan struct{})}
	go interrupt(cancel, second)
	os.Exit(run(ctx, second, os.Args[1:], os.Stdout, os.Stderr))
}

// interrupt shuts the program down cleanly at the first signal. At the second, a run kills
// its nodes instead of waiting for them, and any other command ends at once. At the
// third, a run also ends at once, without removing what is left.
func interrupt(cancel context.CancelFunc, second *secondSignal) {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // it is ignored under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	<-signals
	cancel()
	<-signals
	if second.wanted.Load() {
		close(second.come)
		fmt.Fprintln(os.Stderr, "equic-bench: killing and removing what the run made; a third signal ends it, and leaves "+
			"the rest to `equic-bench clean`")
		<-signals
	}
	os.Exit(exitInterrupted)
}

// secondSignal is for a command that hurries up at a second signal instead of ending.
type secondSignal struct {
	come   chan struct{} // closed when the signal arrives
	wanted atomic.Bool
}

// hurry returns a channel that is closed when a second signal arrives. Once hurry has been called, that
// signal does not end the program. If main does not handle signals, s is nil, and so is the channel.
func (s *secondSignal) hurry() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.wanted.Store(true)
	return s.come
}
