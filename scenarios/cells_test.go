package scenarios

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/record"
)

func TestEachCellIsACompleteScenario(t *testing.T) {
	s, err := Parse("x.yaml", []byte(several))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range s.Cells() {
		names = append(names, c.Cell)
	}
	want := []string{"mixed-rsa-4096", "mixed-ecdsa-p256", "parallel-rsa-4096", "parallel-ecdsa-p256"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	c := s.CellNamed("mixed-ecdsa-p256")
	if c.Server.Key != "ecdsa-p256" || c.Load != "mixed" || c.Point != "ecdsa-p256" ||
		c.Sequential.Pace != 100*time.Millisecond ||
		c.Parallel.Duration != 10*time.Second || c.Parallel.Strength != 2 || c.Parallel.Delay != 30*time.Second {
		t.Errorf("%+v", c)
	}
	if p := s.CellNamed("parallel-rsa-4096"); p.Sequential.Count != 0 || p.Parallel.Requests != 1000 ||
		p.Server.Quota != 5 {
		t.Errorf("%+v", p)
	}
	if s.CellNamed("siege") != nil {
		t.Error("a cell that is not there")
	}
}

func TestAttacksOfUpToAMultipleShareWhatTheOthersLeave(t *testing.T) {
	attack := func(kind record.Attack, strength float64, upTo bool) Clients {
		return Clients{Count: 1, Kind: kind, Strength: strength, UpTo: upTo}
	}
	s := &Scenario{
		Parallel: attack(record.Requests, 2, true),
		Background: []Clients{
			attack(record.Hold, 1, false), attack(record.Requests, 1, true), attack(record.Junk, 50, true),
		},
	}
	s.SetRates(func(string) (capacity, most float64) { return 100, 2.5 })
	for i, want := range []struct{ rate, reached float64 }{{100, 1}, {100, 0}, {50, 0.5}, {5000, 0}} {
		if got := s.Attacks()[i]; got.Rate != want.rate || got.Reached != want.reached {
			t.Errorf("attack %d: rate %v, reached %v; want %+v", i, got.Rate, got.Reached, want)
		}
	}
}

func TestAListOfAttackersIsOneAttackAndItsBackground(t *testing.T) {
	s, err := Parse("x.yaml", []byte(together))
	if err != nil {
		t.Fatal(err)
	}
	s.SetRates(func(string) (capacity, most float64) { return 100, 5 })
	if p := s.Parallel; p.Kind != record.Requests || p.Rate != 25 {
		t.Errorf("the attack: %+v", p)
	}
	if len(s.Background) != 1 {
		t.Fatalf("%d groups in the background", len(s.Background))
	}
	if b := s.Background[0]; b.Kind != record.HalfOpen || b.Rate != 50 || b.Timeout != s.Sequential.Timeout {
		t.Errorf("in the background: %+v", b)
	}
	for from, says := range map[string]string{
		"count: 2, duration": "clients.parallel[2].count",
		"kind: half-open":    "clients.parallel[2].hold",
	} {
		to := map[string]string{"count: 2, duration": "count: 0, duration", "kind: half-open": "kind: hold"}[from]
		_, err := Parse("x.yaml", []byte(strings.Replace(together, from, to, 1)))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "x.yaml:6") {
			t.Errorf("%s: error %v, want one on %s in line 6", to, err, says)
		}
	}
}

