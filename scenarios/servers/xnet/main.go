// Command xnet is a small server on golang.org/x/net/quic, to be measured
// (scenarios/servers/xnet.yaml). That package has no HTTP/3 that others can use, so the
// server speaks HTTP/0.9 on QUIC streams (hq-interop): it answers each line "GET /path"
// with the same body.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/quic"
)

// closeTimeout is the longest wait for clients at the end.
const closeTimeout = time.Second

// mostLine is the size of the longest request, in bytes.
const mostLine = 1024

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "xnet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("xnet", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:4433", "address and UDP port")
	certificate := flags.String("certificate", "", "file with the certificate (PEM)")
	key := flags.String("key", "", "file with its key (PEM)")
	body := flags.String("body", "", "file that is every response")
	retry := flags.Bool("retry", false, "validate each client's address by a Retry (RFC 9000, 8.1.2)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	response, err := os.ReadFile(*body)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	endpoint, err := quic.Listen("udp", *listen, &quic.Config{
		TLSConfig: &tls.Config{
			Certificates:           []tls.Certificate{pair},
			MinVersion:             tls.VersionTLS13,
			NextProtos:             []string{"hq-interop"},
			SessionTicketsDisabled: true,
		},
		RequireAddressValidation: *retry,
	})
	if err != nil {
		return fmt.Errorf("listen on %s: %w", *listen, err)
	}
	fmt.Println("listening on", endpoint.LocalAddr())
	err = accept(ctx, endpoint, response)
	closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = endpoint.Close(closing) // clients that do not answer are left
	return err
}

// accept serves connections until the context ends.
func accept(ctx context.Context, endpoint *quic.Endpoint, response []byte) error {
	for {
		conn, err := endpoint.Accept(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go serve(ctx, conn, response)
	}
}

// serve answers the requests of one connection until it ends.
func serve(ctx context.Context, conn *quic.Conn, response []byte) {
	for {
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return // the client has closed the connection
		}
		go func() {
			if err := answer(stream, response); err != nil {
				stream.Reset(1)
			}
		}()
	}
}

// answer reads a request, "GET /path", and writes the response.
func answer(stream *quic.Stream, response []byte) error {
	line, err := bufio.NewReader(io.LimitReader(stream, mostLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !strings.HasPrefix(line, "GET /") {
		return fmt.Errorf("%q is no request", line)
	}
	if _, err := io.Copy(stream, bytes.NewReader(response)); err != nil {
		return err
	}
	return stream.Close()
}
