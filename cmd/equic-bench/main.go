// Command equic-bench runs the experiments and reports on them: flags in, exit
// code out. It joins the packages of the pipeline (scenarios, orchestrate with
// a runtime, report) and is the only one to know them all.
//
// Standard output is data, standard error is progress.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the clean-up
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
