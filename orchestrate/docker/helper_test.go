package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

// openRuntime connects to the engine, with an image of the stand-in node.
func openRuntime(t *testing.T) *Runtime {
	t.Helper()
	testkit.NeedEngine(t)
	r, err := New(t.Context(), standIns(t))
	testkit.Must(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.Prepare(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	made := r.Platform().Runtime.Image
	t.Cleanup(func() {
		_, err := r.engine.ImageRemove(context.WithoutCancel(t.Context()), made,
			image.RemoveOptions{Force: true, PruneChildren: true})
		if err != nil {
			t.Error(err)
		}
	})
	return r
}

// standIns builds the stand-in node under the names of the nodes' binaries.
func standIns(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	built := filepath.Join(dir, "node")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", built, "./testdata/node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in node: %v\n%s", err, out)
	}
	for _, name := range orchestrate.Binaries() {
		if err := os.Link(built, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func testSpec(t *testing.T) orchestrate.Spec {
	t.Helper()
	return orchestrate.Spec{
		Run:     t.Name() + time.Now().Format("150405.000000000"),
		Trial:   results.PlannedTrial{Index: 1, Block: 1, Variant: "no-block"},
		Attempt: 1,
		Subnet:  netip.MustParsePrefix(testSubnet),
		Nodes: []orchestrate.NodeSpec{
			{
				Name: "server", Role: results.RoleServer, Address: netip.MustParseAddr("172.31.251.2"),
				Command: []string{"/equic-server", "wait"}, Kernel: true, MemoryBytes: 64 << 20,
			},
			{
				Name: "client", Role: results.RoleParallel, Address: netip.MustParseAddr("172.31.251.11"),
				Command: []string{"/equic-client", "end"}, Env: []string{"EQUIC_EPOCH=42"}, CPUs: []int{0}, OpenFiles: 3064,
			},
		},
	}
}

func openNodes(t *testing.T, r *Runtime, spec orchestrate.Spec) orchestrate.Nodes {
	t.Helper()
	nodes, err := r.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return nodes
}

// running is a node in a test. Its output may be read after wait.
type running struct {
	nodes    orchestrate.Nodes
	name     string
	out, log *bytes.Buffer
}

func startNode(t *testing.T, nodes orchestrate.Nodes, name string) running {
	t.Helper()
	n := running{nodes, name, new(bytes.Buffer), new(bytes.Buffer)}
	if err := nodes.Start(t.Context(), name, n.out, n.log); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n running) wait(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	code, err := n.nodes.Wait(ctx, n.name)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// found returns the node's report of its surroundings.
func (n running) found(t *testing.T) map[string]string {
	t.Helper()
	var said map[string]string
	if err := json.NewDecoder(n.out).Decode(&said); err != nil {
		t.Fatalf("output of %s: %v", n.name, err)
	}
	return said
}

// wantCapabilities returns the mask (capabilities(7)) of the capabilities that the
// runtime reports to have granted.
func wantCapabilities(r *Runtime) string {
	if r.older {
		return "0000000000201000" // SYS_ADMIN 21, NET_ADMIN 12
	}
	return "000000c000001000" // BPF 39, PERFMON 38, NET_ADMIN 12
}

// deadProcess returns the name of a process that has ended.
func deadProcess(t *testing.T) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "cat")
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	name := processName(strconv.Itoa(c.Process.Pid))
	if !alive(name) {
		t.Errorf("process %s counts as gone while it runs", name)
	}
	if err := errors.Join(stdin.Close(), c.Wait()); err != nil {
		t.Fatal(err)
	}
	return name
}

func labelledResources(t *testing.T, r *Runtime, run string) ([]container.Summary, []network.Summary) {
	t.Helper()
	args := Labelled(LabelRun + "=" + run)
	containers, err := r.engine.ContainerList(t.Context(), container.ListOptions{All: true, Filters: args})
	if err != nil {
		t.Fatal(err)
	}
	networks, err := r.engine.NetworkList(t.Context(), network.ListOptions{Filters: args})
	if err != nil {
		t.Fatal(err)
	}
	return containers, networks
}
