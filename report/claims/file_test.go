package claims

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

const oneClaim = `paper: Another
claims:
  - id: faster
    place: fig. 1
    published: mais rápido
    english: it is faster
    experiment: mixed
    metric: throughput
    with: xdp-block-new
    against: [userspace-early]
    direction: more
    value: 10
    unit: "% change"
    tolerance: 2
    needs: [turned-away]
    note: nothing
`

func TestAFileOfClaimsIsReadStrictly(t *testing.T) {
	change := func(from, to string) string {
		if !strings.Contains(oneClaim, from) {
			t.Fatalf("%q is not in the file", from)
		}
		return strings.Replace(oneClaim, from, to, 1)
	}
	tests := map[string]struct{ text, says string }{
		"it is right":             {oneClaim, ""},
		"no size":                 {change("    value: 10\n", ""), ""},
		"empty":                   {"", "my.yaml:1: the file is empty"},
		"no mapping":              {"- a\n", "my.yaml:1: cannot unmarshal"},
		"no YAML":                 {"paper: [\n", "my.yaml:"},
		"two documents":           {oneClaim + "---\npaper: b\n", "more than one document"},
		"no claims":               {"paper: Another\n", "my.yaml:1: there are no claims"},
		"no paper":                {change("paper: Another", "paper: \"\""), "my.yaml:1: key paper is missing"},
		"a key that is unknown":   {change("    place:", "    where: there\n    place:"), "my.yaml:4: key where is unknown"},
		"a value that is no size": {change("value: 10", "value: ten"), "my.yaml:12: cannot unmarshal"},
		"no id":                   {change("id: faster", "id: \"\""), `my.yaml:3: claim "": key id is missing`},
		"no note":                 {change("    note: nothing\n", ""), "key note is missing"},
		"an unknown experiment": {
			change("mixed", "other"),
			`my.yaml:3: claim "faster": experiment is "other", use mixed or parallel`,
		},
		"an unknown metric":     {change("metric: throughput", "metric: speed"), `metric "speed" is unknown`},
		"an unknown instrument": {change("    note:", "    instrument: eye\n    note:"), `metric "eye" is unknown`},
		"an unknown variant":    {change("xdp-block-new", "tc-drop"), `unknown variant "tc-drop"`},
		"no variant": {
			change("against: [userspace-early]", "against: []"),
			"with and against need a variant each",
		},
		"an unknown premise":   {change("turned-away", "luck"), `needs: "luck" is unknown, use loses-throughput`},
		"an unknown direction": {change("direction: more", "direction: up"), `direction is "up", use more or less`},
		"a value against it":   {change("value: 10", "value: -10"), `a change of -10.0 % is not in the direction "more"`},
		"a unit of another metric": {
			change(`"% change"`, "ms"),
			`unit is "ms", use "% change" or, for the figure itself, "requests/s"`,
		},
		"a claim twice": {
			oneClaim + strings.TrimPrefix(oneClaim, "paper: Another\nclaims:\n"),
			`my.yaml:17: claim "faster" is there twice`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "my.yaml")
			testkit.Must(t, os.WriteFile(path, []byte(tt.text), 0o644))
			_, err := Load(path)
			if tt.says == "" {
				testkit.Must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
}

// The paper's own numbers give both figures of a sentence.
func TestTheValuesAreThePapers(t *testing.T) {
	want := map[string]float64{
		"throughput": 30.9, "recovery": 100 * (float64(22-5)/(27-5) - 1), "duration": -65, "block-time": -26.4,
		"syscalls": 100 * (8178.0/77551 - 1), "syscall-errors": 100 * (26.0/562 - 1),
		"syscall-time": 100 * (0.312806/2.936784 - 1),
		"cpu":          90, "cpu-without": 80, "memory": 100 * (30.0/90 - 1),
	}
	for _, d := range EQUIC().Claims {
		if value, ok := want[d.ID]; ok != (d.Value != nil) || ok &&
			(float64(*d.Value)-value > 0.5 || value-float64(*d.Value) > 0.5) {
			t.Errorf("%s claims %v, the paper's numbers give %v", d.ID, d.Value, value)
		}
	}
}
