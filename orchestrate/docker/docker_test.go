package docker

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/orchestrate"
	"github.com/equic-bench/equic-bench/results"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSubnet = "172.31.251.0/24"

func TestNodesRunAsTheSpecSays(t *testing.T) {
	r := openRuntime(t)
	spec := testSpec(t)
	nodes := openNodes(t, r, spec)

	server := startNode(t, nodes, "server")
	client := startNode(t, nodes, "client")
	if code := client.wait(t); code != 3 {
		t.Errorf("the client ended with exit code %d, want its own 3", code)
	}
	if err := nodes.Signal(t.Context(), "server", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := server.wait(t); code != 0 {
		t.Errorf("the server ended with exit code %d after SIGTERM, want 0", code)
	}
	if err := nodes.Signal(t.Context(), "server", syscall.SIGTERM); err != nil {
		t.Errorf("a signal to a node that has ended: %v, want no error", err)
	}
	if got := server.out.String(); !strings.HasSuffix(got, "stopped\n") {
		t.Errorf("output of the server does not reach its last line: %q", got)
	}
	if got := server.log.String(); got != "this is the log\n" {
		t.Errorf("log of the server is %q", got)
	}

	found, there := client.found(t), server.found(t)
	for name, pair := range map[string][2]string{
		"the client has its address":                 {found["address"], "172.31.251.11/24"},
		"the server has its address":                 {there["address"], "172.31.251.2/24"},
		"the client has its environment":             {found["epoch"], "42"},
		"the client has no capability":               {found["CapEff"], "0000000000000000"},
		"the server has few capabilities":            {there["CapEff"], wantCapabilities(r)},
		"the client can gain no privileges":          {found["NoNewPrivs"], "1"},
		"the client is bound to its CPU":             {found["Cpus_allowed_list"], "0"},
		"the client's system call filter is on":      {found["Seccomp"], "2"},
		"the client's root file system is read only": {found["write"], "open /file: read-only file system"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: found %q, want %q", name, pair[0], pair[1])
		}
	}
}

func TestEverythingIsLabelledAndRemoved(t *testing.T) {
	r := openRuntime(t)
	spec := testSpec(t)
	nodes := openNodes(t, r, spec)
	startNode(t, nodes, "server")

	containers, networks := labelledResources(t, r, spec.Run)
	if len(containers) != 2 || len(networks) != 1 {
		t.Fatalf("%d containers and %d networks carry the run's label, want 2 and 1", len(containers), len(networks))
	}
	for _, c := range containers {
		if c.Labels[labelVariant] != "no-block" || c.Labels[labelRole] == "" || c.Labels[labelOwner] != r.owner {
			t.Errorf("container %v has labels %v", c.Names, c.Labels)
		}
	}
	if err := r.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if containers, networks := labelledResources(t, r, spec.Run); len(containers) != 2 || len(networks) != 1 {
		t.Error("Clean removed what belongs to a run in progress")
	}
	if err := nodes.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if containers, networks := labelledResources(t, r, spec.Run); len(containers)+len(networks) != 0 {
		t.Errorf("left after Remove: %v, %v", containers, networks)
	}
}

func TestCleanRemovesWhatADeadRunLeft(t *testing.T) {
	r := openRuntime(t)
	r.owner = deadProcess(t)
	spec := testSpec(t)
	nodes := openNodes(t, r, spec)
	startNode(t, nodes, "server")
	nodes.Detach()

	if err := r.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if containers, networks := labelledResources(t, r, spec.Run); len(containers)+len(networks) != 0 {
		t.Errorf("left after Clean: %v, %v", containers, networks)
	}
}

func TestOnlyTheVeryProcessCountsAsAlive(t *testing.T) {
	self := thisProcess()
	with := func(parts ...any) string { // self with other parts
		all := strings.Split(self, "/")
		for i := 0; i < len(parts); i += 2 {
			all[parts[i].(int)] = parts[i+1].(string)
		}
		return strings.Join(all, "/")
	}
	for name, test := range map[string]struct {
		owner string
		want  bool
	}{
		"this process":                             {self, true},
		"a process that has ended":                 {deadProcess(t), false},
		"an earlier process with this number":      {self + "0", false},
		"the same numbers before the last restart": {with(1, "another-boot"), false},
		"a process on another host":                {with(0, "another-host", 1, "another-boot"), true},
		"a process in another pid namespace":       {with(2, "pid:[1]"), true},
		"no process":                               {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := alive(test.owner); got != test.want {
				t.Errorf("alive(%q) = %v, want %v", test.owner, got, test.want)
			}
		})
	}
}