func TestALoadCanHaveSomeOfTheVariants(t *testing.T) {
	const file = `name: x
variants: [no-block, tc-block, xdp-block]
loads:
  all: {parallel: {count: 4, requests: 10, rate: 3/s}}
  some:
    variants: [xdp-block, tc-block]
    parallel: {count: 4, requests: 10, rate: 3/s}
`
	s, err := Parse("x.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]record.Variant{}
	for _, c := range s.Cells() {
		got[c.Cell] = c.Variants
	}
	want := map[string][]record.Variant{
		"all": {record.NoBlock, record.TCBlock, record.XDPBlock}, "some": {record.TCBlock, record.XDPBlock},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
	s.Variants = []record.Variant{record.NoBlock} // as a flag may set them
	if cells := s.Cells(); len(cells) != 1 || cells[0].Cell != "all" {
		t.Errorf("%d cells have a variant, want one", len(cells))
	}
	_, err = Parse("x.yaml", []byte(strings.Replace(file, "[xdp-block, tc-block]", "[generic-block]", 1)))
	if err == nil || !strings.Contains(err.Error(), "loads.some.variants: generic-block is none of the scenario's") {
		t.Errorf("error %v", err)
	}
}

func TestASweepGivesAnAttackSeveralStrengths(t *testing.T) {
	const loads = `name: x
loads:
  a: {parallel: {count: 4, requests: 10, rate: 3x}}
  b: {sequential: {count: 1, requests: 10, rate: 1/s}}
`
	type strengths struct {
		cell, point, server string
		strength            float64
	}
	for name, test := range map[string]struct {
		file string
		want []strengths
	}{
		"of the only load": {
			strings.Replace(shortest, "rate: 100/s", "rate: 3x", 1) +
				"matrix: {server.key: [rsa-2048], clients.parallel.rate: [0.5x, 1x]}\n",
			[]strengths{{"rsa-2048-0.5x", "rsa-2048-0.5x", "rsa-2048", 0.5}, {"rsa-2048-1x", "rsa-2048-1x", "rsa-2048", 1}},
		},
		"of one of several loads": {
			loads + "matrix: {loads.a.parallel.rate: [0.5x, up to 2x], clients.key_exchange: [x25519]}\n",
			[]strengths{
				{"a-0.5x-x25519", "0.5x-x25519", "x25519", 0.5},
				{"a-up-to-2x-x25519", "up-to-2x-x25519", "x25519", 2},
				{"b-x25519", "x25519", "x25519", 0},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("x.yaml", []byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			var got []strengths
			for _, c := range s.Cells() {
				got = append(got, strengths{c.Cell, c.Point, c.ServerPoint, c.Parallel.Strength})
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("cells %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAScenarioWithoutLoadsIsItsOnlyCell(t *testing.T) {
	s, err := Parse("x.yaml", []byte(shortest))
	if err != nil {
		t.Fatal(err)
	}
	if all := s.Cells(); len(all) != 1 || all[0] != s || s.Cell != "" {
		t.Errorf("%d cells, the first %q", len(all), all[0].Cell)
	}
}

func TestWhatIsWrongWithCellsIsNamedAsInTheFile(t *testing.T) {
	const file = `name: x
clients:
  timeout: 5s
  sequential: {count: 1, requests: 1}
loads:
  a: {sequential: {count: 1, requests: 1, duration: 2s}, paralle: {count: 1}}
  B: {parallel: {count: 1, requests: 1, rate: 1/s}}
  c: {sequential: {count: 1, requests: 10, rate: 1/s, pace: 1s}, parallel: {count: 1, rate: 1y}}
matrix:
  variants: [no-block]
  server.key: [rsa-2048, rsa-2048, rsa-1]
  server.kee: [1]
  trial.settle: 5s
  loads.d.parallel.rate: [1x]
  loads.a.timeout: [5s, 6s]
`
	_, err := Parse("x.yaml", []byte(file))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"x.yaml:4:3: clients.sequential: the scenario has loads; move it into one of them",
		"x.yaml:6:43: loads.a.sequential: has both requests and duration; keep one of them",
		`x.yaml:6:58: unknown key "loads.a.paralle"; did you mean "parallel"?`,
		`x.yaml:7:3: loads: "B" cannot name a load`,
		"x.yaml:8:55: loads.c.sequential: has both rate and pace; keep one of them",
		"x.yaml:8:76: loads.c.parallel.requests: is missing; add it, or duration",
		`x.yaml:8:93: loads.c.parallel.rate: "1y" is not a rate`,
		"x.yaml:10:3: matrix.variants: is the same in all cells of a run",
		"x.yaml:11:26: matrix.server.key: rsa-2048 is given twice",
		`x.yaml:11:36: server.key: "rsa-1" is unknown`,
		`x.yaml:12:16: unknown key "server.kee"`,
		"x.yaml:13:17: matrix.trial.settle: is not a list",
		"x.yaml:14:3: matrix.loads.d.parallel.rate: is no key of a load",
		"x.yaml:15:3: matrix.loads.a.timeout: is no key of a load",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Logf("the errors:\n%v", err)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != len(slicesCompact(lines)) {
		t.Errorf("a problem is reported for several cells:\n%v", err)
	}
}

func TestACellIsGivenOnce(t *testing.T) {
	const load = "{sequential: {count: 1, requests: 1}}"
	for name, test := range map[string]struct{ file, want string }{
		"loads":    {"loads: {a: " + load + "}\nloads: {b: " + load + "}\n", "x.yaml:3:8: loads: is given twice"},
		"a load":   {"loads: {a: " + load + ", a: " + load + "}\n", "loads.a: is given twice"},
		"a server": {"servers: {a: {quota: 1}, a: {quota: 2}}\nclients: " + load + "\n", "servers.a: is given twice"},
		"a key of the matrix": {
			"matrix: {server.quota: [1], server.quota: [2]}\nclients: " + load + "\n", "matrix.server.quota: is given twice",
		},
		"a name of a cell": {
			"loads: {a: " + load + ", a-b: " + load + "}\nservers: {b-c: {quota: 1}, c: {quota: 2}}\n",
			`make two cells of the name "a-b-c"; rename a load or a server`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte("name: x\n"+test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestALoadMayBeAnAliasOfAnother(t *testing.T) {
	const file = `name: x
clients: {timeout: 7s}
loads:
  a: &a {variants: [no-block], sequential: {count: 1, requests: 1}}
  b: *a
`
	s, err := Parse("x.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if c := s.CellNamed(name); c.Sequential.Timeout != 7*time.Second || len(c.Variants) != 1 {
			t.Errorf("%s: timeout %v, variants %v; want 7s and one", name, c.Sequential.Timeout, c.Variants)
		}
	}
}

func slicesCompact(lines []string) map[string]bool {
	seen := map[string]bool{}
	for _, l := range lines {
		seen[l] = true
	}
	return seen
}
