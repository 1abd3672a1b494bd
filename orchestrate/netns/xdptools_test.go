package netns

import (
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// An independent witness, xdp-filter of Debian's xdp-tools, drops and counts every frame
// of the flood that reaches the driver of the server's interface. The frames that came
// are these and those that the queue lost. (xdp-bench and xdp-trafficgen 1.3.1 of the
// same package need a tracepoint that newer kernels do not have.)
func TestCrossCheckTheQueueOfTheServerWithXDPFilter(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.NeedTool(t, "xdp-filter")
	s := spec("describe", "flood junk")
	s.Nodes[1].Flood = true
	n := open(t, s)
	enterWithBPFFS(t, n.(*nodes).network.nodes["server"])
	for _, args := range [][]string{
		{"load", "--mode", "native", "--policy", "allow", "--features", "udp", nodeInterface},
		{"port", "--proto", "udp", "--mode", "dst", "4433"},
	} {
		if out, err := exec.CommandContext(t.Context(), "xdp-filter", args...).CombinedOutput(); err != nil {
			testkit.Lack(t, "xdp-filter does not run on this kernel: "+err.Error()+"\n"+string(out))
		}
	}
	stdout, _ := start(t, n, "client")
	if code := wait(t, n, "client"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stdout)
	}
	got, err := n.Arrived()
	testkit.Must(t, err)
	if got == nil || got.Lost == nil || got.Frames < floodFrames {
		t.Fatalf("%+v arrived, want at least %d frames", got, floodFrames)
	}
	sent := got.Frames + 1 // before them, an empty datagram makes the kernel resolve the server's hardware address
	testkit.Await(t, "the server's interface to receive what is queued", func() bool { return filtered(t)+*got.Lost >= sent })
	dropped := filtered(t)
	t.Logf("%d frames arrived: xdp-filter dropped %d, the queue lost %d", got.Frames, dropped, *got.Lost)
	if dropped+*got.Lost != sent {
		t.Errorf("%d datagrams left for the server, but xdp-filter dropped %d and the queue lost %d", sent, dropped, *got.Lost)
	}
}

// enterWithBPFFS moves the test to a network namespace, and to a mount namespace of its
// own with an empty BPF file system, where xdp-filter keeps its maps. The test's thread
// ends with the test, and both with the thread.
func enterWithBPFFS(t *testing.T, ns netns.NsHandle) {
	t.Helper()
	runtime.LockOSThread()
	testkit.Must(t, unix.Unshare(unix.CLONE_NEWNS))
	testkit.Must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	testkit.Must(t, unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""))
	testkit.Must(t, netns.Set(ns))
}

var dropCount = regexp.MustCompile(`XDP_DROP +([0-9]+) pkts`)

// filtered returns how many packets xdp-filter has dropped.
func filtered(t *testing.T) uint64 {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), "xdp-filter", "status").CombinedOutput() // its exit code varies
	m := dropCount.FindSubmatch(out)
	if m == nil {
		t.Fatalf("xdp-filter prints no count of drops:\n%s", out)
	}
	n, err := strconv.ParseUint(string(m[1]), 10, 64)
	testkit.Must(t, err)
	return n
}
