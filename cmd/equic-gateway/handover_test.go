package main

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/equic/socket"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

const (
	honestAddress = "192.0.2.3" // another client of the pair
	pace          = 10 * time.Millisecond
)

// traffic is an attacker at its quota and an honest client. Each sends a packet that opens
// a connection to port 443 every 10 ms.
type traffic struct {
	sent, arrived, passed atomic.Int64 // of the honest client; of it at the server; of the attacker there
	stop                  func()
}

// startTraffic sends until the test ends. The test must be in the server's namespace.
func startTraffic(t *testing.T, p netkit.Pair) *traffic {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(serverAddress), Port: 443})
	testkit.Must(t, err)
	testkit.Must(t, server.SetReadBuffer(4<<20))
	netkit.Enter(t, p.Client)
	testkit.Must(t, netlink.AddrAdd(netkit.Link(t, netkit.ClientInterface), mustAddr(t, honestAddress+"/24")))
	dial := func(from string) *net.UDPConn {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, server.LocalAddr().(*net.UDPAddr))
		testkit.Must(t, err)
		return conn
	}
	honest, attacker := dial(honestAddress), dial(clientAddress)
	netkit.Enter(t, p.Server)

	w := new(traffic)
	var all sync.WaitGroup
	ended := make(chan struct{})
	all.Go(func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				sendInitial(attacker)
				sendInitial(honest)
				w.sent.Add(1)
			}
		}
	})
	all.Go(func() {
		datagram := make([]byte, 2048)
		for {
			_, from, err := server.ReadFromUDP(datagram)
			if err != nil {
				return
			}
			if from.IP.String() == honestAddress {
				w.arrived.Add(1)
			} else {
				w.passed.Add(1)
			}
		}
	})
	w.stop = sync.OnceFunc(func() {
		close(ended)
		_ = honest.Close()
		_ = attacker.Close()
		testkit.Await(t, "every honest packet arrives", func() bool { return w.arrived.Load() >= w.sent.Load()-1 })
		_ = server.Close()
		all.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

func mustAddr(t *testing.T, text string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(text)
	testkit.Must(t, err)
	return a
}

// newBPFFolder mounts a BPF file system for the test, and returns the path of a folder in
// it that does not exist yet.
func newBPFFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	testkit.Must(t, unix.Mount("bpf", dir, "bpf", 0, ""))
	t.Cleanup(func() { testkit.Must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return filepath.Join(dir, "equic")
}

// replaced starts a new gateway after a signal has ended the old one, or, without a signal,
// while the old one runs.
func (p program) replaced(t *testing.T, signal syscall.Signal, arguments ...string) program {
	t.Helper()
	next := commandAt(t, p.socket, arguments...)
	code, want := 0, exitFine
	switch signal {
	case 0:
		next.launch(t)
		code = p.await(t)
		_ = next.status(t)
	case syscall.SIGKILL:
		want = -1
		fallthrough
	default:
		code = p.end(t, signal)
		next.start(t)
	}
	if code != want {
		t.Errorf("exit code %d after signal %d; its log:\n%s", code, signal, p.log)
	}
	return next
}

// await waits until a program ends, and returns its exit code.
func (p program) await(t *testing.T) int {
	t.Helper()
	kill := time.AfterFunc(time.Minute, func() { _ = p.Process.Kill() })
	defer kill.Stop()
	_ = p.Wait() // its state is checked
	return p.ProcessState.ExitCode()
}

func TestNothingIsLostWhenAGatewayIsReplacedOrKilled(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Slow(t, "starts the gateway 31 times")
	pair := netkit.NewPair(t)
	netkit.SetUp(t, "lo")
	arguments := []string{
		"--pin", newBPFFolder(t), "--quota", "2", "--network-quota", "100", "--deny", "198.51.100.0/24",
		"--metrics", "127.0.0.1:19443",
	}
	p := start(t, arguments...)
	p.dial(t).want(t, "deny 203.0.113.7 for 24h", "ok")

	attacker, honest := netip.MustParseAddr(clientAddress), netip.MustParseAddr(honestAddress)
	gateway, err := socket.Dial(p.socket)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, gateway.Close()) })
	for range 2 {
		admitted, err := gateway.TryInc(443, attacker)
		if !admitted || err != nil {
			t.Fatalf("%v, %v", admitted, err)
		}
	}
	w := startTraffic(t, pair)
	testkit.Await(t, "packets arrive", func() bool { return w.arrived.Load() > 0 })

	// The server behind the gateway: each honest request is one connection.
	var requests sync.WaitGroup
	ended := make(chan struct{})
	stop := sync.OnceFunc(func() {
		close(ended)
		requests.Wait()
	})
	t.Cleanup(stop)
	var served, uncounted int
	requests.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(pace):
			}
			admitted, err := gateway.TryInc(443, honest)
			switch {
			case errors.Is(err, socket.ErrGone): // a server admits it then
				uncounted++
			case !admitted || err != nil:
				t.Errorf("an honest request: %v, %v", admitted, err)
				return
			default:
				served++
				if err := gateway.Dec(443, honest); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range 30 {
		p = p.replaced(t, []syscall.Signal{0, syscall.SIGKILL, syscall.SIGTERM}[i%3], arguments...)
		testkit.Await(t, "the server is back", func() bool { return p.status(t).Clients > 0 })
		s := p.status(t)
		if !s.Attached || len(s.Denied) != 2 || len(s.Expiring) != 1 {
			t.Fatalf("step %d: %+v", i, s)
		}
		if admitted, err := gateway.TryInc(443, attacker); admitted || err != nil {
			t.Fatalf("step %d: a third connection of the attacker: %v, %v", i, admitted, err)
		}
	}
	stop()
	w.stop()
	t.Logf("%d requests were served, %d of them uncounted; %d packets arrived", served+uncounted, uncounted,
		w.arrived.Load())
	if n := w.passed.Load(); n > 0 {
		t.Errorf("%d packets of the attacker arrived", n)
	}
	if lost := w.sent.Load() - w.arrived.Load(); lost > 1 { // the last was perhaps not sent
		t.Errorf("%d of %d honest packets are lost", lost, w.sent.Load())
	}
	for range 2 {
		testkit.Must(t, gateway.Dec(443, attacker))
	}
	testkit.Await(t, "all counts are released", func() bool { return p.status(t).Clients == 0 })
	if code := p.end(t, syscall.SIGTERM); code != exitFine || !attached(t) {
		t.Errorf("exit code %d, and it stays attached: %v", code, attached(t))
	}
}

