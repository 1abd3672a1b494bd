// Command equic-flood is an attacker of a trial that behaves unlike any honest client: it sends
// Initials that no handshake follows, or datagrams that are not QUIC, to one server. It prints
// records (JSON lines) on standard output and logs on standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/equic-bench/equic-bench/flood"
	"github.com/equic-bench/equic-bench/record"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := options(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "equic-flood:", err)
		return 2
	}
	if err := flood.Run(ctx, o, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "equic-flood:", err)
		return 1
	}
	return 0
}

func options(args []string, stderr io.Writer) (o flood.Options, err error) {
	flags := flag.NewFlagSet("equic-flood", flag.ContinueOnError)
	flags.SetOutput(stderr)
	kind := flags.String("kind", string(record.HalfOpen), "half-open, spoofed, junk or short")
	flags.IntVar(&o.Frames, "requests", 0, "number of frames; or give -duration")
	flags.DurationVar(&o.Duration, "duration", 0, "stop sending frames this long after the first one was due")
	flags.Float64Var(&o.Rate, "rate", 0, "frames per second; 0: as many as possible")
	flags.DurationVar(&o.Delay, "delay", 0, "from the epoch to the first frame")
	flags.StringVar(&o.Interface, "interface", "",
		"send whole frames through this interface, by eBPF; without one, through sockets")
	flags.Func("sources", "a private `network`: kind spoofed sends from all of it, other kinds from -addresses of it",
		func(text string) (err error) {
			o.Sources, err = netip.ParsePrefix(text)
			return err
		})
	flags.IntVar(&o.Addresses, "addresses", 0, "how many addresses of -sources to send from, in turn; 0: from the node's own")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.Kind, o.Node = record.Attack(*kind), os.Getenv(record.EnvNode)
	if o.Server, err = netip.ParseAddrPort(os.Getenv(record.EnvFloodTarget)); err != nil {
		return o, fmt.Errorf("%s, which a run sets: %w", record.EnvFloodTarget, err)
	}
	o.Clock, err = record.NewClock(os.Getenv)
	return o, err
}
