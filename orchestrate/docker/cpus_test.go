package docker

import (
	"slices"
	"testing"
)

func TestTheCPUsOfAnEngineAreThoseThatAreOnline(t *testing.T) {
	const here, away = "unix:///var/run/docker.sock", "tcp://192.0.2.1:2375"
	for name, test := range map[string]struct {
		online []int
		host   string
		count  int
		want   []int
	}{
		"all of this host's":                     {[]int{0, 1, 2, 3}, here, 4, []int{0, 1, 2, 3}},
		"with gaps":                              {[]int{0, 2, 3, 6}, here, 4, []int{0, 2, 3, 6}},
		"an engine that has fewer than the host": {[]int{0, 1, 2, 3}, here, 2, []int{0, 1}},
		"an engine on another host":              {[]int{0, 2}, away, 2, []int{0, 1}},
		"a kernel that does not tell":            {nil, here, 2, []int{0, 1}},
		"an engine that does not say how many":   {[]int{0, 1}, here, 0, []int{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cpus(test.online, test.host, test.count); !slices.Equal(got, test.want) {
				t.Errorf("CPUs %v, want %v", got, test.want)
			}
		})
	}
}
