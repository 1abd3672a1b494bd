package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/client"
	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestAServerThatIsNotOursRuns(t *testing.T) {
	testkit.NeedRoot(t)
	needBinary(t)
	testkit.NeedTool(t, "gtlsserver") // Debian: ngtcp2-server
	root := t.TempDir()
	b := startBench(t, "run", "../../scenarios/servers/ngtcp2.yaml", "--results", root, "--runtime", runtimeNetns,
		"--capacity", "50", "--set", "server.key=rsa-2048",
		"--set", "loads.requests.sequential.duration=5s", "--set", "loads.half-open.sequential.duration=5s",
		"--set", "loads.requests.parallel.duration=2s", "--set", "loads.half-open.parallel.duration=2s",
		"--set", "loads.requests.parallel.delay=1s", "--set", "loads.half-open.parallel.delay=1s")
	if code := b.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	r := openRun(t, root)
	nothingLeft(t, r)
	for i := range r.Trials {
		trial := r.Trials[i]
		if !trial.Valid { // repeated
			continue
		}
		served, samples := 0, 0
		for j := range trial.Nodes {
			n := &trial.Nodes[j]
			testkit.Must(t, r.Lines(trial, n, func(l *record.Line) error {
				if l.Request != nil && n.Role == results.RoleSequential && l.Request.Outcome == record.OK {
					served++
				}
				if l.Sample != nil && n.Role == results.RoleServer {
					samples++
				}
				return nil
			}))
		}
		if served == 0 || samples == 0 {
			t.Errorf("%s: %d requests were served, %d samples taken", trial.Label(), served, samples)
		}
	}
}

// The client is a load generator by itself, for servers of this machine (docs/servers.md).
func TestTheClientMeasuresAServerOnItsOwn(t *testing.T) {
	needBinary(t)
	const address = "127.0.0.1:14433"
	program := func(name string) string { return filepath.Join(filepath.Dir(binary), name) }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server := exec.CommandContext(ctx, program("equic-server"), "--listen", address, "--body", "16384")
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	stdout, err := server.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, server.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n') // it is ready
	testkit.Must(t, err)
	for name, load := range map[string][]string{
		"open loop":   {"--mode", "parallel", "--rate", "50", "--duration", "1s"},
		"closed loop": {"--requests", "50"},
	} {
		args := append([]string{"--server", address, "--body", "16384", "--summary"}, load...)
		out, err := exec.CommandContext(ctx, program("equic-client"), args...).Output()
		testkit.Must(t, err)
		var s client.Summary
		testkit.Must(t, json.Unmarshal(out, &s))
		if s.Requests != 50 || s.Outcomes[record.OK] != 50 || s.Response.P50 == nil || s.Handshake.Max == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	cancel()
	_ = server.Wait() // it was asked to end
	elsewhere := exec.CommandContext(t.Context(), program("equic-client"), "--server", "198.51.100.1:443",
		"--requests", "1")
	out, err := elsewhere.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is not an address of this machine") {
		t.Errorf("a server elsewhere: error %v\n%s", err, out)
	}
}
