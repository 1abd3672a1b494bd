package flood

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/flood/wire"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
	"github.com/equic-bench/equic-bench/record"
)

// counter is a sender that sends nothing, but takes time.
type counter struct {
	sent  uint64
	takes time.Duration
}

func (c *counter) Send(n int) error {
	time.Sleep(c.takes) // in a bubble: no real time passes
	c.sent += uint64(n)
	return nil
}
func (c *counter) Sent() (uint64, error) { return c.sent, nil }
func (*counter) Close() error            { return nil }

func TestAFloodKeepsItsRateAndEnds(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		o     Options
		takes time.Duration // per burst
		sent  uint64
		ends  time.Duration
	}{
		{"a rate for a time", Options{Rate: 1000, Duration: 3 * s, Delay: s}, 0, 3000, 4 * s},
		{"a low rate for a time", Options{Rate: 3, Duration: 2 * s}, 0, 6, 2 * s},
		{"a number of frames", Options{Rate: 100, Frames: 250}, 0, 250, 2490 * time.Millisecond},
		{"as many as possible for a time", Options{Duration: s}, 100 * time.Millisecond, 10 * burst, s},
		{"as many as possible of a number", Options{Frames: 3 * burst}, s / 10, 3 * burst, 3 * s / 10},
		{"too slow for its rate: it ends in time", Options{Rate: 1e7, Duration: s}, s / 2, burst + 1, s},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.o.Clock = record.ClockAt(time.Now())
				from := time.Now()
				l := &load{o: c.o, sender: &counter{takes: c.takes}}
				testkit.Must(t, l.run(t.Context()))
				if ends := time.Since(from); l.sent.Load() != c.sent || ends < c.ends || ends > c.ends+2*tick {
					t.Errorf("%d frames until %v, want %d until %v", l.sent.Load(), ends, c.sent, c.ends)
				}
				var sum uint64
				for _, line := range l.lines() {
					if f := line.Flood; f != nil {
						if sum += f.Frames; f.ToNS-f.FromNS > int64(2*s) || f.Bytes != wire.FrameBytes*f.Frames {
							t.Errorf("a record of %+v", f)
						}
					}
				}
				if sum != c.sent {
					t.Errorf("the records have %d frames, want %d", sum, c.sent)
				}
			})
		})
	}
}

func TestAFloodEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := &load{o: Options{Rate: 10, Duration: time.Hour, Clock: record.ClockAt(time.Now())}, sender: new(counter)}
		testkit.Must(t, l.run(ctx))
		if n := l.sent.Load(); n < 600 || n > 602 {
			t.Errorf("%d frames in a minute, want about 600", n)
		}
	})
}

