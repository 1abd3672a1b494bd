package orchestrate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

func TestPlanIsMadeOfRandomisedCompleteBlocks(t *testing.T) {
	s := testScenario()
	s.Repetitions = 20
	plan := Plan(s, 1)
	if again := Plan(s, 1); !slices.Equal(plan, again) {
		t.Error("the same seed gives another plan")
	}
	if other := Plan(s, 2); slices.Equal(plan, other) {
		t.Error("another seed gives the same plan")
	}
	orders := map[string]bool{}
	for b := range s.Repetitions {
		block := plan[3*b : 3*b+3]
		var variants []string
		for i, p := range block {
			if p.Block != b+1 || p.Index != 3*b+i+1 {
				t.Errorf("trial %+v is out of place", p)
			}
			variants = append(variants, p.Variant)
		}
		orders[strings.Join(variants, " ")] = true
		slices.Sort(variants)
		if want := []string{"no-block", "userspace-block", "xdp-block"}; !slices.Equal(variants, want) {
			t.Errorf("block %d has %q, want each variant once", b+1, variants)
		}
	}
	if len(orders) < 2 {
		t.Error("all blocks have the same order")
	}
}

func TestARecorderKeepsRecordsAndNothingElse(t *testing.T) {
	const ready = `{"ready":{"node":"a","at_ns":-5}}` + "\n"
	tests := map[string]struct {
		output []string // as it arrives
		kept   string
		fault  string
	}{
		"whole lines":                 {[]string{ready, ready}, ready + ready, ""},
		"a line in pieces":            {[]string{ready[:4], ready[4:9], ready[9:]}, ready, ""},
		"lines that straddle pieces":  {[]string{ready + ready[:7], ready[7:]}, ready + ready, ""},
		"text":                        {[]string{ready, "hello\n", ready}, ready, `line 2 is not a record: "hello"`},
		"an empty line":               {[]string{"\n"}, "", "line 1 is not a record"},
		"an object of another kind":   {[]string{`{"other":{}}` + "\n"}, "", "line 1 is not a record"},
		"two records in one line":     {[]string{`{"client":{},"server":{}}` + "\n"}, "", "line 1 is not a record"},
		"a record that is null":       {[]string{`{"ready":null}` + "\n"}, "", "line 1 is not a record"},
		"a last line without end":     {[]string{ready, ready[:9]}, ready, "the last line has no end"},
		"a line that is too long":     {[]string{strings.Repeat("x", 101)}, "", "a line is longer than 100 bytes"},
		"too many lines":              {[]string{ready, ready, ready, ready}, ready + ready + ready, "more than 3 lines"},
		"a long line in short pieces": {slices.Repeat([]string{"xxxxxxxxxx"}, 1000), "", "a line is longer than 100 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			r := newRecorder(f, limits{lineBytes: 100, bytes: 1000, lines: 3}, func() {})
			for _, piece := range test.output {
				if n, err := r.Write([]byte(piece)); n != len(piece) || err != nil {
					t.Fatalf("Write took %d of %d bytes: %v", n, len(piece), err)
				}
				if cap(r.partial) > 512 {
					t.Fatalf("the recorder holds %d bytes of a line", cap(r.partial))
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fault := r.seen().fault
			if string(kept) != test.kept || !strings.Contains(fault, test.fault) || test.fault == "" && fault != "" {
				t.Errorf("kept %q, fault %q; want %q, %q", kept, fault, test.kept, test.fault)
			}
			if lines := r.seen().lines; lines != strings.Count(string(kept), "\n") {
				t.Errorf("%d lines are counted, the file is %q", lines, kept)
			}
		})
	}
}

func TestALogIsBoundedAndItsLastLineKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	l := &logFile{file: f}
	noise := strings.Repeat("noise\n", 1<<17)
	for range 8 {
		if _, err := l.Write([]byte(noise)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Write([]byte("one\nthe end\n")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != logLimit || l.tail() != "the end" {
		t.Errorf("log of %d bytes, last line %q; want %d and %q", info.Size(), l.tail(), logLimit, "the end")
	}
}

func TestCPUSetsAreFittedToTheMachine(t *testing.T) {
	tests := map[string]struct {
		server, clients []int
		cpus            []int
		want            placement
		warns           string
	}{
		"enough CPUs":            {[]int{0}, []int{1}, []int{0, 1}, placement{[]int{0}, []int{1}, []int{1}}, ""},
		"CPUs that nobody knows": {[]int{0}, []int{9}, nil, placement{[]int{0}, []int{9}, []int{9}}, ""},
		"fewer CPUs, but some for each": {
			[]int{0},
			[]int{1, 2, 3},
			[]int{0, 1},
			placement{[]int{0}, []int{1}, []int{1}},
			"fewer than the scenario asks for",
		},
		"no CPU is left for the clients":     {[]int{0}, []int{1}, []int{0}, placement{}, "no node is bound"},
		"two CPUs, whose numbers are others": {[]int{2}, []int{3}, []int{2, 3}, placement{[]int{2}, []int{3}, []int{3}}, ""},
		"a CPU between two is away": {
			[]int{0},
			[]int{1, 2},
			[]int{0, 2},
			placement{[]int{0}, []int{2}, []int{2}},
			"CPUs [0 2] of this machine, fewer",
		},
		"the server's CPU is away": {[]int{0}, []int{1}, []int{1, 2}, placement{}, "no node is bound"},
		"one CPU for both":         {nil, nil, []int{0}, placement{}, "cpus: auto finds no CPUs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scenarios.Scenario{
				Server:     scenarios.Server{CPUs: test.server},
				Sequential: scenarios.Clients{CPUs: test.clients},
				Parallel:   scenarios.Clients{CPUs: test.clients},
			}
			got, warnings := placeNodes(s, Platform{CPUs: test.cpus})
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(placement{})); diff != "" {
				t.Errorf("placement (-want +got):\n%s", diff)
			}
			if all := strings.Join(warnings, ""); !strings.Contains(all, test.warns) || test.warns == "" && all != "" {
				t.Errorf("warnings %q, want %q", all, test.warns)
			}
		})
	}
}

