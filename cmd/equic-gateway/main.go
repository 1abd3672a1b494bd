// Command equic-gateway blocks QUIC clients in the kernel on behalf of a server
// that is not written in Go: it attaches the XDP program of the package equic to
// an interface, and counts the clients that the server names on a Unix socket.
//
// Standard output is data (events), standard error is a log. docs/gateway.md
// describes it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A log or an event without a reader must not end the protection.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := untilSignal(context.Background())
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// untilSignal cancels a context on SIGTERM, or on SIGINT with the cause errInterrupted.
// A second signal ends the process at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		select {
		case got := <-signals:
			if got == os.Interrupt {
				cancel(errInterrupted)
			}
			cancel(nil)
		case <-ctx.Done():
		}
		signal.Stop(signals)
	}()
	return ctx, func() { cancel(nil) }
}
