package doctor

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/equic-bench/equic-bench/host"
)

// healthy is a machine without any problem.
func healthy() map[string]string {
	return map[string]string{
		"proc/sys/kernel/osrelease":     "6.1.0-18-amd64\n",
		"sys/kernel/btf/vmlinux":        "x",
		"sys/devices/system/cpu/online": "0-3\n",
		"proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable:    " +
			"6000000 kB\nSwapTotal:       0 kB\n",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":             "performance\n",
		"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "0\n",
		"sys/devices/system/clocksource/clocksource0/current_clocksource":  "tsc\n",
		"proc/sys/net/core/rmem_max":                                       "8388608\n",
		"proc/self/status":                                                 "Name:\tx\nCapEff:\t000001ffffffffff\n",
		"proc/sys/net/ipv6/conf/default/disable_ipv6":                      "0\n",
		"proc/loadavg": "0.10 0.20 0.30 1/100 999\n",
	}
}

func root(files map[string]string) host.Host {
	fs := fstest.MapFS{}
	for name, text := range files {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return host.New(fs)
}

func TestEachFaultOfAMachineIsFoundWithItsRemedy(t *testing.T) {
	need := Need{ServerCPUs: []int{0}, ClientCPUs: []int{1, 3}, MemoryBytes: 2 << 30, XDP: true, Places: []string{"xdp"}, IPv6: true, Syscalls: true}
	if checks := Machine(root(healthy()), need); worst(checks) != OK {
		t.Errorf("a healthy machine: %+v", checks)
	}
	tests := map[string]struct {
		file, text string
		check      string
		status     Status
		found      string
	}{
		"an old kernel":        {"proc/sys/kernel/osrelease", "5.15.0-91-generic", "kernel", Missing, "5.15.0"},
		"an unreadable kernel": {"proc/sys/kernel/osrelease", "?", "kernel", Warning, "?"},
		"no BTF":               {"sys/kernel/btf/vmlinux", "", "BTF", Missing, "no /sys"},
		"few capabilities": {
			"proc/self/status", "CapEff:\t00000000a80435fb", "capabilities", Warning,
			"without SYS_ADMIN, PERFMON, BPF",
		},
		"fewer CPUs": {
			"sys/devices/system/cpu/online", "0-1", "CPUs", Warning,
			"2; the scenario asks for 3 as well",
		},
		"CPUs in pieces": {
			"sys/devices/system/cpu/online", "0,2-3", "CPUs", Warning,
			"3; the scenario asks for 1 as well",
		},
		"clients on the server's core": {
			"sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1", "CPUs", Warning,
			"4; server on 0, clients on 1 3; 1 on the server's core",
		},
		"little memory": {"proc/meminfo", "MemAvailable: 1000 kB\n", "memory", Warning, "0 MiB"},
		"swap": {
			"proc/meminfo", "MemAvailable: 6000000 kB\nSwapTotal: 2048 kB\n", "swap", Warning,
			"2 MiB",
		},
		"a governor that saves": {
			"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave", "frequency",
			Warning, "powersave",
		},
		"a machine that was hot": {
			"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3",
			"throttling", Warning, "3 times",
		},
		"a slow clock": {
			"sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "clock",
			Warning, "hpet",
		},
		"small buffers":           {"proc/sys/net/core/rmem_max", "212992", "buffers", Warning, "212992"},
		"no IPv6":                 {"proc/sys/net/ipv6/conf/default/disable_ipv6", "", "IPv6", Missing, "none"},
		"a machine that has work": {"proc/loadavg", "2.5 1 1 1/2 3", "load", Warning, "2.5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files := healthy()
			files[test.file] = test.text
			if test.text == "" {
				delete(files, test.file)
			}
			checks := Machine(root(files), need)
			for _, c := range checks {
				if c.Name != test.check {
					if c.Status != OK {
						t.Errorf("%s too is %s: %+v", c.Name, c.Status, c)
					}
					continue
				}
				if c.Status != test.status || !strings.Contains(c.Found, test.found) || c.Means == "" {
					t.Errorf("%+v, want %s with %q", c, test.status, test.found)
				}
			}
			if got := worst(checks); got != test.status {
				t.Errorf("the worst is %s, want %s", got, test.status)
			}
		})
	}
}

func TestTheCPUsOfAScenarioAreNamedWhereThereIsOne(t *testing.T) {
	for want, need := range map[string]Need{
		"4":                                   {},
		"4; server on 0, clients on 1 3":      {ServerCPUs: []int{0}, ClientCPUs: []int{1, 3}},
		"4; server on 2, clients on any":      {ServerCPUs: []int{2}},
		"4; server on 0, clients on 1 (auto)": {ServerCPUs: []int{0}, ClientCPUs: []int{1}, AutoCPUs: true},
	} {
		for _, c := range Machine(root(healthy()), need) {
			if c.Name == "CPUs" && (c.Found != want || c.Status != OK) {
				t.Errorf("%+v, want %q", c, want)
			}
		}
	}
}

