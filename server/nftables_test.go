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
	"github.com/equic-bench/equic-bench/record"
)

// An independent witness: the counters as nft prints them. Of an IPv6 client, another address
// of its /64 is dropped as well.
func TestNFTCountsTheSameDrops(t *testing.T) {
	testkit.NeedTool(t, "nft")
	for _, c := range []struct {
		name           string
		family         record.Family
		table          string
		server, client string
		counted        string // an address of the client that is at its quota
	}{
		{"IPv4", record.FamilyIPv4, "ip", netkit.ServerAddress, netkit.ClientAddress, netkit.ClientAddress},
		{"IPv6", record.FamilyIPv6, "ip6", netkit.ServerAddress6, netkit.ClientAddress6, "2001:db8:1::77"},
		{"IPv4 of both", record.FamilyBoth, "ip", netkit.ServerAddress, netkit.ClientAddress, netkit.ClientAddress},
		{"IPv6 of both", record.FamilyBoth, "ip6", netkit.ServerAddress6, netkit.ClientAddress6, netkit.ClientAddress6},
	} {
		t.Run(c.name, func(t *testing.T) {
			const port, passed, dropped = 4433, 3, 7
			p := netkit.NewPair(t)
			netkit.SetUp(t, netkit.ServerInterface, netkit.ServerAddress6+"/64")
			f, err := newFirewall(port, 1, c.family)
			testkit.Must(t, err)
			defer func() { testkit.Must(t, f.Close()) }()
			listener, err := net.ListenPacket("udp", net.JoinHostPort(c.server, "4433")) //nolint:noctx // the same
			testkit.Must(t, err)
			defer listener.Close()
			netkit.Enter(t, p.Client)
			netkit.SetUp(t, netkit.ClientInterface, netkit.ClientAddress6+"/64")
			conn, err := net.Dial("udp", net.JoinHostPort(c.server, "4433")) //nolint:noctx // it waits for nothing
			testkit.Must(t, err)
			defer conn.Close()
			var stats equic.Stats
			sent := uint64(0)
			send := func(packets int) { // until all have come: the first ones wait for the server's hardware address
				for range packets {
					_, err := conn.Write([]byte("a packet"))
					testkit.Must(t, err)
					sent++
				}
				testkit.Await(t, "all packets", func() bool {
					stats, err = f.Stats()
					testkit.Must(t, err)
					return stats.Seen == sent
				})
			}
			send(passed)
			admitted, err := f.TryInc(port, netip.MustParseAddr(c.counted))
			testkit.Must(t, err)
			if !admitted {
				t.Fatal("the first connection is over quota")
			}
			send(dropped)
			testkit.Must(t, f.Dec(port, netip.MustParseAddr(c.counted)))
			send(1) // of a client below its quota
			netkit.Enter(t, p.Server)
			out, err := exec.CommandContext(t.Context(), "nft", "list", "table", c.table, "equic").Output()
			testkit.Must(t, err)
			line := regexp.MustCompile(`@blocked counter packets (\d+) `).FindSubmatch(out)
			if len(line) == 0 || string(line[1]) != "7" || stats.Dropped != dropped {
				t.Errorf("the server counts %d dropped packets, want %d; nft has\n%s", stats.Dropped, dropped, out)
			}
		})
	}
}
