package scenarios

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/record"
)

func TestAServerThatIsNotOursHasItsOwnRules(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"it is right":             {"", "", ""},
		"a variant of our server": {"server:", "variants: [no-block, xdp-block]\nserver:", "xdp-block is our server's"},
		"an unknown placeholder":  {"{root}", "{folder}", "{folder} is no placeholder; use {address}, {port}"},
		"no list":                 {"command: [", "command: x # [", "is not a list of words"},
		"a path without a slash":  {"/index.html", "index.html", `"index.html" does not begin with a slash`},
		"ready without a command": {"  command:", "  # command:", "there is no server.command that prints it"},
		"nothing to enforce":      {"server:", "variants: [no-block, gateway]\nserver:", "gateway has nothing to enforce"},
		"empty limits":            {"  ready:", "  limits: {burst: 3}\n  ready:", "server.limits: limits nothing"},
		"no prefix":               {"  ready:", "  limits: {deny: [10.0.0.1/8]}\n  ready:", `"10.0.0.1/8" is not a prefix`},
		"limits of our server":    {"  command:", "  limits: {rate: 1/s}\n  # command:", "our server enforces its quota by itself"},
		"an image of nothing":     {"  command:", "  image: x\n  # command:", "there is no server.command to run in it"},
		"a protocol of ours":      {"  command:", "  protocol: hq-interop\n  # command:", "our server speaks h3 only"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("x.yaml", []byte(strings.Replace(foreign, c.from, c.to, 1)))
			switch {
			case c.says == "" && err != nil:
				t.Fatal(err)
			case c.says == "":
				ours := !s.Server.Foreign() || !slices.Equal(s.Variants, []record.Variant{record.NoBlock})
				if ours || s.Server.Command[2] != "{address}:{port}" {
					t.Errorf("%+v", s.Server)
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("error %v, want one on %q", err, c.says)
			}
		})
	}
}

func TestAGatewayCanCountForAServerThatUsesItsSocket(t *testing.T) {
	text := strings.NewReplacer("server:\n", "variants: [gateway]\nserver:\n", `"{root}"`, `"{socket}"`).Replace(foreign)
	if _, err := Parse("x.yaml", []byte(text)); err != nil {
		t.Error(err)
	}
}

const servers = `name: x
variants: [no-block, userspace-block, gateway]
server: {body: 16KiB, key: rsa-4096}
servers:
  ours: {quota: 7}
  theirs: {command: [x], limits: {rate: 20/s, burst: 50, deny: [10.0.0.0/8]}}
loads:
  a: {parallel: {count: 1, requests: 10, rate: 2x}}
  b: {parallel: {count: 2, requests: 10, rate: 2x}}
matrix:
  server.memory: [64MiB, 128MiB]
`

func TestSeveralServersHaveTrialsOfTheirOwn(t *testing.T) {
	s, err := Parse("x.yaml", []byte(servers))
	if err != nil {
		t.Fatal(err)
	}
	variants := map[string][]record.Variant{}
	for _, c := range s.Cells() {
		variants[c.Cell] = c.Variants
	}
	ours := []record.Variant{record.NoBlock, record.UserspaceBlock}
	theirs := []record.Variant{record.NoBlock, record.GatewayInFront}
	want := map[string][]record.Variant{
		"a-ours-64mib": ours, "a-ours-128mib": ours, "a-theirs-64mib": theirs, "a-theirs-128mib": theirs,
		"b-ours-64mib": ours, "b-ours-128mib": ours, "b-theirs-64mib": theirs, "b-theirs-128mib": theirs,
	}
	if diff := cmp.Diff(want, variants); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	c := s.CellNamed("b-theirs-128mib")
	limits := Limits{Rate: 20, Burst: 50, Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if c.Server.Body != 16<<10 || c.Server.Memory != 128<<20 || c.ServerPoint != "theirs-128mib" || c.Parallel.Count != 2 ||
		!cmp.Equal(c.Server.Limits, limits, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
		t.Errorf("%+v", c)
	}
	if q := s.CellNamed("a-ours-64mib").Server; q.Quota != 7 || q.Foreign() {
		t.Errorf("%+v", q)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"a variant that none has": {
			", limits: {rate: 20/s, burst: 50, deny: [10.0.0.0/8]}", "", "gateway does not exist for any load and server",
		},
		"a name that is none": {"  ours:", "  Ours:", `"Ours" cannot name a server`},
		"no keys":             {"{quota: 7}", "7", "servers.ours: is not a list of keys"},
		"an unknown key":      {"{quota: 7}", "{quotas: 7}", `unknown key "server.quotas"`},
	} {
		_, err := Parse("x.yaml", []byte(strings.Replace(servers, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "x.yaml:") {
			t.Errorf("%s: error %v, want one on %q", name, err, c.says)
		}
	}
}

func TestARateForNftablesIsAWholeNumberPerSomeUnit(t *testing.T) {
	for rate, want := range map[float64]struct {
		packets uint64
		per     time.Duration
	}{20: {20, time.Second}, 0.5: {30, time.Minute}, 2.25: {135, time.Minute}, 0.01: {36, time.Hour}, 0.0001: {}} {
		packets, per, ok := Limits{Rate: rate}.Whole()
		if packets != want.packets || per != want.per || ok != (want.packets > 0) {
			t.Errorf("%g/s is %d in %s, %v; want %v", rate, packets, per, ok, want)
		}
	}
	text := strings.Replace(servers, "gateway]", "nftables-limit]", 1)
	_, err := Parse("x.yaml", []byte(strings.Replace(text, "20/s", "33.3333/s", 1)))
	if err == nil || !strings.Contains(err.Error(), "a whole number of packets") {
		t.Errorf("error %v", err)
	}
}

func TestServersOfOthersNeedNoVariants(t *testing.T) {
	text := strings.NewReplacer("variants: [no-block, userspace-block, gateway]\n", "", "  ours: {quota: 7}\n", "").Replace(servers)
	s, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Cells() {
		if len(c.Variants) != 1 || c.Variants[0] != record.NoBlock {
			t.Errorf("%s: %q", c.Cell, c.Variants)
		}
	}
	s.Variants = []record.Variant{record.UserspaceBlock}
	if err := s.CheckVariants(); err == nil || !strings.Contains(err.Error(), "userspace-block does not exist for any load and server") {
		t.Errorf("error %v", err)
	}
}
