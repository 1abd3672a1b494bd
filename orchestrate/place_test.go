package orchestrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/host"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
	"github.com/equic-bench/equic-bench/scenarios"
)

// coresOf returns the cores of a machine with these threads, one list for each core,
// and their highest frequencies.
func coresOf(lists []string, frequencies ...string) []host.Core {
	root := fstest.MapFS{}
	for i, list := range lists {
		cpus, _ := host.ParseCPUs(list)
		for _, cpu := range cpus {
			dir := fmt.Sprintf("sys/devices/system/cpu/cpu%d/", cpu)
			root[dir+"topology/thread_siblings_list"] = &fstest.MapFile{Data: []byte(list)}
			if len(frequencies) > 0 {
				root[dir+"cpufreq/cpuinfo_max_freq"] = &fstest.MapFile{Data: []byte(frequencies[i])}
			}
		}
	}
	return host.New(root).Cores()
}

func TestARunChoosesCPUsThatDoNotDisturbTheServer(t *testing.T) {
	const fast, favoured, slow = "4900000", "5300000", "3600000"
	two := coresOf([]string{"0", "1"})
	laptop := coresOf([]string{"0-1", "2-3"})
	server := coresOf([]string{"0,4", "1,5", "2,6", "3,7"})
	hybrid := coresOf([]string{"0", "1", "2-3", "4-5", "6-7"}, slow, slow, fast, favoured, fast)
	for name, test := range map[string]struct {
		cores           []host.Core
		usable          []int
		server, clients []int // asked for
		want            string
		warns           string
	}{
		"two CPUs": {cores: two, usable: []int{0, 1}, want: "[0] [1]"},
		"two threads of one core": {
			cores: coresOf([]string{"0-1"}), usable: []int{0, 1}, want: "[0] [1]",
			warns: "hardware threads of the server's core",
		},
		"threads side by side": {cores: laptop, usable: []int{0, 1, 2, 3}, want: "[0] [2 3]"},
		"threads far apart": {
			cores: server, usable: []int{0, 1, 2, 3, 4, 5, 6, 7},
			want: "[0] [1 2 3 5 6 7]",
		},
		"a taskset leaves one thread of each": {cores: server, usable: []int{1, 2, 5}, want: "[1] [2]"},
		"a taskset leaves one core": {
			cores: server, usable: []int{1, 5}, want: "[1] [5]",
			warns: "hardware threads",
		},
		"the server on the favoured core": {
			cores: hybrid, usable: []int{0, 1, 2, 3, 4, 5, 6, 7},
			want: "[4] [2 3 6 7]",
		},
		"slow cores where no fast one is left": {cores: hybrid, usable: []int{0, 1, 4, 5}, want: "[4] [0 1]"},
		"slow cores alone":                     {cores: hybrid, usable: []int{0, 1}, want: "[0] [1]"},
		"CPUs of which no core is known":       {usable: []int{3, 5, 6}, want: "[3] [5 6]"},
		"cores, and nothing of what is usable": {cores: laptop, want: "[0] [2 3]"},
		"one CPU for both": {
			cores: two, usable: []int{1}, want: "[] []",
			warns: "cpus: auto finds no CPUs",
		},
		"nothing known": {want: "[] []", warns: "cpus: auto finds no CPUs"},
		"the clients keep away from their server": {
			cores: server, usable: []int{0, 1, 2, 3, 4, 5, 6, 7}, server: []int{1},
			want: "[1] [0 2 3 4 6 7]",
		},
		"the server keeps away from its clients": {
			cores: server, usable: []int{0, 1, 2, 3, 4, 5, 6, 7},
			clients: []int{0, 1}, want: "[2] [0 1]",
		},
		"a server that has no core of its own": {
			cores: laptop, usable: []int{0, 1, 2, 3}, clients: []int{0, 2},
			want: "[1] [0 2]", warns: "the clients' CPUs [0]",
		},
		"what is asked for shares a core": {
			cores: laptop, usable: []int{0, 1, 2, 3}, server: []int{0},
			clients: []int{1, 2}, want: "[0] [1 2]", warns: "the clients' CPUs [1]",
		},
		"what is asked for shares none": {
			cores: laptop, usable: []int{0, 1, 2, 3}, server: []int{0, 1},
			clients: []int{2}, want: "[0 1] [2]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scenarios.Scenario{
				Server:     scenarios.Server{CPUs: test.server},
				Sequential: scenarios.Clients{CPUs: test.clients},
				Parallel:   scenarios.Clients{CPUs: test.clients},
			}
			got, warnings := placeNodes(s, Platform{CPUs: test.usable, Cores: test.cores})
			if !slices.Equal(got.sequential, got.parallel) || fmt.Sprint(got.server, got.sequential) != test.want {
				t.Errorf("placed %+v, want %s", got, test.want)
			}
			if all := strings.Join(warnings, ""); !strings.Contains(all, test.warns) || test.warns == "" && all != "" {
				t.Errorf("warnings %q, want %q", all, test.warns)
			}
		})
	}
}

func TestTheManifestHasTheCPUsThatTheRunChose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneTrial(record.NoBlock)
		s.Server.CPUs, s.Sequential.CPUs, s.Parallel.CPUs = nil, nil, nil
		rt := newFake(s)
		rt.platform.Cores = coresOf([]string{"0-1"})
		var nodes []string
		rt.open = func(_ context.Context, spec Spec) error {
			for _, n := range spec.Nodes {
				nodes = append(nodes, fmt.Sprint(n.Role, n.CPUs))
			}
			return nil
		}
		outcome, err := Run(t.Context(), s, rt, testOptions(t))
		if err != nil {
			t.Fatal(err)
		}
		run := checkSealed(t, outcome.Dir)
		want := &results.Placement{ServerAuto: true, ClientsAuto: true, ServerSiblings: []int{1}}
		if diff := cmp.Diff(want, run.Manifest.Placement); diff != "" {
			t.Errorf("placement (-want +got):\n%s", diff)
		}
		if e := run.Manifest.Experiment; fmt.Sprint(e.ServerCPUs, e.ClientCPUs) != "[0] [1]" {
			t.Errorf("server %v, clients %v; want [0] and [1]", e.ServerCPUs, e.ClientCPUs)
		}
		if want := []string{
			"server[0]", "sequential[1]", "sequential[1]", "parallel[1]",
			"parallel[1]",
		}; !slices.Equal(nodes, want) {
			t.Errorf("nodes %q, want %q", nodes, want)
		}
		for what, warnings := range map[string][]string{"trial": run.Trials[0].Warnings, "manifest": run.Manifest.Warnings} {
			if !strings.Contains(strings.Join(warnings, "\n"), "clients' CPUs [1] are hardware threads of the server's cores") {
				t.Errorf("the %s warns %q", what, warnings)
			}
		}
	})
}

func TestHostsOfTheirOwnShareNoCPUs(t *testing.T) {
	s := oneTrial(record.NoBlock)
	s.Server.CPUs, s.Sequential.CPUs, s.Parallel.CPUs = []int{0}, []int{0}, []int{0}
	for _, apart := range []bool{true, false} {
		platform := Platform{Apart: apart, CPUs: []int{0, 1}}
		m := &results.Manifest{Experiment: experiment(s)}
		cpus, _ := placeNodes(s, platform)
		recordPlacement(m, s, cpus, platform)
		if m.Experiment.SharesCPUs() == apart {
			t.Errorf("apart %v: shared %v", apart, !apart)
		}
	}
}
