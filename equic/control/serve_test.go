package control

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

func TestWhatAConnectionCountedGoesWithIt(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(p peer) error
	}{
		{"closed", func(p peer) error { return p.Close() }},
		{"closed for writing only", func(p peer) error { return p.Conn.(*net.UnixConn).CloseWrite() }},
		{"closed in the middle of a line", func(p peer) error {
			_, err := io.WriteString(p, "inc 192.0.2.9")
			return joinClose(err, p)
		}},
		{"closed with replies unread", func(p peer) error {
			_, err := io.WriteString(p, strings.Repeat("status\n", 100))
			return joinClose(err, p)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := control(t, 443)
			testkit.Must(t, c.SetQuota(443, 100))
			stays, goes := dial(t, c.path), dial(t, c.path)
			stays.want(t, "inc 192.0.2.7", "ok")
			for _, addr := range []string{"192.0.2.7", "192.0.2.7", "192.0.2.8"} {
				goes.want(t, "inc "+addr, "ok")
			}
			testkit.Must(t, test.end(goes))
			testkit.Await(t, "its counts are gone", func() bool { return c.total() == 1 })
			stays.want(t, "dec 192.0.2.7", "ok") // its own count is still there
		})
	}
}

func joinClose(err error, p peer) error {
	if err != nil {
		return err
	}
	return p.Close()
}

func TestAConnectionCannotReleaseWhatAnotherCounted(t *testing.T) {
	c := control(t, 443)
	one, other := dial(t, c.path), dial(t, c.path)
	one.want(t, "inc 192.0.2.7", "ok")
	if got := other.ask(t, "dec 192.0.2.7"); !strings.HasPrefix(got, "error: no connection of 192.0.2.7") {
		t.Errorf("got %q", got)
	}
	if c.total() != 1 {
		t.Errorf("%d connections are counted, want 1", c.total())
	}
}

// countingVariable makes the test binary a process that counts at the socket with this
// path.
const countingVariable = "EQUIC_CONTROL_TEST_SOCKET"

const countedForEver = 10

// countForEver counts some clients, prints a line, and waits to be killed.
func countForEver(socket string) {
	conn, err := net.Dial("unix", socket) //nolint:noctx // it is killed
	if err != nil {
		return
	}
	in := bufio.NewReader(conn)
	for i := range countedForEver {
		if _, err := fmt.Fprintf(conn, "inc 192.0.2.%d\n", i); err != nil {
			return
		}
		if line, err := in.ReadString('\n'); err != nil || line != "ok\n" {
			return
		}
	}
	fmt.Println("counted")
	_, _ = io.Copy(io.Discard, conn)
}

