package docker

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/equic-bench/equic-bench/orchestrate"
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
		"the client may open as many files as asked": {found["open files"], "3064 3064 files"},
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
		if c.Labels[labelVariant] != "no-block" || c.Labels[labelRole] == "" || c.Labels[labelOwner] != r.engine.Owner {
			t.Errorf("container %v has labels %v", c.Names, c.Labels)
		}
	}
	if _, err := r.Clean(t.Context()); err != nil {
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
	r.engine.Owner = deadProcess(t)
	spec := testSpec(t)
	nodes := openNodes(t, r, spec)
	startNode(t, nodes, "server")
	nodes.Detach()

	if _, err := r.Clean(t.Context()); err != nil {
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
		"a process that may not be looked at":      {with(4, ""), true}, // treated as this one
		"a number that no process can have":        {with(3, "4194305", 4, ""), false},
		"no number of a process":                   {with(3, "-1", 4, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := alive(test.owner); got != test.want {
				t.Errorf("alive(%q) = %v, want %v", test.owner, got, test.want)
			}
		})
	}
}

func TestHostsAreToldApartByTheirMachineID(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("5e", 16)
	for says, test := range map[string]struct{ file, want string }{
		"an ID":                   {id + "\n", id},
		"one that is not set yet": {"uninitialized\n", name},
		"an empty one":            {"", name},
	} {
		t.Run(says, func(t *testing.T) {
			if got := hostName(fstest.MapFS{"etc/machine-id": {Data: []byte(test.file)}}); got != test.want {
				t.Errorf("host %q, want %q", got, test.want)
			}
		})
	}
	if got := hostName(fstest.MapFS{}); got != name {
		t.Errorf("without the file: host %q, want %q", got, name)
	}
}

func TestAnotherProcessWithTheSameRunRemovesNothingOfOurs(t *testing.T) {
	r := openRuntime(t)
	spec := testSpec(t)
	openNodes(t, r, spec)

	ours := r.engine.Owner
	r.engine.Owner = "another"
	_, err := r.Open(t.Context(), spec)
	r.engine.Owner = ours
	if err == nil {
		t.Fatal("two networks share a subnet")
	}
	if containers, networks := labelledResources(t, r, spec.Run); len(containers) != 2 || len(networks) != 1 {
		t.Errorf("%d containers and %d networks are left, want ours: 2 and 1", len(containers), len(networks))
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
	for _, want := range []string{"172.31.248.0/21", ResourceName(spec, "net"), "network.subnet", "equic-bench clean"} {
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

// answering serves an engine that only reports what it is.
func answering(t *testing.T, component string) (host string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket) //nolint:noctx // it waits for nothing
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	answer := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
	}
	answer("/_ping", "OK")
	answer("/v1.41/info", `{"OSType": "linux", "ServerVersion": "0"}`)
	answer("/v1.41/version", `{"Components": [{"Name": "`+component+`"}]}`)
	server := &http.Server{Handler: mux}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	t.Setenv("DOCKER_API_VERSION", "1.41")
	return "unix://" + socket
}

func TestTheContextOfTheDockerCommandIsUsed(t *testing.T) {
	const name = "mine"
	host := answering(t, "Engine")
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte(name))
	meta := filepath.Join("contexts/meta", hex.EncodeToString(sum[:]), "meta.json")
	endpoint := func(host string) string {
		return `{"Name": "mine", "Endpoints": {"docker": {"Host": "` + host + `"}}}`
	}
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONTEXT", "")
	try := func(says string) {
		t.Helper()
		r, err := New(t.Context(), "")
		if err == nil {
			if got := r.engine.DaemonHost(); got != host || says != "" {
				t.Errorf("it uses %s, want %s, or an error on %q", got, host, says)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, ErrNoEngine) || says == "" || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one on %q", err, says)
		}
	}
	write(meta, endpoint(host))
	write("config.json", `{"currentContext": "mine"}`)
	try("")
	write("config.json", `{"currentContext": "default"}`)
	t.Setenv("DOCKER_CONTEXT", name)
	try("")
	write(meta, endpoint("ssh://me@elsewhere"))
	try(`the context "mine" of docker names ssh://me@elsewhere`)
	write(meta, `{"Endpoints": {}}`)
	try("it has no engine")
	t.Setenv("DOCKER_CONTEXT", "unknown")
	try(`read the context "unknown"`)
	t.Setenv("DOCKER_HOST", host) // which takes precedence over any context
	try("")
}

func TestEnginesThatCannotBeUsedAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		host      string
		component string // of an engine that answers
		says      string
	}{
		"over SSH": {
			host: "ssh://me@elsewhere", says: "DOCKER_HOST names ssh://me@elsewhere: an engine over SSH",
		},
		"Podman":                      {component: "Podman Engine", says: "Podman answers at unix://"},
		"an address without a scheme": {host: "nonsense", says: "correct DOCKER_HOST"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.component != "" {
				c.host = answering(t, c.component)
			}
			t.Setenv("DOCKER_HOST", c.host)
			_, err := New(t.Context(), "")
			if !errors.Is(err, ErrRefused) || !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one on %q", err, c.says)
			}
		})
	}
	err := noEngine("ask the engine at unix:///run/docker.sock", fmt.Errorf("dial: %w", syscall.EACCES))
	if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "usermod -aG docker") {
		t.Errorf("without permission: %v", err)
	}
}

func TestAnEngineThatDoesNotAnswerIsSaidToBeMissing(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	_, err := New(t.Context(), "")
	if !errors.Is(err, ErrNoEngine) || errors.Is(err, ErrRefused) {
		t.Fatalf("error %v, want ErrNoEngine, and not ErrRefused", err)
	}
	if !strings.Contains(err.Error(), "start the engine") {
		t.Errorf("error %q holds no remedy", err)
	}
}
