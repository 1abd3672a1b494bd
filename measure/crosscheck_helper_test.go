package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// agree fails where two figures are further apart than a share of the tool's.
func agree(t *testing.T, what string, ours, theirs, tolerance float64) {
	t.Helper()
	off := ours/theirs - 1
	t.Logf("%s: ours %.6g, theirs %.6g: %+.2f %%", what, ours, theirs, 100*off)
	if !(math.Abs(off) <= tolerance) {
		t.Errorf("%s: ours %.6g, theirs %.6g; they may differ by %g %%", what, ours, theirs, 100*tolerance)
	}
}

// requireTool skips a test where a tool is not installed; under CI it fails.
func requireTool(t *testing.T, name string) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds, and -short asks for none of these")
	}
	_, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s: %v", name, err)
	default:
		t.Skipf("needs %s: %v", name, err)
	}
}

// buildNodes builds the programs of the nodes, and returns their folder.
func buildNodes(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/",
		"../cmd/equic-probe", "../cmd/equic-server", "../cmd/equic-client").CombinedOutput()
	if err != nil {
		t.Fatalf("build the nodes: %v\n%s", err, out)
	}
	return bin
}

func serverCommand(bin string, port int) []string {
	return []string{filepath.Join(bin, "equic-server"), "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--variant", "no-block"}
}

// runClient loads the server and returns when all requests have ended.
func runClient(t *testing.T, bin string, port int, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "equic-client"),
		append([]string{"--server", fmt.Sprintf("127.0.0.1:%d", port)}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("client: %v", err)
	}
}

// freePort is a UDP port that nothing listened on a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	var config net.ListenConfig
	c, err := config.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// childOf is the process that another has started; it has exactly one.
func childOf(t *testing.T, parent int) *os.Process {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent ...
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest)
		if len(f) > 1 && f[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			child, err := os.FindProcess(pid)
			if err != nil {
				t.Fatal(err)
			}
			return child
		}
	}
	t.Fatalf("process %d has no child", parent)
	return nil
}

// nodeRecords is what a node prints. The fields may be read after end.
type nodeRecords struct {
	ready, end chan struct{}
	samples    []record.Sample
	probe      *record.Probe
}

// readRecords reads a node's output to its end.
func readRecords(t *testing.T, output io.Reader) *nodeRecords {
	t.Helper()
	r := &nodeRecords{ready: make(chan struct{}), end: make(chan struct{})}
	go func() {
		defer close(r.end)
		err := record.ReadLines(bufio.NewReader(output), "server", func(l *record.Line) error {
			switch {
			case l.Ready != nil:
				close(r.ready)
			case l.Sample != nil:
				r.samples = append(r.samples, *l.Sample)
			case l.Probe != nil:
				r.probe = l.Probe
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}()
	return r
}

func (r *nodeRecords) awaitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-r.ready:
	case <-r.end:
		t.Fatal("the server ended before it was ready")
	case <-ctx.Done():
		t.Fatal("the server is not ready")
	}
}

func parseCount(t *testing.T, word string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
