package tables

import (
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/results"
)

func TestHowToReproduce(t *testing.T) {
	tests := []struct {
		name, version string
		binaries      map[string]string
		command       []string
		want, warns   string
	}{
		{
			"a commit, and binaries", "v1.2-3-gabc",
			map[string]string{"equic-server": "aa", "equic-client": "bb"},
			[]string{"/opt/equic-bench", "run", "my runs/it's.yaml", "--seed=7"},
			"git checkout v1.2-3-gabc\nmake build\nsha256sum --check <<'END'\nbb  bin/equic-client\naa  bin/equic-server\nEND\n" +
				`bin/equic-bench run 'my runs/it'\''s.yaml' --seed=7`, "",
		},
		{
			"a name of two lines", "v1",
			map[string]string{"x\nEND\nevil": "aa"},
			nil,
			"git checkout v1\nmake build\nsha256sum --check <<'END'\naa  bin/x  END  evil\nEND\n" +
				"bin/equic-bench run scenarios/paper.yaml --seed 42", "",
		},
		{
			"changed files", "abc-dirty", nil, nil, "make build\nbin/equic-bench run scenarios/paper.yaml --seed 42",
			"checkout with changes (abc-dirty)",
		},
		{
			"no version", "unknown", nil, nil, "make build\nbin/equic-bench run scenarios/paper.yaml --seed 42",
			"outside a git checkout",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &analysis.Summary{
				Scenario: "paper", Seed: 42,
				Manifest: &results.Manifest{Version: tt.version, Binaries: tt.binaries, Command: tt.command},
			}
			got := Reproduce(s)
			if got.Command != tt.want {
				t.Errorf("steps:\n%s\nwant:\n%s", got.Command, tt.want)
			}
			if warned := strings.Join(got.Warnings, " "); !strings.Contains(warned, tt.warns) ||
				(tt.warns == "") != (warned == "") {
				t.Errorf("warnings %q, want one with %q", warned, tt.warns)
			}
		})
	}
}
