package scenarios

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/record"
)

func TestBadScenariosAreRefusedWithEveryReason(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(filepath.Base(file), text)
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			golden.Check(t, strings.TrimPrefix(strings.TrimSuffix(file, ".yaml"), "testdata/")+".txt", []byte(err.Error()+"\n"))
		})
	}
}

func TestOurScenariosLoadWithoutWarnings(t *testing.T) {
	limits := map[string]time.Duration{ // of a whole run, including making and removing the nodes
		"paper":  2 * time.Minute, // as the next, without the requests of its closed loop
		"siege":  8 * time.Minute,
		"shared": 2 * time.Minute,
		"keys":   2 * time.Minute,
		"quick":  2 * time.Minute,
		"smoke":  30 * time.Second,
		"floods": time.Minute,
		"places": 2 * time.Minute,
		"ipv6":   2 * time.Minute,
		// One trial of each variant, of four at most.
		"knee-smoke": 40 * time.Second,
		"cost":       10 * time.Minute, // without the requests, as it is a closed loop
	}
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			s, err := Load(name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != name {
				t.Errorf("its name is %q", s.Name)
			}
			meant := func(w string) bool {
				return name == "shared" && strings.HasPrefix(w, "CPU ") || strings.Contains(w, forP99Warning)
			}
			if w := slices.DeleteFunc(s.Warnings(), meant); len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
			if run := time.Duration(len(s.Variants)) * s.ExpectedTrial(); run >= limit {
				t.Errorf("its trials take %s, the limit is %s", run, limit)
			}
		})
	}
}

