package orchestrate

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// foreign returns a scenario with a foreign server.
func foreign() *scenarios.Scenario {
	s := oneTrial(record.NoBlock)
	s.Server.Body = 1000
	s.Server.Command = []string{"a-server", "-l", "{address}:{port}", "-c", "{certificate}", "-k", "{key}", "{root}"}
	s.Server.Path = "/index.html"
	return s
}

func TestAServerThatIsNotOursIsGivenWhatItNeeds(t *testing.T) {
	s := foreign()
	r := &runner{scenario: s}
	testkit.Must(t, r.makeCertificates())
	nodes := specBuilder{scenario: s, bin: "/bin", filesDir: "/files"}.nodes("no-block")
	server := &nodes[0]
	i := len(server.Command) - len(s.Server.Command)
	want := []string{"a-server", "-l", serverPort(s), "-c", "/files/certificate.pem", "-k", "/files/key.pem", "/files/root"}
	if got := strings.Join(server.Command[i:], " "); got != strings.Join(want, " ") {
		t.Errorf("command %s\nwant %s", got, want)
	}
	if before := strings.Join(server.Command[:i], " "); !strings.Contains(before, "--ready-address "+serverPort(s)+" --") {
		t.Errorf("the probe: %s", before)
	}
	if !strings.Contains(strings.Join(nodes[1].Command, " "), "--path /index.html") {
		t.Errorf("a client: %s", nodes[1].Command)
	}
	for _, variable := range []string{"HOME=/files", "SERVER_ROOT=/files/root", "SERVER_PORT=4433", "SERVER_SOCKET="} {
		if !slices.Contains(server.Env, variable) {
			t.Errorf("its environment %q lacks %s", server.Env, variable)
		}
	}
	testkit.Must(t, giveFiles(server, s.Server.Body, r.certificates[s.Server.Key]))
	for _, f := range server.Files {
		if f.Name == "root/index.html" {
			if int64(len(f.Data)) != s.Server.Body {
				t.Errorf("it serves %d bytes, want %d", len(f.Data), s.Server.Body)
			}
		} else if !bytes.HasPrefix(f.Data, []byte("-----BEGIN ")) {
			t.Errorf("%s: %.20q", f.Name, f.Data)
		}
	}
}

func TestAnIPv6AddressStandsInBracketsBeforeAPort(t *testing.T) {
	for family, want := range map[record.Family]string{
		record.FamilyIPv4: "10.9.8.2:4433", record.FamilyIPv6: "[fd00:e9:1c:2::1]:4433", record.FamilyBoth: "[::]:4433",
	} {
		s := foreign()
		s.Network.Family, s.Network.Subnet6 = family, "fd00:e9:1c::/48"
		command := specBuilder{scenario: s, bin: "/bin", filesDir: "/files"}.nodes("no-block")[0].Command
		if !slices.Contains(command, want) {
			t.Errorf("%s: %q has no %s", family, command, want)
		}
	}
}

func TestWhatStandsInFrontOfAServerThatIsNotOurs(t *testing.T) {
	s := foreign()
	s.Server.Command = append(s.Server.Command, "{socket}")
	s.Server.Limits = scenarios.Limits{Rate: 20, Deny: []netip.Prefix{netip.MustParsePrefix("10.9.8.13/32")}}
	b := specBuilder{scenario: s, bin: "/bin", filesDir: "/files"}
	last := func(nodes []NodeSpec) NodeSpec { return nodes[len(nodes)-1] }

	with := b.nodes("gateway")
	g := last(with)
	if g.Behind != results.RoleServer || g.Address != with[0].Address || !g.Kernel {
		t.Errorf("the gateway: %+v", g)
	}
	flags := strings.Join(g.Command, " ")
	for _, flag := range []string{
		"--ready-line msg=attached -- /bin/equic-gateway ", "--rate 20 --burst 20", "--deny 10.9.8.13/32",
		"--socket /files/gateway.sock", "--port 4433",
	} {
		if !strings.Contains(flags, flag) {
			t.Errorf("the gateway's command %s\nlacks %s", flags, flag)
		}
	}
	if word := last(with[:1]).Command; word[len(word)-1] != "/files/gateway.sock" {
		t.Errorf("the server's command ends with %q", word[len(word)-1])
	}

	rules := b.nodes("nftables-limit")
	want := &Filter{Port: 4433, Packets: 20, Per: time.Second, Burst: 20, Deny: s.Server.Limits.Deny}
	if diff := cmp.Diff(want, rules[0].Filter, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("the filter (-want +got):\n%s", diff)
	}
	if last(rules).Role == results.RoleGateway || with[0].Filter != nil {
		t.Error("a variant has what belongs to another")
	}
}

// The gateway is ready before the server starts, and ends after it.
func TestTheGatewayOutlivesTheServer(t *testing.T) {
	s := foreign()
	s.Variants = []record.Variant{record.GatewayInFront}
	s.Server.Limits.Rate = 20
	rt := newFake(s)
	rt.platform.HostPrograms = true
	var mu sync.Mutex
	var events []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, fmt.Sprintf(format, args...))
	}
	stands := func(p *process) int {
		note("%s starts", p.spec.Name)
		p.print(record.Line{Ready: &record.Ready{Node: p.spec.Name, AtNS: p.now()}})
		if s := <-p.signals; s != syscall.SIGTERM {
			return 128 + int(s)
		}
		p.probe()
		note("%s ends", p.spec.Name)
		return 0
	}
	rt.programs = map[string]program{"server": stands, "gateway": stands}
	outcome, err := Run(t.Context(), s, rt, testOptions(t))
	testkit.Must(t, err)
	if !outcome.Trials[0].Valid {
		t.Errorf("invalid: %+v", outcome.Trials[0].Checks)
	}
	want := []string{"gateway starts", "server starts", "server ends", "gateway ends"}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAServerThatIsNotOursNeedsNodesThatCanRunIt(t *testing.T) {
	s := foreign()
	rt := newFake(s)
	_, err := Run(t.Context(), s, rt, testOptions(t))
	if !errors.Is(err, ErrRuntime) || !strings.Contains(err.Error(), "run with --runtime netns") || rt.opened > 0 {
		t.Errorf("error %v, %d trials", err, rt.opened)
	}
}
