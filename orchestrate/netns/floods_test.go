package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/equic-bench/equic-bench/flood"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// floodFrames is the minimum number of frames that a node sends as a flood.
const floodFrames = 5000

var floodSources = netip.MustParsePrefix("10.192.0.0/12")

// playFlood sends frames of a kind to the server.
func playFlood(kind string) int {
	clock, err := record.NewClock(os.Getenv)
	if err == nil {
		err = flood.Run(context.Background(), flood.Options{
			Server: netip.MustParseAddrPort(serverAddress + ":4433"), Kind: record.Attack(kind), Frames: floodFrames,
			Interface: nodeInterface, Sources: floodSources, Clock: clock,
		}, os.Stdout)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// playRoute sends to a source of a flood, and reports whether it gets no answer.
func playRoute() {
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(10, 200, 1, 2), Port: 1})
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
		t.Run(string(kind), func(t *testing.T) {
			s := spec("route", "flood "+string(kind))
			s.Nodes[1].Flood, s.Nodes[1].Sources = true, floodSources
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
			if code := wait(t, n, "server"); code != 0 || route.String() != "from "+serverAddress+" true <nil>\n" {
				t.Errorf("what the server answers to the sources: %s", route)
			}
		})
	}
}

// A frame that is too large for the interface is dropped at the same place as one for
// which the queue has no room, however fast the machine is.
func TestFramesThatTheServersInterfaceDoesNotTakeAreCounted(t *testing.T) {
	s := spec("describe", "flood junk")
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
