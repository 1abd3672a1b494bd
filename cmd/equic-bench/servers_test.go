package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
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

// short are the changes that make the scenarios of servers short.
var short = []string{
	"server.key=rsa-2048", "clients.timeout=2s", "trial.settle=0s",
	"loads.requests.sequential.duration=2s", "loads.half-open.sequential.duration=2s",
	"loads.requests.parallel.duration=1s", "loads.half-open.parallel.duration=1s",
	"loads.requests.parallel.delay=500ms", "loads.half-open.parallel.delay=500ms",
}

func TestServersThatAreNotOursRun(t *testing.T) {
	testkit.NeedRoot(t)
	needBinary(t)
	testkit.NeedTool(t, "gtlsserver") // Debian: ngtcp2-server
	needServers(t)
	for name, variants := range map[string]string{
		"ngtcp2": "no-block,gateway,nftables-limit", "caddy": "gateway", "xnet": "no-block",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			args := []string{
				"run", "scenarios/servers/" + name + ".yaml", "--results", root, "--runtime", runtimeNetns,
				"--capacity", "50", "--variants", variants,
			}
			for _, change := range short {
				args = append(args, "--set", change)
			}
			command := exec.Command("bin/equic-bench", args...) //nolint:noctx // startCommand ends it
			command.Dir = "../.."                               // the scenarios name files from there
			if code := startCommand(t, command).exit(); code != 0 {
				t.Fatalf("exit code %d", code)
			}
			r := openRun(t, root)
			nothingLeft(t, r)
			for _, trial := range r.Trials {
				if trial.Valid { // else it was repeated
					checkServed(t, r, trial)
				}
			}
		})
	}
}

// needServers builds the servers of scenarios/servers.
func needServers(t *testing.T) {
	t.Helper()
	build := exec.CommandContext(t.Context(), "make", "-C", "../..", "servers")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make servers: %v\n%s", err, out)
	}
}

func checkServed(t *testing.T, r *results.Run, trial *results.Trial) {
	t.Helper()
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

// A server in a container of its own image, with a file of its own in it.
const inAContainer = `name: container
variants: [no-block]
server:
  image: equic-bench/test-server
  command: [/equic-server, --listen, "{address}:{port}", --body, "16384", --key, ecdsa-p256]
  body: 16KiB
clients:
  sequential: {count: 2, duration: 3s, pace: 100ms}
  parallel: {count: 2, duration: 1s, rate: 10/s, delay: 1s}
network: {subnet: 172.31.89.0/24}
`

func TestAServerInAnImageOfItsOwnRuns(t *testing.T) {
	testkit.NeedEngine(t)
	needBinary(t)
	image := exec.CommandContext(t.Context(), "sh", "-c",
		"tar -C ../../bin -c equic-server | docker import - equic-bench/test-server")
	if out, err := image.CombinedOutput(); err != nil {
		t.Fatalf("make the image: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		remove := exec.Command("docker", "rmi", "equic-bench/test-server") //nolint:noctx // the test's context has ended
		if out, err := remove.CombinedOutput(); err != nil {
			t.Errorf("remove the image: %v\n%s", err, out)
		}
	})
	root := t.TempDir()
	file := filepath.Join(t.TempDir(), "container.yaml")
	testkit.Must(t, os.WriteFile(file, []byte(inAContainer), 0o600))
	if code := startBench(t, "run", file, "--results", root, "--runtime", runtimeDocker).exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	r := openRun(t, root)
	nothingLeft(t, r)
	last := r.Trials[len(r.Trials)-1]
	checkServed(t, r, last)

	testkit.Must(t, os.WriteFile(file, []byte(strings.Replace(inAContainer, "test-server", "no-server", 1)), 0o600))
	b := startBench(t, "run", file, "--results", root, "--runtime", runtimeDocker)
	b.waitFor("has no such image: equic-bench/no-server")
	if code := b.exit(); code != exitMachine {
		t.Errorf("exit code %d without the image", code)
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
