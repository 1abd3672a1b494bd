// Command equic-server is the measured server of a trial: HTTP/3 with a quota of
// simultaneous connections per client address. It prints records (JSON lines) on
// standard output and logs on standard error. It shuts down cleanly on SIGTERM and SIGINT.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/server"
	"github.com/equic-bench/equic-bench/server/certificate"
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
		_, _ = fmt.Fprintln(stderr, "equic-server:", err)
		return 2
	}
	if err := server.Run(ctx, o, stdout); err != nil {
		_, _ = fmt.Fprintln(stderr, "equic-server:", err)
		return 1
	}
	return 0
}

func options(args []string, stderr io.Writer) (o server.Options, err error) {
	flags := flag.NewFlagSet("equic-server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Listen, "listen", ":4433", "UDP address to listen on")
	family := flags.String("family", string(record.FamilyIPv4),
		"version of IP to listen on: "+strings.Join(record.FamilyNames(), ", "))
	variant := flags.String("variant", string(record.NoBlock),
		"what turns clients away: "+strings.Join(record.VariantNames(), ", "))
	flags.Func("limiter", "replaced by -variant",
		func(string) error { return errors.New("use -variant, which takes the name of a variant") })
	flags.IntVar(&o.Quota, "quota", 5, "simultaneous connections admitted per client address")
	flags.Int64Var(&o.BodyBytes, "body", 256<<10, "size of the response to / in bytes")
	flags.DurationVar(&o.IdleTimeout, "idle-timeout", 5*time.Second, "QUIC idle timeout")
	key := flags.String("key", string(certificate.ECDSA),
		"key of the certificate, unless "+certificate.EnvCertificate+" and "+
			certificate.EnvKey+" are set: ecdsa-p256, rsa-2048 or rsa-4096")
	flags.Func("retry", "when to answer with a Retry, if the variant does: always, or above this many handshakes from "+
		"unvalidated addresses in progress; without it, above "+strconv.Itoa(equic.DefaultHalfOpenPerCPU)+
		" for each CPU, at least for two, and "+
		strconv.Itoa(equic.DefaultHalfOpenPerClient)+" of one client", func(text string) (err error) {
		o.Retry, err = server.ParseRetry(text)
		return err
	})
	flags.StringVar(&o.Interface, "interface", "eth0", "network interface for the xdp variants, by `name` or address")
	mode := flags.String("xdp-mode", "native", "XDP mode: native or generic")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.Interface, err = device(o.Interface); err != nil {
		return o, err
	}
	if o.Variant, err = record.ParseVariant(*variant); err != nil {
		return o, err
	}
	if o.Family, err = record.ParseFamily(*family); err != nil {
		return o, err
	}
	o.Key = certificate.KeyType(*key)
	if o.Certificate, err = certificate.FromEnvironment(os.Getenv); err != nil {
		return o, err
	}
	if o.XDPMode, err = equic.ParseMode(*mode); err != nil {
		return o, err
	}
	if o.Clock, err = record.NewClock(os.Getenv); err != nil {
		return o, err
	}
	o.Node = os.Getenv(record.EnvNode)
	o.Log = slog.New(slog.NewTextHandler(stderr, nil))
	return o, nil
}
