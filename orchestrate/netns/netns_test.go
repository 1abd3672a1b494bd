package netns

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// roleVariable makes the test binary run as a node, or as a run that is killed.
const roleVariable = "EQUIC_NETNS_TEST"

const serverAddress, clientAddress = "172.31.77.2", "172.31.77.10"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

// play runs a helper process; its output is what the tests read.
func play(role string) int {
	switch role {
	case "describe":
		describe()
	case "sleep":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("asleep", os.Getpid())
		<-stop
		fmt.Println("last words")
		return 7
	case "echo":
		return echo()
	case "ask":
		return ask()
	case "count":
		return countPackets()
	case "open":
		return openConnections()
	case "grow":
		var kept [][]byte
		for range 256 {
			kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
		}
		fmt.Println(len(kept))
	case "leave a daemon":
		daemon := exec.Command("/proc/self/exe") //nolint:noctx // it is killed with its control group
		daemon.Env = []string{roleVariable + "=sleep"}
		daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := daemon.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("left", daemon.Process.Pid)
	case "run and be killed":
		return runAndBeKilled()
	}
	switch word, args, _ := strings.Cut(role, " "); word {
	case "route":
		playRoute(args)
	case "flood":
		return playFlood(args)
	case "answer":
		return playAnswers(args)
	case "sources":
		words := strings.Fields(args)
		return playSources(words[0], words[1], words[2])
	}
	return 0
}

func describe() {
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		fmt.Println(i.Name, addresses)
	}
	var set unix.CPUSet
	_ = unix.SchedGetaffinity(0, &set)
	fmt.Println("cpus", set.Count(), set.IsSet(0))
	fmt.Println("environment", os.Environ())
	fmt.Fprintln(os.Stderr, "to standard error")
}

// echo answers one datagram.
func echo() int {
	var config net.ListenConfig
	s, err := config.ListenPacket(context.Background(), "udp4", serverAddress+":4433")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("listening")
	b := make([]byte, 64)
	n, from, err := s.ReadFrom(b)
	if err == nil {
		_, err = s.WriteTo(b[:n], from)
	}
	fmt.Println(string(b[:n]), from, err)
	return 0
}

// countPackets counts datagrams by whether they open a connection, until one is "end".
func countPackets() int {
	var config net.ListenConfig
	s, err := config.ListenPacket(context.Background(), "udp4", serverAddress+":4433")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	end, err := config.ListenPacket(context.Background(), "udp4", serverAddress+":4434")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("listening")
	raw, err := s.(*net.UDPConn).SyscallConn()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	opening, others := 0, 0
	b := make([]byte, 64)
	_, _, err = end.ReadFrom(b) // all packets before it are in the socket's queue
	for err == nil {
		err = errors.Join(raw.Read(func(fd uintptr) bool {
			_, _, err = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			return true
		}), err)
		switch {
		case err != nil:
		case b[0] >= openingHeader:
			opening++
		default:
			others++
		}
	}
	fmt.Println(opening, others)
	return 0
}

