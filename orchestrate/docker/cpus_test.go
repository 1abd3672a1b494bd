package docker

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/equic-bench/equic-bench/host"
)

func TestTheCPUsOfAnEngineAreThoseThatAreOnline(t *testing.T) {
	const here, away = "unix:///var/run/docker.sock", "tcp://192.0.2.1:2375"
	for name, test := range map[string]struct {
		online string
		daemon string
		count  int
		want   []int
		cores  int
	}{
		"all of this host's":                     {"0-3", here, 4, []int{0, 1, 2, 3}, 1},
		"with gaps":                              {"0,2-3,6", here, 4, []int{0, 2, 3, 6}, 1},
		"an engine that has fewer than the host": {"0-3", here, 2, []int{0, 1}, 0},
		"an engine on another host":              {"0,2", away, 2, []int{0, 1}, 0},
		"a kernel that does not tell":            {"", here, 2, []int{0, 1}, 0},
		"an engine that does not say how many":   {"0-1", here, 0, []int{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := host.New(fstest.MapFS{
				"sys/devices/system/cpu/online":                             {Data: []byte(test.online)},
				"sys/devices/system/cpu/cpu0/topology/thread_siblings_list": {Data: []byte("0-1")},
			})
			got, cores := cpus(h, test.daemon, test.count)
			if !slices.Equal(got, test.want) || len(cores) != test.cores {
				t.Errorf("CPUs %v, %d cores; want %v, %d", got, len(cores), test.want, test.cores)
			}
		})
	}
}
