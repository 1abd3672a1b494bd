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
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/client"
	"github.com/equic-bench/equic-bench/record"
)

// moreGarbage is by how much the heap may grow between two collections, in %: the
// generator must not be the bottleneck, and its memory use is not measured.
const moreGarbage = 400

func main() {
	debug.SetGCPercent(moreGarbage)
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
	flags.IntVar(&o.Requests, "requests", 0, "number of requests; or give -duration")
	flags.DurationVar(&o.Duration, "duration", 0, "stop starting requests this long after the first one was due")
	flags.Float64Var(&o.Rate, "rate", 0, "scheduled starts per second; 0: each request starts when the last has ended")
	flags.DurationVar(&o.Pace, "pace", 0,
		"from one start to the next, of sequential requests; one that takes longer delays the next (not with -rate)")
	flags.DurationVar(&o.Delay, "delay", 0, "from the epoch to the first request")
	flags.IntVar(&o.MaxInFlight, "max-in-flight", 0, "bound on parallel requests in flight; 0: the number of requests")
	flags.DurationVar(&o.Timeout, "timeout", 10*time.Second, "longest duration of a request")
	flags.DurationVar(&o.Hold, "hold", 0, "how long a parallel client's connection stays open after its response")
	exchange := flags.String("key-exchange", string(client.X25519MLKEM768),
		"what to offer in TLS: x25519mlkem768 or x25519")
	flags.Func("sources", "a private `network` of this machine, to send from -addresses of it in turn",
		func(text string) (err error) {
			o.Sources.Network, err = netip.ParsePrefix(text)
			return err
		})
	flags.IntVar(&o.Sources.Count, "addresses", 0, "how many addresses of -sources to send from; 0: the system chooses one")
	flags.BoolVar(&o.Summary, "summary", false,
		"print one JSON summary (outcomes, rate, quantiles of times) in place of the records")
	flags.StringVar(&o.Path, "path", "/", "what to request")
	protocol := flags.String("protocol", string(client.H3),
		"what to speak above QUIC: h3, or hq-interop (a plain request on a stream)")
	flags.Int64Var(&o.BodyBytes, "body", 256<<10, "size of a whole response in bytes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.Mode, o.KeyExchange, o.Protocol = client.Mode(*mode), client.KeyExchange(*exchange), client.Protocol(*protocol)
	o.Node = os.Getenv(record.EnvNode)
	o.Clock, err = record.NewClock(os.Getenv)
	return o, err
}