func TestThePaperScenarioHasThePapersNumbers(t *testing.T) {
	s, err := Load("paper.yaml")
	if err != nil {
		t.Fatal(err)
	}
	attack := Clients{
		Kind: record.Requests, Count: 4, Addresses: 1, Requests: 1000, Strength: 2, UpTo: true, MaxInFlight: 1000, Timeout: 30 * time.Second,
		Start: Together, KeyExchange: X25519,
	}
	delayed := attack
	delayed.Delay = 30 * time.Second
	loads := map[string][2]Clients{
		"mixed": {{
			Count: 4, Requests: 1000, Pace: 100 * time.Millisecond,
			MaxInFlight: 1, Timeout: 30 * time.Second, Start: Together, KeyExchange: X25519,
		}, delayed},
		"parallel": {{MaxInFlight: 1, Timeout: 30 * time.Second, Start: Together, KeyExchange: X25519}, attack},
	}
	if len(s.Cells()) != len(loads) {
		t.Errorf("%d cells, want %d", len(s.Cells()), len(loads))
	}
	for name, groups := range loads {
		want := &Scenario{
			Name: "paper", Description: s.Description, Cell: name, Load: name,
			Variants:    []record.Variant{record.NoBlock, record.UserspaceBlock, record.XDPBlock},
			Repetitions: 1,
			Server: Server{
				Body: 262144, Quota: 5, IdleTimeout: 5 * time.Second, Key: "rsa-4096", Memory: 2 << 30, XDPMode: "native",
				Interface: InterfaceOwn, Protocol: H3,
			},
			Sequential: groups[0], Parallel: groups[1],
			Network: Network{
				Family: record.FamilyIPv4, Subnet: "172.31.99.0/24", Subnet6: "fd00:e9:1c::/48", Port: 4433,
			},
			Trial: Trial{
				Startup: s.Trial.Startup, SampleInterval: 100 * time.Millisecond, Drain: s.Trial.Drain,
				Settle: s.Trial.Settle, Syscalls: true,
			},
			Path: "paper.yaml", Text: s.Text,
		}
		if diff := cmp.Diff(want, s.CellNamed(name), cmp.AllowUnexported(Scenario{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// least is a scenario with only the required keys.
const least = `name: least
clients:
  sequential: {count: 1, requests: 20, rate: 10/s}
  parallel: {count: 1, requests: 5, rate: 10/s, delay: 1s}
`

func TestMissingKeysTakeTheirDefaults(t *testing.T) {
	s, err := Parse("least.yaml", []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Name, want.Path, want.Text = "least", "least.yaml", []byte(least)
	want.Sequential.Count, want.Sequential.Requests, want.Sequential.Rate = 1, 20, 10
	want.Parallel = Clients{
		Kind: record.Requests, Count: 1, Addresses: 1, Requests: 5, Rate: 10, Delay: time.Second,
		MaxInFlight: 1000, Timeout: 10 * time.Second, Start: Together, KeyExchange: X25519MLKEM768,
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(Scenario{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.ExpectedTrial(); got != 7*time.Second {
		t.Errorf("expected trial: %s, want 7s", got)
	}
}

// A time is 63 bits of nanoseconds: 292 years.
func TestTheLongestRunsTimeCanBeTold(t *testing.T) {
	most := MostRepetitions * len(record.VariantNames()) * 2 // of the flag --aa
	longest := longestSchedule + 10*time.Minute              // of trial.startup
	if run := time.Duration(most) * longest; run/time.Duration(most) != longest {
		t.Errorf("%d trials of %s are %s", most, longest, run)
	}
}

func TestAFileThatIsNotThereIsAProblemOfTheScenario(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		change string // one replacement in least: "old => new"
		want   string
	}{
		"a closed loop may miss the attack":              {", rate: 10/s}\n  parallel => }\n  parallel", "has no rate"},
		"an attack at once leaves no quiet phase before": {"delay: 1s => delay: 0s", "before the attack"},
		"connections that are held are in flight": {
			"delay: 1s => kind: hold, hold: 1m, delay: 1s, max_in_flight: 4", "for 1m10s needs 5",
		},
		"a long attack leaves no quiet phase after": {"requests: 5 => requests: 50", "after the attack"},
		"too few in flight hold the attack back":    {"delay: 1s => delay: 1s, max_in_flight: 4", "needs 5"},
		"without an attack nobody is turned away":   {"  parallel: {count: 1, requests: 5, rate: 10/s, delay: 1s}\n => ", "there is no attack"},
		"half of an attack is not measured":         {"delay: 1s} => delay: 1s}\nrepetitions: 6\ntrial: {alternate: 1s}", "half of the attack"},
		"few trials do not show what measuring costs": {"  parallel: {count: 1, requests: 5, rate: 10/s, delay: 1s}\n " +
			"=> trial: {alternate: 1s}\n", "use 6 or more"},
		"a shared CPU mixes both sides": {
			"clients: => server: {cpus: [0, 1]}\nclients:\n  cpus: [1]",
			"CPU 1 is the server's and the clients'",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, after, _ := strings.Cut(test.change, " => ")
			s, err := Parse("least.yaml", []byte(strings.Replace(least, before, after, 1)))
			if err != nil {
				t.Fatal(err)
			}
			w := slices.DeleteFunc(s.Warnings(), func(w string) bool { return strings.Contains(w, forP99Warning) })
			if len(w) != 1 || !strings.Contains(w[0], test.want) {
				t.Errorf("got %q, want one warning with %q", w, test.want)
			}
		})
	}
}

func TestAFloodMayHaveAHighRateOrNone(t *testing.T) {
	for text, want := range map[string]Clients{
		"kind: half-open, rate: 50000/s": {Kind: record.HalfOpen, Rate: 50_000},
		"kind: junk, rate: max":          {Kind: record.Junk, Max: true},
		"kind: spoofed, rate: 2x":        {Kind: record.Spoofed, Strength: 2},
	} {
		s, err := Parse("flood.yaml", []byte("name: flood\nclients:\n  parallel: {count: 1, duration: 2s, "+text+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := s.Parallel
		if got.Kind != want.Kind || got.Rate != want.Rate || got.Max != want.Max || got.Strength != want.Strength {
			t.Errorf("%s: %+v", text, got)
		}
		if got.ClosedLoop() {
			t.Errorf("%s is a closed loop", text)
		}
	}
}

func TestTheSourcesOfAFloodAreApartFromTheSubnet(t *testing.T) {
	for _, subnet := range []string{"172.31.99.0/24", "10.193.0.0/24", "10.208.0.0/24"} {
		sources := Network{Subnet: subnet}.FloodSources()
		if sources.Overlaps(netip.MustParsePrefix(subnet)) || !sources.Addr().IsPrivate() {
			t.Errorf("sources %s beside %s", sources, subnet)
		}
	}
}

func TestEveryNodeHasAnAddressOfItsOwn(t *testing.T) {
	n := Network{Subnet: "10.1.2.32/27"}
	if got := n.ServerAddress().String(); got != "10.1.2.34" {
		t.Errorf("server: %s", got)
	}
	if got := n.ClientAddress(7).String(); got != "10.1.2.50" {
		t.Errorf("the eighth client: %s", got)
	}
}

func TestVariantsAreCheckedByName(t *testing.T) {
	tests := map[string]struct {
		names []string
		want  string
	}{
		"known ones pass":                  {[]string{"xdp-block", "no-block", "xdp-block-new"}, ""},
		"an unknown one gets a suggestion": {[]string{"xdpblock"}, `did you mean "xdp-block"?`},
		"one may not be given twice":       {[]string{"no-block", "no-block"}, "given twice"},
		"none at all is not an experiment": {nil, "no variant is given"},
		"a far one gets the list of names": {[]string{"nftables"}, "use one of app-drop-block"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseVariants(test.names)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestSizesKeepTheirUnit(t *testing.T) {
	tests := map[string]int64{"1B": 1, "1000B": 1000, "256KiB": 262144, "512MiB": 536870912, "2GiB": 2147483648, "0B": 0}
	for text, bytes := range tests {
		if got, err := ParseSize(text); err != nil || got != bytes {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, bytes)
		}
		if got := Size(bytes); got != text {
			t.Errorf("Size(%d) = %q, want %q", bytes, got, text)
		}
	}
	for _, text := range []string{"", "1", "KiB", "1.5KiB", "-1B", "1 KiB", "1kib", "9999999999GiB", "+1B"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "paper.yaml", "quick.yaml", "policies.yaml", "smoke.yaml", "hundred.yaml", "ipv6.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("name: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("fuzz.yaml", text)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			return
		}
		// Accepted values must be usable.
		last := s.Network.ClientAddress(s.Sequential.Count + s.Parallel.Count - 1)
		if !s.Network.ServerAddress().Less(last) {
			t.Errorf("the last client has %s", last)
		}
		if s.ExpectedTrial() <= 0 {
			t.Errorf("expected trial: %s", s.ExpectedTrial())
		}
		s.Warnings()
	})
}

func TestTooFewRequestsForAP99AreWarnedOf(t *testing.T) {
	const text = "name: x\nvariants: [tc-block-new]\nclients:\n  sequential: {count: 4, duration: %s, pace: 100ms}\n" +
		"  parallel: {kind: junk, count: 2, duration: %s, rate: 100/s, delay: %s}\n"
	for want, s := range map[bool][3]any{true: {"20s", "10s", "10s"}, false: {"24s", "12s", "12s"}} {
		parsed, err := Parse("x.yaml", fmt.Appendf(nil, text, s[0], s[1], s[2]))
		if err != nil {
			t.Fatal(err)
		}
		if w := strings.Join(parsed.Warnings(), "\n"); strings.Contains(w, forP99Warning) != want {
			t.Errorf("%v: warnings %q", s, w)
		}
	}
}

// forP99Warning is in a warning about most scenarios for tests: their trials are short.
const forP99Warning = "a p99 needs 441"