// openConnections sends ten packets that open a connection, ten others, and the end.
func openConnections() int {
	var dialer net.Dialer
	for _, packets := range []struct {
		port string
		data []byte
		n    int
	}{{"4433", []byte{0xc3, 0, 0, 0, 1}, 10}, {"4433", []byte{0x43, 1, 2}, 10}, {"4434", []byte("end"), 1}} {
		c, err := dialer.DialContext(context.Background(), "udp4", serverAddress+":"+packets.port)
		for range packets.n {
			if err == nil {
				_, err = c.Write(packets.data)
			}
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

func ask() int {
	var dialer net.Dialer
	c, err := dialer.DialContext(context.Background(), "udp4", serverAddress+":4433")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Write([]byte("hello"))
	b := make([]byte, 64)
	n, readErr := c.Read(b)
	fmt.Println(string(b[:n]), errors.Join(err, readErr))
	return 0
}

// runAndBeKilled runs one node, which never ends by itself.
func runAndBeKilled() int {
	rt, err := New(".")
	if err == nil {
		var n orchestrate.Nodes
		if n, err = rt.Open(context.Background(), spec("sleep")); err == nil {
			err = n.Start(context.Background(), "server", os.Stdout, os.Stderr)
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	select {}
}

// spec returns a server and a client with the given roles.
func spec(server string, client ...string) orchestrate.Spec {
	node := func(name, address, role string) orchestrate.NodeSpec {
		kind := results.RoleServer
		if name != "server" {
			kind = results.RoleSequential
		}
		return orchestrate.NodeSpec{
			Name: name, Role: kind, Address: netip.MustParseAddr(address),
			Command: []string{"/proc/self/exe"}, Env: []string{roleVariable + "=" + role}, CPUs: []int{0},
		}
	}
	s := orchestrate.Spec{
		Run: "test-" + strconv.Itoa(os.Getpid()), Trial: results.PlannedTrial{Index: 1, Variant: "no-block"}, Attempt: 1,
		Subnet: netip.MustParsePrefix("172.31.77.0/24"),
		Nodes:  []orchestrate.NodeSpec{node("server", serverAddress, server)},
	}
	for _, role := range client {
		s.Nodes = append(s.Nodes, node("client", clientAddress, role))
	}
	return s
}

func open(t *testing.T, s orchestrate.Spec) orchestrate.Nodes {
	t.Helper()
	testkit.NeedRoot(t)
	rt, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := rt.Open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return n
}

func start(t *testing.T, n orchestrate.Nodes, name string) (stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	if err := n.Start(t.Context(), name, stdout, stderr); err != nil {
		t.Fatal(err)
	}
	return stdout, stderr
}

func wait(t *testing.T, n orchestrate.Nodes, name string) int {
	t.Helper()
	code, err := n.Wait(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestANodeHasItsAddressItsCPUsAndItsEnvironment(t *testing.T) {
	n := open(t, spec("describe"))
	stdout, stderr := start(t, n, "server")
	if code := wait(t, n, "server"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	receivers := record.EnvReceivers + "=" + joined(n.(*nodes).network.receivers)
	want := "lo [127.0.0.1/8]\neth0 [" + serverAddress + "/24]\ncpus 1 true\nenvironment [" + roleVariable + "=describe " +
		receivers + "]\n"
	if stdout.String() != want || stderr.String() != "to standard error\n" {
		t.Errorf("standard output %q, want %q; standard error %q", stdout, want, stderr)
	}
}

// listening is the output of a server after its first line.
type listening struct{ *bufio.Reader }

// startListening starts the server, and waits until it listens.
func startListening(t *testing.T, n orchestrate.Nodes) listening {
	t.Helper()
	out, w := io.Pipe()
	testkit.Must(t, n.Start(t.Context(), "server", w, io.Discard))
	l := listening{bufio.NewReader(out)}
	if line, err := l.ReadString('\n'); err != nil || line != "listening\n" {
		t.Fatalf("the server prints %q, %v", line, err)
	}
	return l
}

func (l listening) discard() { _, _ = io.Copy(io.Discard, l) }

// rest returns the next line.
func (l listening) rest(t *testing.T) string {
	t.Helper()
	line, err := l.ReadString('\n')
	testkit.Must(t, err)
	return strings.TrimSuffix(line, "\n")
}

func TestNodesReachEachOther(t *testing.T) {
	n := open(t, spec("echo", "ask"))
	listening := startListening(t, n)
	go listening.discard()
	stdout, _ := start(t, n, "client")
	if code := wait(t, n, "client"); code != 0 || stdout.String() != "hello <nil>\n" {
		t.Errorf("exit code %d, answer %q", code, stdout)
	}
	if code := wait(t, n, "server"); code != 0 {
		t.Errorf("server: exit code %d", code)
	}
}

func TestASignalReachesTheNode(t *testing.T) {
	for _, test := range []struct {
		signal syscall.Signal
		code   int
		words  bool
	}{{syscall.SIGTERM, 7, true}, {syscall.SIGKILL, 137, false}} {
		t.Run(unix.SignalName(test.signal), func(t *testing.T) {
			n := open(t, spec("sleep"))
			reader, w := io.Pipe()
			if err := n.Start(t.Context(), "server", w, io.Discard); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, len("asleep"))
			if _, err := io.ReadFull(reader, first); err != nil {
				t.Fatal(err)
			}
			rest := make(chan string)
			go func() { all, _ := io.ReadAll(reader); rest <- string(all) }()
			if err := n.Signal(t.Context(), "server", test.signal); err != nil {
				t.Fatal(err)
			}
			if code := wait(t, n, "server"); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			_ = w.Close()
			if got := <-rest; strings.Contains(got, "last words") != test.words {
				t.Errorf("output %q", got)
			}
			if err := n.Signal(t.Context(), "server", test.signal); err != nil {
				t.Errorf("a node that has ended: %v", err)
			}
		})
	}
}

// openLimited opens a server with a memory limit, and so with a control group.
func openLimited(t *testing.T, role string) orchestrate.Nodes {
	t.Helper()
	s := spec(role)
	s.Nodes[0].MemoryBytes = 64 << 20
	n := open(t, s)
	if n.(*nodes).runtime.memory == "" {
		t.Skip("no control group for memory here")
	}
	return n
}

func TestANodeOverItsMemoryLimitIsKilled(t *testing.T) {
	n := openLimited(t, "grow")
	start(t, n, "server")
	if code := wait(t, n, "server"); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
}

func TestADaemonThatANodeLeavesIsKilled(t *testing.T) {
	n := openLimited(t, "leave a daemon")
	var out bytes.Buffer
	if err := n.Start(t.Context(), "server", &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if code := wait(t, n, "server"); code != 0 {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	var pid int
	if _, err := fmt.Sscanf(out.String(), "left %d", &pid); err != nil {
		t.Fatalf("%v in %q", err, &out)
	}
	testkit.Await(t, "the end of the daemon", func() bool { return gone(pid) })
	if err := n.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	before := descriptors(t)
	s := spec("sleep", "sleep")
	s.Nodes[0].MemoryBytes = 64 << 20
	n := open(t, s)
	start(t, n, "server")
	start(t, n, "client")
	var pids []int
	for _, node := range n.(*nodes).byName {
		pids = append(pids, node.process.Pid)
	}
	if err := n.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v, want it gone", pid, err)
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d file descriptors, %d before", after, before)
	}
	if left := groups(t, s.Run); len(left) > 0 {
		t.Errorf("control groups are left: %v", left)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func groups(t *testing.T, run string) []string {
	t.Helper()
	var all []string
	for _, root := range []string{unified, legacy} {
		found, err := filepath.Glob(filepath.Join(root, groupPrefix+run+"*"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

func TestNodesDieWithAKilledRun(t *testing.T) {
	open(t, spec("describe")) // skips the test if it must
	run := exec.CommandContext(t.Context(), "/proc/self/exe")
	run.Env = []string{roleVariable + "=run and be killed"}
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "asleep %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // it was killed
	testkit.Await(t, "the end of a node whose run was killed", func() bool { return gone(pid) })
}

// gone reports whether a process has ended; a zombie has, too.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

func TestWhatCannotStartSaysSo(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*orchestrate.NodeSpec)
		want   string
	}{
		"no such program": {func(n *orchestrate.NodeSpec) { n.Command = []string{"/no/such/program"} }, "/no/such/program"},
		"no such CPU":     {func(n *orchestrate.NodeSpec) { n.CPUs = []int{1000} }, "to CPUs [1000]"},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NeedRoot(t)
			s := spec("describe", "describe")
			test.change(&s.Nodes[1])
			err := openAndStart(t, s)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), s.Nodes[1].Name) {
				t.Errorf("error %v, want one that names the node and %q", err, test.want)
			}
		})
	}
}

// openAndStart starts the second of two nodes.
func openAndStart(t *testing.T, s orchestrate.Spec) (err error) {
	t.Helper()
	rt, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := rt.Open(t.Context(), s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Remove(t.Context())) }()
	return n.Start(t.Context(), s.Nodes[1].Name, io.Discard, io.Discard)
}

func TestMissingBinariesAreNamed(t *testing.T) {
	rt := &Runtime{bin: t.TempDir()}
	if err := os.WriteFile(filepath.Join(rt.bin, "equic-probe"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := rt.Prepare(t.Context(), "run")
	if !errors.Is(err, orchestrate.ErrNoBinary) || !strings.Contains(err.Error(), "equic-server, equic-client") ||
		strings.Contains(err.Error(), "equic-probe,") {
		t.Errorf("error %v, want the two that are missing", err)
	}
}
