package server

import (
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"testing"

	"github.com/equic-bench/equic-bench/equic"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

// An independent witness: the counters as nft prints them.
func TestNFTCountsTheSameDrops(t *testing.T) {
	testkit.NeedTool(t, "nft")
	const port, passed, dropped = 4433, 3, 7
	p := netkit.NewPair(t)
	netkit.Enter(t, p.Server)
	f, err := newFirewall(port, 1)
	testkit.Must(t, err)
	defer func() { testkit.Must(t, f.Close()) }()
	listener, err := net.ListenPacket("udp", netkit.ServerAddress+":4433") //nolint:noctx // the same
	testkit.Must(t, err)
	defer listener.Close()
	netkit.Enter(t, p.Client)
	conn, err := net.Dial("udp", netkit.ServerAddress+":4433") //nolint:noctx // it waits for nothing
	testkit.Must(t, err)
	defer conn.Close()
	send := func(packets int) {
		for range packets {
			_, err := conn.Write([]byte("a packet"))
			testkit.Must(t, err)
		}
	}
	send(passed)
	admitted, err := f.TryInc(port, netip.MustParseAddr(netkit.ClientAddress))
	testkit.Must(t, err)
	if !admitted {
		t.Fatal("the first connection is over quota")
	}
	send(dropped)
	var stats equic.Stats
	testkit.Await(t, "all packets", func() bool {
		stats, err = f.Stats()
		testkit.Must(t, err)
		return stats.Seen == passed+dropped
	})
	netkit.Enter(t, p.Server)
	out, err := exec.CommandContext(t.Context(), "nft", "list", "table", "ip", "equic").Output()
	testkit.Must(t, err)
	line := regexp.MustCompile(`@blocked counter packets (\d+) `).FindSubmatch(out)
	if len(line) == 0 || string(line[1]) != "7" || stats.Dropped != dropped {
		t.Errorf("the server counts %d dropped packets, want %d; nft has\n%s", stats.Dropped, dropped, out)
	}
}
