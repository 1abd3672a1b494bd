package main

import (
	"os/exec"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

func TestAServerThatIsNotOursRuns(t *testing.T) {
	testkit.NeedRoot(t)
	needBinary(t)
	if _, err := exec.LookPath("gtlsserver"); err != nil {
		t.Skip("there is no gtlsserver (apt install ngtcp2-server)")
	}
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