func TestAnOldKernelLacksSomePlacesOnly(t *testing.T) {
	for name, test := range map[string]struct {
		release string
		places  []string
		status  Status
		found   string
	}{
		"none is wanted":         {"5.15.0", nil, OK, "too old for xdp (Linux 5.18), generic (Linux 5.18)"},
		"the one that is wanted": {"6.1.0", []string{"xdp", "tc"}, Missing, "too old for netfilter (Linux 6.5), tc (Linux 6.6)"},
		"another one":            {"6.1.0", []string{"xdp"}, OK, "tc (Linux 6.6)"},
		"new enough":             {"6.6.0", []string{"tc", "netfilter"}, OK, "Linux 6.6.0"},
	} {
		t.Run(name, func(t *testing.T) {
			files := healthy()
			files["proc/sys/kernel/osrelease"] = test.release
			got := Machine(root(files), Need{Places: test.places})[0]
			if got.Status != test.status || !strings.Contains(got.Found, test.found) {
				t.Errorf("%+v, want %s with %q", got, test.status, test.found)
			}
		})
	}
}

func TestAnOldKernelRunsNoFloods(t *testing.T) {
	for name, test := range map[string]struct {
		release string
		need    Need
		status  Status
		means   string
		remedy  string
	}{
		"none is wanted": {"6.1.0", Need{}, OK, "", ""},
		"one is wanted": {
			"6.5.0",
			Need{Floods: true},
			Missing,
			"floods in network namespaces cannot run", "use a newer kernel, or leave floods out of the scenario",
		},
		"and a place": {
			"6.1.0",
			Need{Floods: true, Places: []string{"tc"}},
			Missing,
			"floods in network namespaces cannot run; variants that drop packets at tc cannot run",
			"use a newer kernel, or leave floods out of the scenario and give --variants without them",
		},
		"new enough": {"6.6.0", Need{Floods: true}, OK, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := healthy()
			files["proc/sys/kernel/osrelease"] = test.release
			got := Machine(root(files), test.need)[0]
			if got.Status != test.status || got.Means != test.means || got.Remedy != test.remedy {
				t.Errorf("%+v, want %s: %s: %s", got, test.status, test.means, test.remedy)
			}
		})
	}
}

func TestAKernelWithoutBTFStillRunsWhatCountsNoSystemCalls(t *testing.T) {
	files := healthy()
	delete(files, "sys/kernel/btf/vmlinux")
	if got := worst(Machine(root(files), Need{})); got != Warning {
		t.Errorf("%s, want a warning", got)
	}
}

func TestWhatAVirtualMachineDoesNotTellIsNoFault(t *testing.T) {
	files := healthy()
	for _, name := range []string{
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
		"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
		"sys/devices/system/clocksource/clocksource0/current_clocksource",
	} {
		delete(files, name)
	}
	if checks := Machine(root(files), Need{}); worst(checks) != OK {
		t.Errorf("%+v", checks)
	}
}

func TestAllRightsAreThoseThatARunWithoutAnEngineNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		status string
		want   bool
	}{
		"root":                  {"CapEff:\t000001ffffffffff", true},
		"root in a container":   {"CapEff:\t00000000a80425fb", false},
		"a kernel that says no": {"", false},
	} {
		if got := AllRights(root(map[string]string{"proc/self/status": test.status})); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestTheLimitOfOpenFilesIsComparedWithTheScenario(t *testing.T) {
	for name, test := range map[string]struct {
		limit      uint64
		needed     int
		engineSets bool
		status     Status
		found      string
	}{
		"enough": {1064, 1064, false, OK, "at most 1064 in each node"},
		"too few": {
			1024, 1064, false, Missing,
			"at most 1024 in each node, and a client of the scenario needs 1064",
		},
		"no limit":                   {^uint64(0), 1064, false, OK, "at most"},
		"no scenario":                {256, 0, false, OK, "at most 256"},
		"an engine that sets it all": {256, 1064, true, OK, "the engine sets the limit"},
	} {
		c := OpenFiles(test.limit, Need{OpenFiles: test.needed}, test.engineSets)
		if c.Status != test.status || !strings.HasPrefix(c.Found, test.found) && !strings.HasSuffix(c.Found, test.found) {
			t.Errorf("%s: %+v, want %s: %s", name, c, test.status, test.found)
		}
		if c.Status != OK && !strings.Contains(c.Remedy, "ulimit -Hn 1064") {
			t.Errorf("%s: the remedy is %q", name, c.Remedy)
		}
	}
}

// worst returns the worst status of checks.
func worst(checks []Check) Status {
	status := OK
	for _, c := range checks {
		if c.Status == Missing || status == OK {
			status = c.Status
		}
		if status == Missing {
			break
		}
	}
	return status
}
