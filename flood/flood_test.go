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
		{"no server", func(o *Options) { o.Server = netip.AddrPort{} }, "want an IPv4 or IPv6 address and a port"},
		{"a public server of IPv6", func(o *Options) { o.Server = netip.MustParseAddrPort("[2001:db8::1]:443") }, "in a public network"},
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
		{"sources of another version of IP", func(o *Options) {
			spoofed(o)
			o.Sources = netip.MustParsePrefix("fd03:e9::/32")
		}, "want a private IPv4 network"},
		{"several addresses from a socket", func(o *Options) {
			o.Sources, o.Addresses = netip.MustParsePrefix("10.128.0.0/24"), 2
		}, "need an interface"},
		{"several public addresses", func(o *Options) {
			o.Interface, o.Sources, o.Addresses = "eth0", netip.MustParsePrefix("1.0.0.0/8"), 2
		}, "has public addresses"},
		{"several addresses without a network", func(o *Options) { o.Interface, o.Addresses = "eth0", 2 }, "no network"},
		{"several addresses of another version of IP", func(o *Options) {
			o.Interface, o.Sources, o.Addresses = "eth0", netip.MustParsePrefix("fd01:e9::/48"), 2
		}, "another version of IP"},
		{"several addresses of a spoofed flood", func(o *Options) { spoofed(o); o.Addresses = 2 }, "sends from all of"},
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
	for _, c := range []struct {
		network       string
		loopback      net.IP
		level, option int
	}{
		{"udp4", net.IPv4(127, 0, 0, 1), unix.IPPROTO_IP, unix.IP_RECVTOS},
		{"udp6", net.IPv6loopback, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS},
	} {
		t.Run(c.network, func(t *testing.T) {
			server, err := net.ListenUDP(c.network, &net.UDPAddr{IP: c.loopback})
			testkit.Must(t, err)
			defer server.Close()
			raw, err := server.SyscallConn()
			testkit.Must(t, err)
			testkit.Must(t, raw.Control(func(fd uintptr) {
				testkit.Must(t, unix.SetsockoptInt(int(fd), c.level, c.option, 1))
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
		})
	}
}

// ends are the two ends of a pair in one version of IP.
type ends struct{ network, client, server, bits string }

var (
	ends4 = ends{"udp4", netkit.ClientAddress, netkit.ServerAddress, ""} // NewPair adds them
	ends6 = ends{"udp6", "fd00:e9:1c:b::1", "fd00:e9:1c:2::1", "/48"}
)

func TestFramesReachTheServersSocketFromTheAddressesThatTheyName(t *testing.T) {
	spoofed4, spoofed6 := netip.MustParsePrefix("10.192.0.0/12"), netip.MustParsePrefix("fd03:e9::/32")
	several4, several6 := netip.MustParsePrefix("10.128.0.0/24"), netip.MustParsePrefix("fd01:e9::/48")
	for _, c := range []struct {
		kind      record.Attack
		live      bool
		ends      ends
		sources   netip.Prefix
		addresses int
	}{
		{record.HalfOpen, false, ends4, netip.Prefix{}, 0},
		{record.HalfOpen, true, ends4, netip.Prefix{}, 0},
		{record.Spoofed, false, ends4, spoofed4, 0},
		{record.Spoofed, true, ends4, spoofed4, 0},
		{record.Junk, true, ends4, netip.Prefix{}, 0},
		{record.Short, false, ends4, netip.Prefix{}, 0},
		{record.Short, true, ends4, netip.Prefix{}, 0},
		{record.HalfOpen, true, ends4, several4, 20},
		{record.HalfOpen, false, ends6, netip.Prefix{}, 0},
		{record.HalfOpen, true, ends6, netip.Prefix{}, 0},
		{record.Spoofed, false, ends6, spoofed6, 0},
		{record.Spoofed, true, ends6, spoofed6, 0},
		{record.Junk, true, ends6, netip.Prefix{}, 0},
		{record.Short, false, ends6, netip.Prefix{}, 0},
		{record.Short, true, ends6, netip.Prefix{}, 0},
		{record.HalfOpen, false, ends6, several6, 20},
	} {
		t.Run(fmt.Sprintf("%s, %s, live %v, %d addresses", c.ends.network, c.kind, c.live, c.addresses), func(t *testing.T) {
			const count = 50
			p := netkit.NewPair(t)
			port, err := wire.Open(netkit.Link(t, netkit.ServerInterface).Attrs().Index)
			testkit.Must(t, err)
			t.Cleanup(func() { testkit.Must(t, port.Close()) })
			testkit.Must(t, netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(netkit.ClientAddress)}))
			if c.ends.bits != "" {
				netkit.SetUp(t, netkit.ServerInterface, c.ends.server+c.ends.bits)
			}
			address := &net.UDPAddr{IP: net.ParseIP(c.ends.server), Port: 4433}
			server, err := net.ListenUDP(c.ends.network, address)
			testkit.Must(t, err)
			defer server.Close()
			netkit.Enter(t, p.Client)
			if c.ends.bits != "" {
				netkit.SetUp(t, netkit.ClientInterface, c.ends.client+c.ends.bits)
			}
			o := &Options{
				Server: netip.MustParseAddrPort(address.String()), Kind: c.kind, Frames: count,
				Interface: netkit.ClientInterface, Sources: c.sources, Addresses: c.addresses,
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
			sources, addresses := map[netip.AddrPort]bool{}, map[netip.Addr]bool{}
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
				is := from.Addr().String() == c.ends.client
				if c.sources.IsValid() {
					is = c.sources.Contains(from.Addr())
				}
				sources[from], addresses[from.Addr()] = true, true
				if n != want || !is {
					t.Fatalf("%d bytes from %s", n, from)
				}
			}
			if c.addresses > 0 && len(addresses) != c.addresses {
				t.Errorf("%d addresses, want %d", len(addresses), c.addresses)
			}
		})
	}
}
