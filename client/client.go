// Package client is the load generator: it sends HTTP/3 requests to one server, each on
// a new connection, and records how each of them ended.
//
// It runs in the client nodes of a trial (cmd/equic-client is its main) and
// prints the records of package record.
package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// Mode is how one client schedules its requests.
type Mode string

// The modes of docs/method.md, Load.
const (
	// Sequential sends one request at a time: a closed loop, with or without a pace, or
	// at a rate. A request starts late if its time comes before the last one has ended.
	Sequential Mode = "sequential"
	// Parallel is an open loop: requests start on schedule even if earlier ones have
	// not ended, up to MaxInFlight.
	Parallel Mode = "parallel"
)

// KeyExchange is the group of a client's key share (RFC 8446, section 4.2.8).
type KeyExchange string

// The groups. The hybrid one is the default of crypto/tls. Its ClientHello fills two
// QUIC packets, and costs the client more.
const (
	X25519MLKEM768 KeyExchange = "x25519mlkem768"
	X25519         KeyExchange = "x25519"
)

// Protocol is what a client speaks above QUIC.
type Protocol string

// The protocols.
const (
	H3 Protocol = "h3"
	// HQ is HTTP/0.9 on a QUIC stream: a line with the path, answered with the body. It is
	// what QUIC implementations without HTTP/3 speak in tests of interoperability.
	HQ Protocol = "hq-interop"
)

// curves returns the setting for crypto/tls. Nil is its default.
func (k KeyExchange) curves() []tls.CurveID {
	if k == X25519 {
		return []tls.CurveID{tls.X25519}
	}
	return nil
}

// Options describe the load of one client.
type Options struct {
	Server string // host:port
	Mode   Mode
	// Give either Requests or Duration. With Duration, no request starts once that time has
	// passed since the first intended start. Requests in flight then continue.
	Requests int
	Duration time.Duration
	// Rate is the number of scheduled starts per second; after late starts, the client catches
	// up.
	// Pace, for Sequential, is the time from one start to the next; a request that
	// takes longer delays all later ones. With neither, each request starts when the
	// last one ends.
	Rate        float64
	Pace        time.Duration
	Delay       time.Duration // from the epoch to the first start
	MaxInFlight int           // for Parallel; zero is the number of requests
	Timeout     time.Duration // per request, from its actual start
	// Hold, for Parallel, is how long a connection stays open after its response. It
	// counts as in flight during that time.
	Hold time.Duration
	// Sources are addresses from which to send, in turn. Without any, the system chooses.
	Sources     record.Sources
	Path        string      // of what is requested; empty is "/"
	Protocol    Protocol    // empty is H3
	BodyBytes   int64       // what a whole response has
	KeyExchange KeyExchange // what the client offers in TLS; empty is X25519MLKEM768
	Node        string      // the node's name
	Summary     bool        // print a Summary in place of the records
	Clock       *record.Clock
}

func (o *Options) validate() error {
	switch {
	case o.Server == "":
		return errors.New("no server given: want host:port")
	case o.Mode != Sequential && o.Mode != Parallel:
		return fmt.Errorf("unknown mode %q: want %s or %s", o.Mode, Sequential, Parallel)
	case o.KeyExchange != "" && o.KeyExchange != X25519MLKEM768 && o.KeyExchange != X25519:
		return fmt.Errorf("unknown key exchange %q: want %s or %s", o.KeyExchange, X25519MLKEM768, X25519)
	case o.Protocol != "" && o.Protocol != H3 && o.Protocol != HQ:
		return fmt.Errorf("unknown protocol %q: want %s or %s", o.Protocol, H3, HQ)
	case o.Requests < 0:
		return fmt.Errorf("%d requests: want at least 1", o.Requests)
	case o.Requests > maxRequests:
		return fmt.Errorf("%d requests: want at most %d", o.Requests, int(maxRequests))
	case o.Duration < 0:
		return fmt.Errorf("duration %v: want more than zero", o.Duration)
	case (o.Requests > 0) == (o.Duration > 0):
		return fmt.Errorf("%d requests and a duration of %v: want exactly one of the two", o.Requests, o.Duration)
	case o.Pace < 0:
		return fmt.Errorf("pace %v: want zero or more", o.Pace)
	case o.Pace > 0 && o.Mode != Sequential:
		return errors.New("pace is for sequential requests: parallel ones have a rate")
	case o.Pace > 0 && o.Rate != 0:
		return fmt.Errorf("pace %v and rate %g/s: want at most one of the two", o.Pace, o.Rate)
	case !(o.Rate >= 0 && o.Rate <= maxRate):
		return fmt.Errorf("rate %g/s: want zero to %g", o.Rate, float64(maxRate))
	case o.Mode == Parallel && o.Rate == 0:
		return errors.New("parallel requests need a rate: they are started by schedule")
	case o.Delay < 0:
		return fmt.Errorf("delay %v: want zero or more", o.Delay)
	case o.MaxInFlight < 0:
		return fmt.Errorf("max in flight %d: want zero or more", o.MaxInFlight)
	case o.Timeout <= 0:
		return fmt.Errorf("timeout %v: want more than zero", o.Timeout)
	case o.Hold < 0:
		return fmt.Errorf("hold %v: want zero or more", o.Hold)
	case o.Hold > 0 && o.Mode != Parallel:
		return errors.New("hold is for parallel requests: a sequential client closes its connection")
	case o.BodyBytes < 0:
		return fmt.Errorf("body of %d bytes: want zero or more", o.BodyBytes)
	}
	if err := o.Sources.Validate(); err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	return nil
}

const (
	maxRate     = 1e9 // more than a client can start per second
	maxRequests = 1e9 // more than a client's memory can hold
)

// scheduledNS returns the start of request i at the rate, relative to the epoch.
func (o *Options) scheduledNS(i int) int64 {
	return int64(o.Delay) + int64(float64(i)/o.Rate*1e9)
}

// more reports whether request i is still to be started at a time.
func (o *Options) more(i int, atNS int64) bool {
	if o.Requests > 0 {
		return i < o.Requests
	}
	return atNS < int64(o.Delay+o.Duration)
}

// Run sends the load and prints its records to out: ready, then progress at most once a
// second. At the end it prints every request, in the order of the schedule, and the
// client's totals; with o.Summary it prints only a Summary, at the end. Requests that
// fail are records, not errors. If ctx ends, the requests in flight are canceled, and the
// records so far are printed.
func Run(ctx context.Context, o Options, out io.Writer) error {
	if err := o.validate(); err != nil {
		return err
	}
	d, err := newDialer(o)
	if err != nil {
		return err
	}
	defer func() { _ = d.sockets.close() }()
	l := newLoad(o, d.request)
	if o.Summary {
		l.run(ctx)
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(l.summary())
	}
	printer := record.NewPrinter(out)
	ready := record.Ready{Node: o.Node, AtNS: o.Clock.Now()}
	if err := printer.Print(record.Line{Ready: &ready}); err != nil {
		return err
	}

	stop := printer.PrintProgress(l.progress)
	l.run(ctx)
	stop()
	return printer.Print(l.lines()...)
}