func TestWhatAProcessCountedGoesWhenItIsKilled(t *testing.T) {
	c := control(t, 443)
	child := exec.CommandContext(t.Context(), "/proc/self/exe")
	child.Env = append(os.Environ(), countingVariable+"="+c.path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "counted\n" || c.total() != countedForEver {
		t.Errorf("the process said %q (%v), and %d are counted", line, err, c.total())
	}
	testkit.Must(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait() // killed
	testkit.Await(t, "its counts are gone", func() bool { return c.total() == 0 })
}

func TestManyLinesInOneWriteAreAnsweredInOrder(t *testing.T) {
	c := control(t, 443)
	p := dial(t, c.path)
	const lines = 1000
	var requests, want strings.Builder
	for i := range lines {
		if i%3 == 2 {
			_, _ = fmt.Fprintf(&requests, "bad%d\n", i)
			_, _ = fmt.Fprintf(&want, "error: unknown request \"bad%d\": send one of %s\n", i, names)
			continue
		}
		_, _ = fmt.Fprintf(&requests, "inc 10.0.%d.%d\n", i/256, i%256)
		want.WriteString("ok\n")
	}
	go func() { _, _ = io.WriteString(p, requests.String()) }() // the test checks what it reads
	got := make([]byte, want.Len())
	_, err := io.ReadFull(p.in, got)
	testkit.Must(t, err)
	if string(got) != want.String() {
		t.Error("the replies are others, or in another order")
	}
	if c.total() != lines-lines/3 {
		t.Errorf("%d connections are counted, want %d", c.total(), lines-lines/3)
	}
}

func TestAReplyDoesNotWaitForTheRestOfALine(t *testing.T) {
	p := dial(t, control(t, 443).path)
	p.send(t, "inc 192.0.2.7\ndec 192")
	if got := p.reply(t); got != "ok" {
		t.Errorf("got %q", got)
	}
	p.want(t, ".0.2.7", "ok")
}

func TestPeersAtTheSameTimeLoseNoCount(t *testing.T) {
	c := control(t, 443, 8443)
	const peers, rounds = 16, 200
	testkit.Must(t, errors.Join(c.SetQuota(443, 2*peers*rounds), c.SetQuota(8443, 2*peers*rounds)))
	var all sync.WaitGroup
	for i := range peers {
		p := dial(t, c.path)
		all.Go(func() {
			port := 443
			if i%2 == 1 {
				port = 8443
			}
			for range rounds {
				for _, line := range []string{
					"inc 192.0.2.7 %d", "inc 192.0.2.8 %d", "dec 192.0.2.7 %d", "quota 9999 %d",
					"rate 2 4 %d",
				} {
					if _, err := fmt.Fprintf(p, line+"\n", port); err != nil {
						t.Error(err)
						return
					}
					if reply, err := p.in.ReadString('\n'); err != nil || reply != "ok\n" {
						t.Errorf("%s: %q, %v", line, reply, err)
						return
					}
				}
			}
		})
	}
	reader := dial(t, c.path)
	for range 20 {
		_ = reader.ask(t, "status") // any reply: it must only not disturb the others
		_ = reader.ask(t, "clients")
	}
	all.Wait()
	if got := c.total(); got != peers*rounds {
		t.Errorf("%d connections are counted, want %d", got, peers*rounds)
	}
	c.stop()
	if got := c.total(); got != 0 {
		t.Errorf("%d connections are counted when the server has ended", got)
	}
}

func TestAPeerThatReadsNoRepliesIsClosedAndBlocksNobody(t *testing.T) {
	for request, crowded := range map[string]int{
		"status\n":  0,
		"clients\n": 20000, // a reply of 1.5 MB, larger than any buffer
	} {
		t.Run(strings.TrimSpace(request), func(t *testing.T) {
			c := prepare(t, 443)
			c.crowded = crowded
			c.server.patience = 100 * time.Millisecond
			c.start(t)
			slow, other := dial(t, c.path), dial(t, c.path)
			slow.want(t, "inc 192.0.2.7", "ok")
			go func() { // until it is closed, or at most 64 MB
				for range 1024 {
					if _, err := io.WriteString(slow, strings.Repeat(request, 64<<10/len(request))); err != nil {
						return
					}
				}
			}()
			other.want(t, "inc 192.0.2.8", "ok")
			testkit.Await(t, "the slow peer is closed", func() bool { return c.total() == 1 })
			other.want(t, "dec 192.0.2.8", "ok")
		})
	}
}

func TestTooManyReadersOfAllClientsAreAskedToComeAgain(t *testing.T) {
	c := control(t, 443)
	for range maxSnapshots {
		c.server.snapshots <- struct{}{}
	}
	p := dial(t, c.path)
	p.want(t, "clients", "error: 4 connections are reading the clients now: ask again")
	<-c.server.snapshots
	p.want(t, "clients", "[]")
	p.want(t, "clients", "[]") // its place is free again
}

func TestOneConnectionTooManyIsTurnedAway(t *testing.T) {
	c := control(t, 443)
	testkit.Must(t, c.SetQuota(443, MaxConnections))
	var open []peer
	for range MaxConnections {
		open = append(open, dial(t, c.path))
	}
	for _, p := range open {
		p.want(t, "inc 192.0.2.7", "ok")
	}
	late := dial(t, c.path)
	if got := late.reply(t); !strings.HasPrefix(got, "error: 64 connections are open already") {
		t.Errorf("got %q", got)
	}
	if _, err := late.in.ReadByte(); err == nil {
		t.Error("the connection is not closed")
	}
	testkit.Must(t, open[0].Close())
	testkit.Await(t, "a place is free", func() bool { return c.total() == MaxConnections-1 })
	testkit.Await(t, "the next one is served", func() bool { return !strings.HasPrefix(tryOnce(t, c.path), "error") })
}

// tryOnce connects and counts, and returns the reply.
func tryOnce(t *testing.T, path string) string {
	t.Helper()
	p := dial(t, path)
	defer func() { _ = p.Close() }()
	_, _ = io.WriteString(p, "inc 192.0.2.7\n") // the test checks the reply
	line, err := p.in.ReadString('\n')
	if err != nil {
		return "error"
	}
	return line
}

// shortOf is a listener whose first Accepts fail for lack of file descriptors.
type shortOf struct {
	net.Listener
	once sync.Once
}

func (l *shortOf) Accept() (conn net.Conn, err error) {
	l.once.Do(func() { err = &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)} })
	if err != nil {
		return nil, err
	}
	return l.Listener.Accept()
}

func TestServingGoesOnWhereFilesAreShortForAMoment(t *testing.T) {
	c := prepare(t, 443)
	l, err := Listen(t.Context(), c.path)
	testkit.Must(t, err)
	c.serve(t, &shortOf{Listener: l})
	dial(t, c.path).want(t, "inc 192.0.2.7", "ok")
}

func TestServeSaysWhyItCannotAccept(t *testing.T) {
	c := prepare(t, 443)
	l, err := Listen(t.Context(), c.path)
	testkit.Must(t, err)
	testkit.Must(t, l.Close())
	if err := c.server.Serve(t.Context(), l); err == nil ||
		!strings.Contains(err.Error(), "accept connections of "+c.path) {
		t.Errorf("got %v", err)
	}
}
