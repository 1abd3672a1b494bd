package host

import (
	"strings"
	"testing"
	"testing/fstest"
)

// files returns a machine with one file.
func files(path, text string) Host { return New(fstest.MapFS{path: {Data: []byte(text)}}) }

func TestTheTimesOfCPUsAreReadFromTheKernel(t *testing.T) {
	const stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 100 50 8 16 32 7 0\ncpu1 1 0 0 10 0 0 0 0 0 0\nintr 1 2\n"
	tests := map[string]struct {
		text string
		cpus []int
		want CPUTimes
		err  string
	}{
		"one":                   {stat, []int{0}, CPUTimes{All: 213, Busy: 63, SoftIRQ: 16}, ""},
		"all":                   {stat, nil, CPUTimes{All: 224, Busy: 64, SoftIRQ: 16}, ""},
		"one that is not there": {stat, []int{0, 7}, CPUTimes{}, "has 1 of the CPUs [0 7]"},
		"too few columns":       {"cpu0 1 2 3\n", nil, CPUTimes{}, "3 columns"},
		"no number":             {"cpu0 1 2 x 4 5 6 7 8\n", nil, CPUTimes{}, `"x"`},
		"nothing":               {"", nil, CPUTimes{}, "has 0 of the CPUs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := files("proc/stat", test.text).CPUTimes(test.cpus)
			if got != test.want || test.err == "" && err != nil || test.err != "" &&
				(err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("%+v, %v; want %+v, %q", got, err, test.want, test.err)
			}
		})
	}
}

func TestThrottledPeriodsAreReadFromEitherVersion(t *testing.T) {
	for name, test := range map[string]struct {
		path, text string
		want       int64
	}{
		"version 1":                        {"sys/fs/cgroup/cpu/cpu.stat", "nr_periods 10\nnr_throttled 3\n", 3},
		"version 2":                        {"sys/fs/cgroup/cpu.stat", "usage_usec 7\nnr_periods 10\nnr_throttled 4\n", 4},
		"a group without a CPU controller": {"sys/fs/cgroup/cpu.stat", "usage_usec 7\n", -1},
		"no control group":                 {"sys/fs/cgroup/memory.stat", "", -1},
	} {
		if got := files(test.path, test.text).ThrottledPeriods(); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestTheGroupsAboveCanThrottleToo(t *testing.T) {
	h := New(fstest.MapFS{
		"proc/self/cgroup":                       {Data: []byte("0::/a.slice/b.scope\n")},
		"sys/fs/cgroup/cpu.stat":                 {Data: []byte("usage_usec 7\n")},
		"sys/fs/cgroup/a.slice/cpu.stat":         {Data: []byte("nr_throttled 4\n")},
		"sys/fs/cgroup/a.slice/b.scope/cpu.stat": {Data: []byte("nr_throttled 3\n")},
	})
	if got := h.ThrottledPeriods(); got != 7 {
		t.Errorf("%d, want 7", got)
	}
}

func FuzzFiles(f *testing.F) {
	for _, text := range []string{"cpu0 1 2 3 4 5 6 7 8\n", "nr_throttled 3\n", "CapEff:\t1f\n", "1.50 1 1 1/2 3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if times, err := files("proc/stat", text).CPUTimes(nil); err != nil && times != (CPUTimes{}) {
			t.Errorf("%+v beside the error %v", times, err)
		}
		if n := files("sys/fs/cgroup/cpu.stat", text).ThrottledPeriods(); n < -1 {
			t.Errorf("%d periods", n)
		}
		if bits, ok := files("proc/self/status", text).Capabilities(); ok && !strings.Contains(text, "CapEff") {
			t.Errorf("capabilities %x out of %q", bits, text)
		}
		if load, ok := files("proc/loadavg", text).Load1(); !ok && load != 0 {
			t.Errorf("load %v beside no", load)
		}
	})
}

func TestAUserNamespaceIsRecognised(t *testing.T) {
	for text, want := range map[string]bool{
		"         0          0 4294967295\n":                               false,
		"         0       1000          1\n":                               true,
		"         0     100000      65536\n      65536     300000  1000\n": true,
		"": false,
	} {
		if got := files("proc/self/uid_map", text).UserNamespace(); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
