package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/equic-bench/equic-bench/doctor"
	"github.com/equic-bench/equic-bench/scenarios"
)

func TestAFailedTryIsJudgedByWhatWillRunTheNodes(t *testing.T) {
	denied := fmt.Errorf("attach XDP to eth0: missing CAP_BPF: %w", syscall.EPERM)
	forbidden := fmt.Errorf("make a network namespace: %w", syscall.EACCES)
	unable := fmt.Errorf("attach XDP to eth0: %w", syscall.EOPNOTSUPP)
	tests := map[string]struct {
		err                error
		needed, lessRights bool
		want               doctor.Status
		means              string
	}{
		"namespaces have this process's rights": {denied, true, false, doctor.Missing, "does not run"},
		"an engine's nodes may have rights that it lacks": {
			denied, true, true, doctor.Warning,
			"the engine's nodes may be able to",
		},
		"so too where a policy forbids it": {
			forbidden, true, true, doctor.Warning,
			"the engine's nodes may be able to",
		},
		"no rights make a kernel able": {unable, true, true, doctor.Missing, "does not run"},
		"nobody needs it":              {unable, false, false, doctor.Warning, "does not run"},
		"nobody needs it, nor could it be tried": {
			denied, false, true, doctor.Warning,
			"the engine's nodes may be able to",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := failedTry(doctor.Check{Name: "native XDP", Means: "it does not run"}, test.err, test.needed, test.lessRights)
			if c.Status != test.want || !strings.Contains(c.Means, test.means) || c.Found != test.err.Error() {
				t.Errorf("%+v, want %s: %s", c, test.want, test.means)
			}
		})
	}
}

func TestAScenarioWithAFloodInAnyCellNeedsItsCounter(t *testing.T) {
	for name, want := range map[string]bool{"paper.yaml": false, "floods.yaml": true, "ladder.yaml": true} {
		s, err := scenarios.Load(filepath.Join("..", "..", "scenarios", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := needOf(s, localPlatform()).Floods; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
