package netns

import (
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheServersCPUsReceiveItsPackets(t *testing.T) {
	s := spec("echo", "ask")
	n := open(t, s)
	receivers := n.(*nodes).network.receivers
	if len(receivers) != 1 {
		t.Fatalf("kernel threads %v, want one", receivers)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(receivers[0], &set); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		want := cpu == s.Nodes[0].CPUs[0]
		if set.IsSet(cpu) != want {
			t.Errorf("CPU %d: %v, want %v", cpu, set.IsSet(cpu), want)
		}
	}
	before := ran(t, receivers[0])
	listening, w := io.Pipe()
	if err := n.Start(t.Context(), "server", w, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := listening.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, listening) }()
	start(t, n, s.Nodes[1].Name)
	if code := wait(t, n, s.Nodes[1].Name); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if after := ran(t, receivers[0]); after <= before {
		t.Errorf("the thread ran for %d ns before the packets and %d after", before, after)
	}
}

// ran returns how long a thread has run, in ns.
func ran(t *testing.T, pid int) (ns int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &ns); err != nil {
		t.Fatal(err)
	}
	return ns
}