func TestFloodsThatCannotWorkOrGoElsewhereAreRefused(t *testing.T) {
	good := Options{Server: netip.MustParseAddrPort("10.0.0.2:4433"), Kind: record.HalfOpen, Frames: 1}
	spoofed := func(o *Options) {
		o.Kind, o.Interface, o.Sources = record.Spoofed, "eth0", netip.MustParsePrefix("10.1.0.0/16")
	}
	for _, c := range []struct {
		name string
		bend func(*Options)
		want string
	}{
		{"a public server", func(o *Options) { o.Server = netip.MustParseAddrPort("8.8.8.8:443") }, "in a public network"},
		{"a group", func(o *Options) { o.Server = netip.MustParseAddrPort("224.0.0.1:443") }, "in a public network"},
		{"no server", func(o *Options) { o.Server = netip.AddrPort{} }, "want an IPv4 address and a port"},
		{"an unknown kind", func(o *Options) { o.Kind = "requests" }, `unknown kind "requests"`},
		{"no end", func(o *Options) { o.Frames = 0 }, "0 frames and a duration of 0s"},
		{"two ends", func(o *Options) { o.Duration = 1e9 }, "want exactly one"},
		{"a day", func(o *Options) { o.Frames, o.Duration = 0, 24*time.Hour }, "want up to an hour"},
		{"a negative rate", func(o *Options) { o.Rate = -1 }, "rate -1/s"},
		{"spoofed from a socket", func(o *Options) { spoofed(o); o.Interface = "" }, "needs an interface"},
		{"public sources", func(o *Options) { spoofed(o); o.Sources = netip.MustParsePrefix("1.0.0.0/8") }, "want a private"},
		{"the server among the sources", func(o *Options) {
			spoofed(o)
			o.Sources = netip.MustParsePrefix("10.0.0.0/8")
		}, "is one of them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.bend(&o)
			if err := Run(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// records are the records that a flood printed.
type records struct {
	ready, frames int
	total         *record.Client
}

func readRecords(t *testing.T, out *bytes.Buffer) (r records) {
	t.Helper()
	testkit.Must(t, record.ReadLines(out, "flood", func(l *record.Line) error {
		switch {
		case l.Ready != nil:
			r.ready++
		case l.Flood != nil:
			r.frames += int(l.Flood.Frames)
		case l.Client != nil:
			r.total = l.Client
		}
		return nil
	}))
	return r
}

func TestASocketSendsMarkedDatagramsFromManyPorts(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	testkit.Must(t, err)
	defer server.Close()
	raw, err := server.SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) {
		testkit.Must(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1))
	}))
	var out bytes.Buffer
	o := Options{
		Server: server.LocalAddr().(*net.UDPAddr).AddrPort(), Kind: record.Junk, Frames: 30, Rate: 1000,
		Clock: record.ClockAt(time.Now()),
	}
	testkit.Must(t, Run(t.Context(), o, &out))
	from := map[string]bool{}
	testkit.Must(t, server.SetReadDeadline(time.Now().Add(20*time.Second)))
	for range 30 {
		b, control := make([]byte, 2048), make([]byte, 128)
		n, size, _, addr, err := server.ReadMsgUDPAddrPort(b, control)
		testkit.Must(t, err)
		messages, err := unix.ParseSocketControlMessage(control[:size])
		testkit.Must(t, err)
		if from[addr.String()] = true; n != payloadBytes || len(messages) != 1 || messages[0].Data[0] != wire.Mark {
			t.Fatalf("%d bytes with %+v", n, messages)
		}
	}
	if len(from) != 30 {
		t.Errorf("%d source ports, want 30", len(from))
	}
	if r := readRecords(t, &out); r.ready != 1 || r.frames != 30 || r.total == nil || r.total.Requests != 30 {
		t.Errorf("records %+v", r)
	}
}

func TestFramesReachTheServersSocketFromTheAddressesThatTheyName(t *testing.T) {
	network := netip.MustParsePrefix("10.192.0.0/12")
	own := func(a netip.Addr) bool { return a.String() == netkit.ClientAddress }
	for _, c := range []struct {
		kind record.Attack
		live bool
		from func(netip.Addr) bool
	}{
		{record.HalfOpen, false, own},
		{record.HalfOpen, true, own},
		{record.Spoofed, false, network.Contains},
		{record.Spoofed, true, network.Contains},
		{record.Junk, true, own},
		{record.Short, false, own},
		{record.Short, true, own},
	} {
		t.Run(fmt.Sprintf("%s, live %v", c.kind, c.live), func(t *testing.T) {
			const count = 50
			p := netkit.NewPair(t)
			port, err := wire.Open(netkit.Link(t, netkit.ServerInterface).Attrs().Index)
			testkit.Must(t, err)
			t.Cleanup(func() { testkit.Must(t, port.Close()) })
			testkit.Must(t, netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(netkit.ClientAddress)}))
			address := &net.UDPAddr{IP: net.ParseIP(netkit.ServerAddress), Port: 4433}
			server, err := net.ListenUDP("udp4", address)
			testkit.Must(t, err)
			defer server.Close()
			netkit.Enter(t, p.Client)
			o := &Options{
				Server: netip.MustParseAddrPort(address.String()), Kind: c.kind, Frames: count,
				Interface: netkit.ClientInterface, Sources: network,
			}
			s, err := newSender(t.Context(), o)
			testkit.Must(t, err)
			t.Cleanup(func() { testkit.Must(t, s.Close()) })
			send := s.Send
			if c.live {
				send = s.(*frames).live.Send
			}
			testkit.Must(t, send(count))
			if sent, err := s.Sent(); sent < count || err != nil {
				t.Errorf("%d frames were sent, %v; want %d", sent, err, count)
			}
			testkit.Must(t, server.SetReadDeadline(time.Now().Add(20*time.Second)))
			sources := map[netip.AddrPort]bool{}
			for len(sources) < count {
				b := make([]byte, 2048)
				n, from, err := server.ReadFromUDPAddrPort(b)
				testkit.Must(t, err)
				if n == 0 { // the request for the hardware address
					continue
				}
				want := payloadBytes
				if c.kind == record.Short {
					want = shortBytes
				}
				if sources[from] = true; n != want || !c.from(from.Addr()) {
					t.Fatalf("%d bytes from %s", n, from)
				}
			}
		})
	}
}
