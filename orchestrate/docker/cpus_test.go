package docker

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestTheCPUsOfAnEngineAreThoseThatAreOnline(t *testing.T) {
	const here, away = "unix:///var/run/docker.sock", "tcp://192.0.2.1:2375"
	for name, test := range map[string]struct {
		online, host string
		count        int
		want         []int
	}{
		"all of this host's":                       {"0-3\n", here, 4, []int{0, 1, 2, 3}},
		"with gaps":                                {"0,2-3,6\n", here, 4, []int{0, 2, 3, 6}},
		"an engine that has fewer than the host":   {"0-3\n", here, 2, []int{0, 1}},
		"an engine on another host":                {"0,2\n", away, 2, []int{0, 1}},
		"a kernel that does not tell":              {"", here, 2, []int{0, 1}},
		"a list that is none":                      {"0-x", here, 2, []int{0, 1}},
		"an engine that does not say how many":     {"0-3\n", away, 0, []int{}},
		"one on this host that does not say so":    {"0-3\n", here, 0, []int{}},
		"one on this host, which does not, either": {"", here, 0, []int{}},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{"sys/devices/system/cpu/online": {Data: []byte(test.online)}}
			if got := cpus(root, test.host, test.count); !slices.Equal(got, test.want) {
				t.Errorf("CPUs %v, want %v", got, test.want)
			}
		})
	}
}
