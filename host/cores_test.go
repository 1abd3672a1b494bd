package host

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// cpu is the content of the kernel's files for one CPU.
type cpu struct{ siblings, capacity, frequency string }

func machineOf(cpus map[string]cpu) Host {
	root := fstest.MapFS{}
	for number, c := range cpus {
		dir := "sys/devices/system/cpu/cpu" + number + "/"
		for name, text := range map[string]string{
			"topology/thread_siblings_list": c.siblings, "cpu_capacity": c.capacity, "cpufreq/cpuinfo_max_freq": c.frequency,
		} {
			if text != "" {
				root[dir+name] = &fstest.MapFile{Data: []byte(text + "\n")}
			}
		}
	}
	return New(root)
}

func TestCoresAreTheirThreadsAndTheFastestComesFirst(t *testing.T) {
	for name, test := range map[string]struct {
		cpus map[string]cpu
		want []Core
	}{
		"two threads side by side": {
			map[string]cpu{"0": {siblings: "0-1"}, "1": {siblings: "0-1"}, "2": {siblings: "2"}},
			[]Core{{CPUs: []int{0, 1}}, {CPUs: []int{2}}},
		},
		"two threads far apart": {
			map[string]cpu{"0": {siblings: "0,4"}, "1": {siblings: "1,5"}, "4": {siblings: "0,4"}},
			[]Core{{CPUs: []int{0, 4}}, {CPUs: []int{1, 5}}},
		},
		"one thread, ten cores": {
			map[string]cpu{"0": {siblings: "0"}, "10": {siblings: "10"}, "2": {siblings: "2"}},
			[]Core{{CPUs: []int{0}}, {CPUs: []int{2}}, {CPUs: []int{10}}},
		},
		"big and little": {
			map[string]cpu{"0": {"0", "446", "2000000"}, "1": {"1", "446", "2000000"}, "2": {"2", "1024", "1900000"}},
			[]Core{{[]int{2}, 1024}, {[]int{0}, 446}, {[]int{1}, 446}},
		},
		"hybrid, with one capacity for all": {
			map[string]cpu{"0": {"0", "1024", "3800000"}, "1": {"1-2", "1024", "5000000"}, "2": {"1-2", "1024", "5000000"}},
			[]Core{{[]int{1, 2}, 5000000}, {[]int{0}, 3800000}},
		},
		"all alike": {
			map[string]cpu{"0": {"0", "1024", "3000000"}, "1": {"1", "1024", "3000000"}},
			[]Core{{CPUs: []int{0}}, {CPUs: []int{1}}},
		},
		"a list that is none":  {map[string]cpu{"0": {siblings: "0"}, "1": {siblings: "x"}}, []Core{{CPUs: []int{0}}}},
		"a kernel without any": {nil, nil},
	} {
		if diff := cmp.Diff(test.want, machineOf(test.cpus).Cores()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSiblingsAreTheOtherThreadsOfACore(t *testing.T) {
	cores := []Core{{CPUs: []int{2, 6}}, {CPUs: []int{0, 4}}, {CPUs: []int{1}}}
	for name, test := range map[string]struct{ cpus, want []int }{
		"of one thread":    {[]int{4}, []int{0}},
		"of several cores": {[]int{0, 6}, []int{2, 4}},
		"of a whole core":  {[]int{0, 4}, nil},
		"of a single one":  {[]int{1}, nil},
		"of an unknown":    {[]int{9}, nil},
	} {
		if got := Siblings(cores, test.cpus); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