func TestTheMachineIsReadFromItsKernel(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"proc/cpuinfo": file("processor\t: 0\nmodel name\t: Fast CPU\n\nprocessor\t: 1\nmodel name\t: Fast " +
			"CPU\n"),
		"proc/meminfo":               file("MemTotal:       1000 kB\nSwapTotal:      20 kB\n"),
		"proc/sys/kernel/osrelease":  file("6.18.0\n"),
		"proc/sys/net/core/rmem_max": file("212992\n"),
		"proc/loadavg":               file("1.50 1.00 0.50 1/100 42\n"),
		"etc/os-release":             file("PRETTY_NAME=\"Some Linux\"\nID=some\n"),
		"sys/devices/system/clocksource/clocksource0/current_clocksource": file("tsc\n"),
	}
	got := readMachine(host.New(root))
	want := results.Machine{
		OS: "Some Linux", Kernel: "6.18.0", Arch: got.Arch, CPUs: got.CPUs, CPUModel: "Fast CPU",
		MemoryBytes: 1024000, SwapBytes: 20480, ClockSource: "tsc", Load1: 1.5, RmemMaxBytes: 212992,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
	if got := readMachine(host.New(fstest.MapFS{})); got.MemoryBytes != 0 || got.CPUs == 0 {
		t.Errorf("a host that tells nothing: %+v", got)
	}
}

func TestStaggeredClientsStartInTurn(t *testing.T) {
	s := testScenario()
	delays := func() []string {
		var all []string
		for _, n := range NodeSpecs(s, "no-block", "/")[1:] {
			i := slices.Index(n.Command, "--delay")
			all = append(all, n.Name+" "+n.Command[i+1])
		}
		return all
	}
	together := []string{"sequential-1 0s", "sequential-2 0s", "parallel-1 1s", "parallel-2 1s"}
	if got := delays(); !slices.Equal(got, together) {
		t.Errorf("together: %q, want %q", got, together)
	}
	s.Sequential.Start, s.Parallel.Start = scenarios.Staggered, scenarios.Staggered
	staggered := []string{"sequential-1 0s", "sequential-2 50ms", "parallel-1 1s", "parallel-2 1.025s"}
	if got := delays(); !slices.Equal(got, staggered) {
		t.Errorf("staggered: %q, want %q", got, staggered)
	}
}

func TestTheManifestClaimsNoMemoryLimitThatIsNotThere(t *testing.T) {
	for name, test := range map[string]struct {
		memory, swap bool // is not limited
		says         string
	}{
		"both are limited":    {false, false, "server memory 67108864 bytes, no swap"},
		"swap is not limited": {false, true, "server memory 67108864 bytes"},
		"nothing is limited":  {true, true, ""},
	} {
		s := testScenario()
		rt := newFake(s)
		rt.platform.NoMemoryLimit, rt.platform.NoSwapLimit = test.memory, test.swap
		var m results.Manifest
		(&runner{scenario: s, runtime: rt}).describe(&m)
		said := ""
		for _, l := range m.Runtime.Limits {
			if strings.HasPrefix(l, "server memory") {
				said = l
			}
		}
		if said != test.says {
			t.Errorf("%s: the manifest says %q, want %q", name, said, test.says)
		}
	}
}

func TestAClientMayOpenASocketForEachRequestUnderWay(t *testing.T) {
	s := testScenario()
	s.Parallel.Requests, s.Parallel.MaxInFlight = 2000, 1000
	if got := OpenFiles(s); got != 1068 {
		t.Errorf("a node opens %d files, want 1068", got)
	}
	s.Parallel.Requests = 300 // fewer than may be in flight
	got := map[string]int{}
	for _, n := range NodeSpecs(s, "no-block", "/") {
		got[n.Role] = n.OpenFiles
	}
	want := map[string]int{results.RoleServer: 0, results.RoleSequential: 67, results.RoleParallel: 368}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("open files of the nodes (-want +got):\n%s", diff)
	}
	s.Parallel.Count = 0
	if got := OpenFiles(s); got != 67 {
		t.Errorf("without an attack a node opens %d files, want 67", got)
	}
}
