package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
	"github.com/equic-bench/equic-bench/record"
)

// wire is a server's network namespace and two clients', each joined to it by a veth
// pair, and the programs that run there. Both ends of a pair are named eth0, except for
// the second at the server, eth1.
type wire struct {
	server  netns.NsHandle
	clients [2]netns.NsHandle
	bin     string // the folder of the programs
}

// The addresses of the server, one for each client, and of the clients.
var (
	serverAddresses = [2]string{"192.0.2.1", "198.51.100.1"}
	clientAddresses = [2]string{"192.0.2.2", "198.51.100.2"}
)

// newWire leaves the test in one of its namespaces.
func newWire(t *testing.T) *wire {
	t.Helper()
	testkit.NeedRoot(t)
	bin := testkit.Build(t, "../equic-probe", "../equic-server", "../equic-client")
	w := &wire{bin: bin, server: newNamespace(t)}
	for i := range w.clients {
		w.clients[i] = newNamespace(t)
		netkit.Enter(t, w.server)
		name := "eth" + strconv.Itoa(i)
		netkit.AddVeth(t, name, "eth0", w.clients[i])
		server := setUp(t, name, serverAddresses[i])
		netkit.Enter(t, w.clients[i])
		client := setUp(t, "eth0", clientAddresses[i])
		introduce(t, client, serverAddresses[i], server)
		netkit.Enter(t, w.server)
		introduce(t, server, clientAddresses[i], client)
	}
	return w
}

// newNamespace leaves the test in a namespace without IPv6. IPv6 multicast would be
// traffic that no program sent.
func newNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	ns := netkit.NewNamespace(t)
	for _, which := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			t.Fatal(err)
		}
	}
	return ns
}

// setUp makes the kernel split what a program sends at once into packets before it
// counts them (gso_max_segs), as they would be on a wire.
func setUp(t *testing.T, name, address string) netlink.Link {
	t.Helper()
	testkit.Must(t, netlink.LinkSetGSOMaxSegs(netkit.Link(t, name), 1))
	return netkit.SetUp(t, name, address+"/24")
}

// introduce gives one end of a pair the other's hardware address. Otherwise the kernel
// would send ARP packets at arbitrary times.
func introduce(t *testing.T, link netlink.Link, address string, other netlink.Link) {
	t.Helper()
	testkit.Must(t, netlink.NeighAdd(&netlink.Neigh{
		LinkIndex:    link.Attrs().Index,
		State:        netlink.NUD_PERMANENT,
		IP:           net.ParseIP(address),
		HardwareAddr: other.Attrs().HardwareAddr,
	}))
}

// counters returns the kernel's counters of the server's interface to the first client.
func (w *wire) counters(t *testing.T) netlink.LinkStatistics {
	t.Helper()
	netkit.Enter(t, w.server)
	return *netkit.Link(t, "eth0").Attrs().Statistics
}

// driverCounters returns the counters of `ethtool -S`, summed over the queues.
func (w *wire) driverCounters(t *testing.T) map[string]uint64 {
	t.Helper()
	netkit.Enter(t, w.server)
	out, err := exec.CommandContext(t.Context(), "ethtool", "-S", "eth0").Output()
	testkit.Must(t, err)
	sums := map[string]uint64{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			continue // the heading
		}
		if rest, ok := strings.CutPrefix(name, "rx_queue_"); ok {
			_, what, _ := strings.Cut(rest, "_")
			sums[what] += n
		}
	}
	return sums
}

// node is a running program, and the records it has printed so far.
type node struct {
	cmd     *exec.Cmd
	ready   chan struct{}
	end     chan struct{} // closed once all output is read
	records []record.Line
	stderr  bytes.Buffer
}

// start runs a program in a namespace.
func (w *wire) start(t *testing.T, ns netns.NsHandle, program string, args ...string) *node {
	t.Helper()
	netkit.Enter(t, ns)
	n := &node{ready: make(chan struct{}), end: make(chan struct{})}
	n.cmd = exec.CommandContext(t.Context(), filepath.Join(w.bin, program), args...)
	n.cmd.Env = append(os.Environ(), record.EnvNode+"="+program)
	n.cmd.Stderr = &n.stderr
	stdout, err := n.cmd.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, n.cmd.Start())
	go n.read(t, stdout)
	return n
}

func (n *node) read(t *testing.T, stdout io.Reader) {
	t.Helper()
	defer close(n.end)
	err := record.ReadLines(bufio.NewReader(stdout), n.cmd.Path, func(l *record.Line) error {
		if l.Ready != nil {
			close(n.ready)
		}
		n.records = append(n.records, *l)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// startServer returns when the server is ready.
func (w *wire) startServer(t *testing.T, args ...string) *node {
	t.Helper()
	n := w.start(t, w.server, "equic-probe",
		append([]string{"--", filepath.Join(w.bin, "equic-server"), "--listen", ":4433"}, args...)...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-n.ready:
	case <-n.end:
		t.Fatalf("the server ended: %s", &n.stderr)
	case <-ctx.Done():
		t.Fatal("the server is not ready")
	}
	return n
}

// startClient starts the load of one of the clients.
func (w *wire) startClient(t *testing.T, i int, args ...string) *node {
	t.Helper()
	return w.start(t, w.clients[i], "equic-client", append([]string{"--server", serverAddresses[i] + ":4433"}, args...)...)
}

// wait returns when the program has ended.
func (n *node) wait(t *testing.T) {
	t.Helper()
	<-n.end
	if err := n.cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", n.cmd, err, &n.stderr)
	}
}

// stop asks the server to stop, and waits until it has.
func (n *node) stop(t *testing.T) {
	t.Helper()
	testkit.Must(t, n.cmd.Process.Signal(syscall.SIGTERM))
	n.wait(t)
}
