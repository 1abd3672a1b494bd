// Command equic-bench runs the experiments and reports on them: flags in, exit
// code out. It joins the packages of the pipeline (scenarios, orchestrate with
// a runtime, report) and is the only one to know them all.
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
	// A reader that has gone, such as tee or head, must not end a run before it
	// has removed what it made: what is written to it fails, and that is all.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(context.Background())
	second := &secondSignal{come: make(chan struct{})}
	go interrupt(cancel, second)
	os.Exit(run(ctx, second, os.Args[1:], os.Stdout, os.Stderr))
}

// interrupt ends the program in order at the first signal. At the second a run
// kills what it would wait for, and any other command ends as it is. At the
// third a run too ends with what it has not removed yet.
func interrupt(cancel context.CancelFunc, second *secondSignal) {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	<-signals
	cancel()
	<-signals
	if second.wanted.Load() {
		close(second.come)
		fmt.Fprintln(os.Stderr, "equic-bench: killing and removing what the run made; once more ends it now, and leaves "+
			"the rest to `equic-bench clean`")
		<-signals
	}
	os.Exit(exitInterrupted)
}

// secondSignal is for a command that does not end at a second signal, but
// hurries up.
type secondSignal struct {
	come   chan struct{} // closed when it comes
	wanted atomic.Bool
}

// hurry is closed when a second signal comes, which then does not end the
// program. Without main's signals, s is nil and so is the channel: none comes.
func (s *secondSignal) hurry() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.wanted.Store(true)
	return s.come
}
