package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/netkit"
)

const (
	// programVariable makes the test binary run as the program itself.
	programVariable = "EQUIC_GATEWAY_TEST_PROGRAM"
	// connectVariable makes it connect to the socket that it names.
	connectVariable = "EQUIC_GATEWAY_TEST_CONNECT"
)

// TestMain runs the tests, or a helper process of one of them.
func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	if path := os.Getenv(connectVariable); path != "" {
		os.Exit(tryToConnect(path))
	}
	os.Exit(m.Run())
}

// tryToConnect returns the number of the error, or zero.
func tryToConnect(path string) int {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		_ = conn.Close() // the process ends
	}
	number, _ := errors.AsType[syscall.Errno](err)
	return int(number)
}

const (
	serverInterface = netkit.ServerInterface
	serverAddress   = netkit.ServerAddress
	clientAddress   = netkit.ClientAddress
)

// nobody is the ID of the unprivileged user and group of that name.
const nobody = 65534

// newPair leaves the test in the server's namespace of a veth pair. It returns a socket
// in the client's namespace that sends to the server's port 443.
func newPair(t *testing.T) (client net.Conn) {
	t.Helper()
	p := netkit.NewPair(t)
	netkit.SetUp(t, "lo")
	netkit.Enter(t, p.Client)
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "udp", serverAddress+":443")
	testkit.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	netkit.Enter(t, p.Server)
	return conn
}

// attached reports whether the server's interface has an XDP program.
func attached(t *testing.T) bool {
	t.Helper()
	xdp := netkit.Link(t, serverInterface).Attrs().Xdp
	return xdp != nil && xdp.Attached
}

// sendInitial sends a datagram that looks like the beginning of a QUIC v1 connection.
func sendInitial(client net.Conn) {
	// ECONNREFUSED comes from an earlier one: no process listens at the server.
	_, _ = client.Write(append([]byte{0xc0, 0, 0, 0, 1, 8}, make([]byte, 1194)...))
}

// program is a running equic-gateway.
type program struct {
	*exec.Cmd
	socket string
	out    *bufio.Reader // standard output
	close  func()        // closes the reading end of it
	log    *buffer       // standard error
}

// command returns the program, with arguments that most tests want. Call it on the
// test's own thread, not in t.Run: other threads are not in the namespace.
func command(t *testing.T, arguments ...string) program {
	t.Helper()
	return commandAt(t, filepath.Join(t.TempDir(), "socket"), arguments...)
}

func commandAt(t *testing.T, socket string, arguments ...string) program {
	t.Helper()
	arguments = append([]string{"--interface", serverInterface, "--port", "443", "--socket", socket}, arguments...)
	// Not os.Args[0]: another user may not be able to reach its folder.
	p := program{Cmd: exec.CommandContext(t.Context(), "/proc/self/exe", arguments...), socket: socket, log: new(buffer)}
	p.Env = append(os.Environ(), programVariable+"=1")
	p.Stderr = p.log
	out, err := p.StdoutPipe()
	testkit.Must(t, err)
	p.out, p.close = bufio.NewReader(out), func() { _ = out.Close() }
	return p
}

// start runs the program until the test ends, and waits until the gateway is attached.
func start(t *testing.T, arguments ...string) program {
	t.Helper()
	p := command(t, arguments...)
	p.start(t)
	return p
}

func (p program) start(t *testing.T) {
	t.Helper()
	p.launch(t)
	_ = p.status(t) // answers once it is attached
}

// launch starts the program, and does not wait.
func (p program) launch(t *testing.T) {
	t.Helper()
	testkit.Must(t, p.Start())
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		if t.Failed() {
			t.Logf("the program's log:\n%s", p.log)
		}
	})
}

// end sends a signal, and returns the exit code; negative if the program was killed.
func (p program) end(t *testing.T, signal os.Signal) int {
	t.Helper()
	testkit.Must(t, p.Process.Signal(signal))
	_ = p.Wait() // the test checks its state
	return p.ProcessState.ExitCode()
}

// dial connects a server to the program.
func (p program) dial(t *testing.T) server {
	t.Helper()
	var d net.Dialer
	var conn net.Conn
	testkit.Await(t, "the socket takes connections", func() (ok bool) {
		var err error
		conn, err = d.DialContext(t.Context(), "unix", p.socket)
		return err == nil
	})
	testkit.Must(t, conn.SetDeadline(time.Now().Add(30*time.Second))) // or a hung program hangs the test
	t.Cleanup(func() { _ = conn.Close() })
	return server{Conn: conn, in: bufio.NewReader(conn)}
}

// server is a connection to the program.
type server struct {
	net.Conn
	in *bufio.Reader
}

func (s server) ask(t *testing.T, line string) string {
	t.Helper()
	_, err := io.WriteString(s, line+"\n")
	testkit.Must(t, err)
	reply, err := s.in.ReadString('\n')
	testkit.Must(t, err)
	return strings.TrimSuffix(reply, "\n")
}

func (s server) want(t *testing.T, line, reply string) {
	t.Helper()
	if got := s.ask(t, line); got != reply {
		t.Fatalf("%s: got %q, want %q", line, got, reply)
	}
}

// state holds the fields of `status` that tests read.
type state struct {
	Mode                     string
	Attached                 bool
	Attachments              []struct{ Reason string }
	Clients, Blocked         int
	HalfOpen                 struct{ Validated, Unvalidated int } `json:"half_open"`
	Seen, Dropped, TableFull uint64
	Monitor                  bool
	Packets                  map[string]uint64
	WouldDrop                map[string]uint64 `json:"would_drop"`
	Ports                    []struct {
		Port, Quota int
		Policy      string
		Burst       int
		Packets     map[string]uint64
		TurnedAway  uint64 `json:"turned_away"`
	}
	Allowed, Denied []string
	DeniedFeed      int `json:"denied_feed"`
	Expiring        []struct {
		List, Prefix string
		SecondsLeft  int `json:"seconds_left"`
	}
}

func (p program) status(t *testing.T) (s state) {
	t.Helper()
	conn := p.dial(t)
	defer func() { _ = conn.Close() }()
	testkit.Must(t, json.Unmarshal([]byte(conn.ask(t, "status")), &s))
	return s
}

// metrics returns the program's page of metrics.
func (p program) metrics(t *testing.T) string {
	t.Helper()
	var url []string
	testkit.Await(t, "the log names the address", func() bool {
		url = regexp.MustCompile(`url=(http://(127[0-9.:]+)/metrics)`).FindStringSubmatch(p.log.String())
		return url != nil
	})
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", url[2]) // on this thread: it is in the namespace
	testkit.Must(t, err)
	defer func() { _ = conn.Close() }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url[1], nil)
	testkit.Must(t, err)
	request.Close = true
	testkit.Must(t, request.Write(conn))
	answer, err := http.ReadResponse(bufio.NewReader(conn), request)
	testkit.Must(t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	testkit.Must(t, err)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s\n%s", answer.Status, body)
	}
	return string(body)
}

// awaitCount sends Initials until the program has counted one for a reason. The first
// may wait until the neighbour's address is resolved.
func (p program) awaitCount(t *testing.T, client net.Conn, reason string) {
	t.Helper()
	before := p.status(t).Packets[reason]
	testkit.Await(t, "a packet is counted as "+reason, func() bool {
		sendInitial(client)
		return p.status(t).Packets[reason] > before
	})
}

// buffer collects the output of a process while a test reads it.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
