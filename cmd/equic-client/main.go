// Command equic-client is the load generator of a trial: it sends HTTP/3
// requests to one server, each on a new connection. It prints records (JSON
// lines) on standard output and logs on standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/client"
	"github.com/equic-bench/equic-bench/results"
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
		_, _ = fmt.Fprintln(stderr, "equic-client:", err)
		return 2
	}
	if err := client.Run(ctx, o, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "equic-client:", err)
		return 1
	}
	return 0
}

func options(args []string, stderr io.Writer) (o client.Options, err error) {
	flags := flag.NewFlagSet("equic-client", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Server, "server", "", "the server, as host:port")
	mode := flags.String("mode", string(client.Sequential), "sequential (one request at a time) or parallel (open loop)")
	flags.IntVar(&o.Requests, "requests", 1, "number of requests")
	flags.Float64Var(&o.Rate, "rate", 0, "scheduled starts per second; 0: each request starts when the last has ended")
	flags.DurationVar(&o.Delay, "delay", 0, "from the epoch to the first request")
	flags.IntVar(&o.MaxInFlight, "max-in-flight", 0, "bound on parallel requests in flight; 0: the number of requests")
	flags.DurationVar(&o.Timeout, "timeout", 10*time.Second, "longest duration of a request")
	flags.Int64Var(&o.BodyBytes, "body", 256<<10, "size of a whole response to / in bytes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.Mode = client.Mode(*mode)
	o.Node = os.Getenv(results.EnvNode)
	o.Clock, err = results.NewClock(os.Getenv)
	return o, err
}
