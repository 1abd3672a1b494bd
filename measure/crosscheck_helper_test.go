package measure

import (
	"bufio"
	"context"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
)

// agree fails if two figures differ by more than a share of the tool's figure.
func agree(t *testing.T, what string, ours, theirs, tolerance float64) {
	t.Helper()
	off := ours/theirs - 1
	t.Logf("%s: ours %.6g, theirs %.6g: %+.2f %%", what, ours, theirs, 100*off)
	if !(math.Abs(off) <= tolerance) {
		t.Errorf("%s: ours %.6g, theirs %.6g; they may differ by %g %%", what, ours, theirs, 100*tolerance)
	}
}

// buildNodes builds the programs of the nodes, and returns their folder.
func buildNodes(t *testing.T) string {
	t.Helper()
	return testkit.Build(t, "../cmd/equic-probe", "../cmd/equic-server", "../cmd/equic-client")
}

func serverCommand(bin, address string, variant record.Variant) []string {
	return []string{filepath.Join(bin, "equic-server"), "--listen", address, "--variant", string(variant)}
}

// runClient loads the server and returns when all requests have ended.
func runClient(t *testing.T, bin, address string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "equic-client"),
		append([]string{"--server", address}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("client: %v", err)
	}
}

// childOf returns the only child of a process.
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

// nodeRecords are the records that a node prints. The fields may be read after end.
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