func TestUnpinRemovesWhatAGatewayLeft(t *testing.T) {
	newPair(t)
	dir := newBPFFolder(t)
	unpin := func() (int, string) {
		var stdout, stderr strings.Builder
		return run(t.Context(), []string{"unpin", dir}, &stdout, &stderr), stderr.String()
	}
	p := start(t, "--pin", dir)
	if code, said := unpin(); code != exitMachine || !strings.Contains(said, "another process owns") {
		t.Errorf("while it runs: exit code %d, %s", code, said)
	}
	if code := p.end(t, syscall.SIGTERM); code != exitFine || !attached(t) {
		t.Fatalf("exit code %d, attached: %v", code, attached(t))
	}
	if code, said := unpin(); code != exitFine || attached(t) {
		t.Errorf("exit code %d, attached: %v: %s", code, attached(t), said)
	}
	if code, said := unpin(); code != exitMachine || !strings.Contains(said, "no such file") {
		t.Errorf("again: exit code %d, %s", code, said)
	}
}

func TestAGatewayThatIsNotPinnedIsNotTakenOver(t *testing.T) {
	newPair(t)
	dir := newBPFFolder(t)
	p := start(t)
	p.dial(t).want(t, "handover", "error: this gateway cannot be handed over: restart it with --pin")
	second := commandAt(t, p.socket, "--pin", dir)
	testkit.Must(t, second.Start())
	if code := second.await(t); code != exitMachine {
		t.Errorf("exit code %d, log %s", code, second.log)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it left its folder: %v", err)
	}
	p.dial(t).want(t, "inc 192.0.2.7", "ok")
}

func TestANewVersionThatCannotRunChangesNothing(t *testing.T) {
	newPair(t)
	dir := newBPFFolder(t)
	list := filepath.Join(t.TempDir(), "deny")
	testkit.Must(t, os.WriteFile(list, []byte("192.0.2.1\n::ffff:0:0/96\n"), 0o600))
	p := start(t, "--pin", dir, "--max-prefixes", "2", "--deny", "192.0.2.1", "--deny", "192.0.2.2")
	for _, wrong := range []struct {
		code int
		args []string
	}{
		{exitMachine, []string{"--max-clients", "8"}},
		{exitMachine, []string{"--mode", "generic"}},
		{exitMachine, []string{"--port", "8443"}},
		{exitMachine, []string{"--network-quota", "9"}},
		{exitMachine, []string{"--interface", "nope0"}},
		{exitUsage, []string{"--deny", "::ffff:0:0/96"}},
		{exitUsage, []string{"--deny-file", list}},
		{exitUsage, []string{"--deny", "192.0.2.3"}}, // there is no room for it
	} {
		next := commandAt(t, p.socket, append([]string{"--pin", dir, "--max-prefixes", "2"}, wrong.args...)...)
		testkit.Must(t, next.Start())
		if code := next.await(t); code != wrong.code {
			t.Errorf("%v: exit code %d, log %s", wrong.args, code, next.log)
		}
		if s := p.status(t); !s.Attached {
			t.Errorf("%v: status %+v", wrong, s)
		}
	}
}
