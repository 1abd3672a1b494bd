// Package flood sends one server datagrams that no honest client sends: Initials without any further packets,
// or datagrams that are not QUIC.
//
// It runs in the attackers' nodes of a trial (cmd/equic-flood is its main). It prepares
// its datagrams before the load, and prints the records of package record.
package flood

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"time"

	"github.com/equic-bench/equic-bench/flood/wire"
	"github.com/equic-bench/equic-bench/record"
)

// Options describe the flood of one node.
type Options struct {
	// Server must be in a private or loopback network: a flood is only for the
	// project's own nodes.
	Server netip.AddrPort
	Kind   record.Attack
	// Frames or Duration ends the flood. Exactly one of them is set.
	Frames   int
	Duration time.Duration
	Rate     float64       // frames per second; zero is as many as possible
	Delay    time.Duration // from the epoch to the first frame
	// Interface is the interface through which eBPF sends whole frames (package wire).
	// If it is empty, sockets send the datagrams; they cannot send Spoofed.
	Interface string
	// Sources is a private network: Spoofed sends from random addresses in it. Other kinds
	// send from the first Addresses of it in turn (record.Sources), or, if Addresses is
	// zero, from the node's own address.
	Sources   netip.Prefix
	Addresses int
	Node      string // the node's name
	Clock     *record.Clock
}

// mostFrames is the limit of every flood.
const mostFrames = 1 << 32

// frameBytes is the size of each frame. A socket does not pad short datagrams.
func (o *Options) frameBytes() uint64 {
	size := uint64(wire.FrameBytes)
	if o.Server.Addr().Is6() {
		size = wire.FrameBytes6
	}
	if o.Kind == record.Short && o.Interface == "" {
		size -= payloadBytes - shortBytes
	}
	return size
}

// network returns the network of a socket to the server.
func (o *Options) network() string {
	if o.Server.Addr().Is6() {
		return "udp6"
	}
	return "udp4"
}

// own returns the addresses from which the node sends; none means its only address.
func (o *Options) own() record.Sources {
	if o.Addresses == 0 {
		return record.Sources{}
	}
	return record.Sources{Network: o.Sources, Count: o.Addresses}
}

func (o *Options) validate() error {
	server := o.Server.Addr()
	switch {
	case !server.IsValid() || server.Is4In6() || o.Server.Port() == 0:
		return fmt.Errorf("server %s: want an IPv4 or IPv6 address and a port", o.Server)
	case !server.IsPrivate() && !server.IsLoopback():
		return fmt.Errorf("server %s is in a public network: a flood is for the nodes of its own trial", o.Server)
	case !o.Kind.Flood():
		return fmt.Errorf("unknown kind %q: want one of %q", o.Kind, record.Floods)
	case o.Frames < 0 || o.Frames > mostFrames:
		return fmt.Errorf("%d frames: want 1 to %d", o.Frames, mostFrames)
	case o.Duration < 0 || o.Duration > time.Hour:
		return fmt.Errorf("duration %v: want up to an hour", o.Duration)
	case (o.Frames > 0) == (o.Duration > 0):
		return fmt.Errorf("%d frames and a duration of %v: want exactly one of the two", o.Frames, o.Duration)
	case o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0):
		return fmt.Errorf("rate %g/s: want zero or more", o.Rate)
	case o.Delay < 0:
		return fmt.Errorf("delay %v: want zero or more", o.Delay)
	}
	return o.validateSources()
}

func (o *Options) validateSources() error {
	if o.Kind != record.Spoofed {
		return o.validateAddresses()
	}
	of, least := "IPv4", 8
	if o.Server.Addr().Is6() {
		of, least = "IPv6", 16
	}
	switch network := o.Sources.Addr(); {
	case o.Interface == "":
		return errors.New("kind spoofed needs an interface: a socket sends from its own address only")
	case o.Addresses != 0:
		return fmt.Errorf("%d addresses: kind spoofed sends from all of %s", o.Addresses, o.Sources)
	case !o.Sources.IsValid() || network.BitLen() != o.Server.Addr().BitLen() || !network.IsPrivate() ||
		o.Sources.Bits() < least || network.Is6() && o.Sources.Bits() > 64:
		return fmt.Errorf("sources %s: want a private %s network", o.Sources, of)
	case o.Sources.Contains(o.Server.Addr()):
		return fmt.Errorf("sources %s: the server %s is one of them", o.Sources, o.Server.Addr())
	}
	return nil
}

func (o *Options) validateAddresses() error {
	switch {
	case o.Addresses == 0:
		return nil
	case o.Interface == "":
		return errors.New("several addresses need an interface: a socket sends from one address")
	}
	if err := o.own().Validate(); err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	if o.Sources.Addr().BitLen() != o.Server.Addr().BitLen() {
		return fmt.Errorf("sources %s: the server %s has another version of IP", o.Sources, o.Server.Addr())
	}
	return nil
}

// sender sends the prepared frames or datagrams.
type sender interface {
	// Send sends about n frames.
	Send(n int) error
	// Sent returns the number sent so far.
	Sent() (uint64, error)
	Close() error
}

// Run sends the flood and prints its records to out: ready, then progress at most once
// a second, and at the end the frames of each second, and the total. When ctx ends, the
// flood ends.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	s, err := newSender(ctx, &o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	printer := record.NewPrinter(out)
	ready := record.Ready{Node: o.Node, AtNS: o.Clock.Now()}
	if err := printer.Print(record.Line{Ready: &ready}); err != nil {
		return err
	}
	l := &load{o: o, sender: s}
	stop := printer.PrintProgress(l.progress)
	err = l.run(ctx)
	stop()
	return errors.Join(err, printer.Print(l.lines()...))
}

func newSender(ctx context.Context, o *Options) (sender, error) {
	payloads, err := o.payloads(ctx)
	if err != nil {
		return nil, err
	}
	if o.Interface == "" {
		return newSockets(o, payloads)
	}
	return newFrames(ctx, o, payloads)
}
