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
	go interrupt(cancel)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// interrupt ends the program in order at the first signal. At the second it
// asks for patience, as what is left behind is somebody's work; at the third it
// gives up.
func interrupt(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	cancel()
	<-signals
	fmt.Fprintln(os.Stderr, "equic-bench: still removing what the run made; once more ends it now, and leaves the rest to `equic-bench clean`")
	<-signals
	os.Exit(exitInterrupted)
}
