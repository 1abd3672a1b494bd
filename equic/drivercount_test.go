package equic

import (
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// An independent witness: the driver's own count of the packets that XDP dropped.
func TestTheDriverCountsTheSameDrops(t *testing.T) {
	testkit.NeedTool(t, "ethtool")
	p := newPair(t)
	f := p.newFlow(t, serverAddress, serverPort)
	g := mustAttach(t, Options{Interfaces: []string{serverIface}, Ports: onePort, Quota: 1, HoldDown: -1})
	f.arrives(t, initial())
	before := driverDrops(t)
	testkit.Must(t, g.Inc(serverPort, addressOf(f)))
	for range 10 {
		f.stalls(t, g, initial(), DropOverQuota)
	}
	testkit.Await(t, "the driver's count of 10 drops", func() bool { return driverDrops(t)-before >= 10 })
	if got := driverDrops(t) - before; got != 10 {
		t.Errorf("the driver counts %d drops, the gateway 10", got)
	}
}

// driverDrops sums the counters of all queues of the server's interface.
func driverDrops(t *testing.T) (drops uint64) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ethtool", "-S", serverIface).Output()
	testkit.Must(t, err)
	found := regexp.MustCompile(`rx_queue_\d+_xdp_drops: (\d+)`).FindAllSubmatch(out, -1)
	if len(found) == 0 {
		t.Fatalf("ethtool has no counter of XDP drops:\n%s", out)
	}
	for _, m := range found {
		n, err := strconv.ParseUint(string(m[1]), 10, 64)
		testkit.Must(t, err)
		drops += n
	}
	return drops
}
