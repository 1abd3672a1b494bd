package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/equic-bench/equic-bench/flood"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

const (
	// floodFrames is the minimum number of frames that a node sends as a flood.
	floodFrames = 5000
	// floodAddresses is how many addresses a flood has, if it has several.
	floodAddresses = 50
)

// playFlood sends frames to a server: "KIND SERVER SOURCES", with a word more if they come
// from the first addresses of the sources.
func playFlood(args string) int {
	words := strings.Fields(args)
	clock, err := record.NewClock(os.Getenv)
	if err == nil {
		o := flood.Options{
			Server: netip.MustParseAddrPort(words[1]), Kind: record.Attack(words[0]), Frames: floodFrames,
			Interface: nodeInterface, Sources: netip.MustParsePrefix(words[2]), Clock: clock,
		}
		if len(words) > 3 {
			o.Addresses = floodAddresses
		}
		err = flood.Run(context.Background(), o, os.Stdout)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// playRoute sends to a source of a flood, and reports whether it gets no answer.
func playRoute(source string) {
	to := &net.UDPAddr{IP: net.ParseIP(source), Port: 1}
	conn, err := net.DialUDP("udp", nil, to)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = conn.Write([]byte("answer"))
	deadlineErr := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, readErr := conn.Read(make([]byte, 1))
	silent := errors.Is(readErr, os.ErrDeadlineExceeded)
	fmt.Println("from", conn.LocalAddr().(*net.UDPAddr).IP, silent, errors.Join(err, deadlineErr, conn.Close()))
}

func TestTheFramesOfAFloodAreCountedAtTheServer(t *testing.T) {
	for _, kind := range record.Floods {
		for _, c := range []struct {
			name, server, sources, source string
			six                           bool
		}{
			{"IPv4", serverAddress, "10.192.0.0/12", "10.200.1.2", false},
			{"IPv6", serverAddress6, "fd03:e9::/32", "fd03:e9:1::2", true},
		} {
			t.Run(string(kind)+" "+c.name, func(t *testing.T) {
				s := spec("route "+c.source, fmt.Sprint("flood ", kind, " ", net.JoinHostPort(c.server, "4433"), " ", c.sources))
				if c.six {
					s = in6(s, false)
				}
				s.Nodes[1].Flood, s.Nodes[1].Sources = true, netip.MustParsePrefix(c.sources)
				n := open(t, s)
				stdout, _ := start(t, n, "client")
				if code := wait(t, n, "client"); code != 0 {
					t.Fatalf("exit code %d: %s", code, stdout)
				}
				sent := uint64(0)
				testkit.Must(t, record.ReadLines(stdout, "flood", func(l *record.Line) error {
					if l.Client != nil {
						sent = uint64(l.Client.Requests)
					}
					return nil
				}))
				got, err := n.Arrived()
				testkit.Must(t, err)
				if got == nil || got.Frames != sent || sent < floodFrames || got.Lost == nil {
					t.Errorf("%+v arrived; %d were sent", got, sent)
				}
				route, _ := start(t, n, "server")
				if code := wait(t, n, "server"); code != 0 || route.String() != "from "+c.server+" true <nil>\n" {
					t.Errorf("what the server answers to the sources: %s", route)
				}
			})
		}
	}
}

func TestTheFramesOfAFloodFromSeveralAddressesAreCounted(t *testing.T) {
	for _, c := range []struct {
		name, server, sources string
		six                   bool
	}{
		{"IPv4", serverAddress, "10.128.0.0/24", false},
		{"IPv6", serverAddress6, "fd01:e9::/48", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := spec("sleep", fmt.Sprint("flood junk ", net.JoinHostPort(c.server, "4433"), " ", c.sources, " several"))
			if c.six {
				s = in6(s, false)
			}
			s.Nodes[1].Flood = true
			s.Nodes[1].Addresses = record.Sources{Network: netip.MustParsePrefix(c.sources), Count: floodAddresses}
			n := open(t, s)
			stdout, _ := start(t, n, "client")
			if code := wait(t, n, "client"); code != 0 {
				t.Fatalf("exit code %d: %s", code, stdout)
			}
			got, err := n.Arrived()
			testkit.Must(t, err)
			if got == nil || got.Frames < floodFrames {
				t.Errorf("%+v arrived", got)
			}
		})
	}
}

// A frame that is too large for the interface is dropped at the same place as one for
// which the queue has no room, however fast the machine is.
func TestFramesThatTheServersInterfaceDoesNotTakeAreCounted(t *testing.T) {
	s := spec("describe", "flood junk "+net.JoinHostPort(serverAddress, "4433")+" 10.192.0.0/12")
	s.Nodes[1].Flood = true
	n := open(t, s)
	h, err := netlink.NewHandleAt(n.(*nodes).network.nodes["server"])
	testkit.Must(t, err)
	defer h.Close()
	link, err := h.LinkByName(nodeInterface)
	testkit.Must(t, err)
	testkit.Must(t, h.LinkSetMTU(link, 1000))
	stdout, _ := start(t, n, "client")
	if code := wait(t, n, "client"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stdout)
	}
	got, err := n.Arrived()
	testkit.Must(t, err)
	if got == nil || got.Lost == nil || got.Frames < floodFrames || *got.Lost != got.Frames {
		t.Errorf("%+v; want at least %d frames, all of them lost", got, floodFrames)
	}
}

func TestWithoutAFloodNothingIsCounted(t *testing.T) {
	n := open(t, spec("describe"))
	if got, err := n.Arrived(); got != nil || err != nil {
		t.Errorf("%+v, %v; want none", got, err)
	}
}
