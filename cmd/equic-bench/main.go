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
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	hurry := make(chan struct{})
	go interrupt(cancel, hurry)
	os.Exit(run(context.WithValue(ctx, hurryKey{}, hurry), os.Args[1:], os.Stdout, os.Stderr))
}

// interrupt ends the program in order at the first signal. At the second a run
// kills what it would wait for. At the third the program ends with what it has
// not removed yet.
func interrupt(cancel context.CancelFunc, hurry chan<- struct{}) {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	cancel()
	<-signals
	close(hurry)
	fmt.Fprintln(os.Stderr, "equic-bench: killing and removing what the run made; once more ends it now, and leaves the rest to `equic-bench clean`")
	<-signals
	os.Exit(exitInterrupted)
}

type hurryKey struct{}

// hurry is closed when a second signal comes; nil, which never is, in a context
// that is not main's.
func hurry(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(hurryKey{}).(chan struct{})
	return c
}