func TestBinariesThatCannotRunAloneAreRefused(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	dynamic := slices.Clone(self)
	// The first program header becomes PT_INTERP (elf(5)).
	binary.LittleEndian.PutUint32(dynamic[binary.LittleEndian.Uint64(dynamic[32:]):], uint32(elf.PT_INTERP))
	for name, test := range map[string]struct {
		data []byte
		says string
	}{
		"a dynamic one":       {dynamic, "CGO_ENABLED=0"},
		"one for another OS":  {[]byte("MZ not for Linux"), "not a Linux binary"},
		"one that is missing": {nil, "read the nodes' binary equic-probe"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.data != nil {
				if err := os.WriteFile(filepath.Join(dir, "equic-probe"), test.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := buildContext(dir)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "make build") {
				t.Errorf("error %v, want %q and what to do", err, test.says)
			}
		})
	}
}

func TestAnErrorInTheBuildersOutputIsFound(t *testing.T) {
	for name, test := range map[string]struct{ said, want string }{
		"it went well":    {`{"stream":"Step 1/4"}{"stream":"Successfully built"}`, ""},
		"a step failed":   {`{"stream":"Step 1/4"}{"errorDetail":{"message":"no space"},"error":"no space"}`, "no space"},
		"it broke off":    {`{"stream":"Step`, "read the builder's output"},
		"it said nothing": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := buildError(strings.NewReader(test.said))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestATakenSubnetIsNamedWithTheRemedy(t *testing.T) {
	r := openRuntime(t)
	spec := testSpec(t)
	openNodes(t, r, spec)

	other := testSpec(t)
	other.Run += "-other"
	other.Subnet = netip.MustParsePrefix("172.31.248.0/21")
	_, err := r.Open(t.Context(), other)
	if err == nil {
		t.Fatal("two networks share a subnet")
	}
	for _, want := range []string{"172.31.248.0/21", resourceName(spec, "net"), "network.subnet", "equic-bench clean"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %q", err, want)
		}
	}
}

func TestOpenLeavesNothingWhereItFails(t *testing.T) {
	r := openRuntime(t)
	tests := map[string]func(*orchestrate.Spec) context.Context{
		"a node asks for a CPU that is not there": func(s *orchestrate.Spec) context.Context {
			s.Nodes[1].CPUs = []int{4095}
			return t.Context()
		},
		"two nodes have one name": func(s *orchestrate.Spec) context.Context {
			s.Nodes = append(s.Nodes, s.Nodes[1])
			return t.Context()
		},
		"the caller gave up": func(*orchestrate.Spec) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			spec := testSpec(t)
			ctx := change(&spec)
			if _, err := r.Open(ctx, spec); err == nil {
				t.Fatal("no error")
			}
			if containers, networks := labelledResources(t, r, spec.Run); len(containers)+len(networks) != 0 {
				t.Errorf("left behind: %v, %v", containers, networks)
			}
		})
	}
}

func TestTheImageIsMadeOnceForEqualBinaries(t *testing.T) {
	r := openRuntime(t)
	first := r.Platform().Runtime.Image
	if err := r.Prepare(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	if second := r.Platform().Runtime.Image; second != first || first == "" {
		t.Errorf("images of the same binaries: %q, then %q", first, second)
	}
}

func TestAnEngineThatDoesNotAnswerIsSaidToBeMissing(t *testing.T) {
	for name, host := range map[string]string{
		"a socket that is not there": "unix://" + filepath.Join(t.TempDir(), "none.sock"),
		"an address without sense":   "nonsense",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", host)
			_, err := New(t.Context(), Options{})
			if !errors.Is(err, ErrNoEngine) {
				t.Fatalf("error %v, want ErrNoEngine", err)
			}
			if !strings.Contains(err.Error(), "start the engine") {
				t.Errorf("error %q holds no remedy", err)
			}
		})
	}
}

// openRuntime connects to the engine, with an image of the stand-in node.
func openRuntime(t *testing.T) *Runtime {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a Docker engine: not with -short")
	}
	r, err := New(t.Context(), Options{BinDir: standIns(t)})
	if errors.Is(err, ErrNoEngine) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
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
		_, err := r.engine.ImageRemove(context.WithoutCancel(t.Context()), made, image.RemoveOptions{Force: true, PruneChildren: true})
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
				Command: []string{"/equic-client", "end"}, Env: []string{"EQUIC_EPOCH=42"}, CPUs: []int{0},
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

// found is what the node said of its surroundings.
func (n running) found(t *testing.T) map[string]string {
	t.Helper()
	var said map[string]string
	if err := json.NewDecoder(n.out).Decode(&said); err != nil {
		t.Fatalf("output of %s: %v", n.name, err)
	}
	return said
}

// wantCapabilities is the mask (capabilities(7)) of what the runtime says that
// it gave.
func wantCapabilities(r *Runtime) string {
	if r.older {
		return "0000000000201000" // SYS_ADMIN 21, NET_ADMIN 12
	}
	return "000000c000001000" // BPF 39, PERFMON 38, NET_ADMIN 12
}

// deadProcess names a process that has ended.
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
	args := labelled([]string{labelRun + "=" + run})
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
