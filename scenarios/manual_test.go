package scenarios

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestTheManualInDocsIsTheCurrentOne(t *testing.T) {
	want, err := Manual()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "docs", "scenario.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/scenario.md, run make generate (-want +got):\n%s", diff)
	}
}

func TestTheExamplesOfTheManualAreScenarios(t *testing.T) {
	for name, text := range map[string]string{
		"the short one": shortest, "several loads": several, "a search": searching,
		"an address of two": shared, "attacks together": together,
		"a server of yours":      foreign,
		"the one with every key": string(everyKey),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(name, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			meant := func(w string) bool { return strings.Contains(w, forP99Warning) }
			if w := slices.DeleteFunc(s.Warnings(), meant); len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
		})
	}
}

func TestEveryKeyIsExplainedAndHasAnExample(t *testing.T) {
	var example yaml.Node
	if err := yaml.Unmarshal(everyKey, &example); err != nil {
		t.Fatal(err)
	}
	groups := manualGroups("", new(decoder).scenario(defaults()), example.Content[0])
	if len(groups) < 7 {
		t.Errorf("%d tables", len(groups))
	}
	for _, group := range groups {
		for _, key := range group.Keys {
			path := join(group.Path, key.Name)
			if key.What == "" || !strings.HasSuffix(key.What, ".") {
				t.Errorf("%s: %q is no sentence; use about", path, key.What)
			}
			if key.Takes == "" {
				t.Errorf("%s: the manual does not say what it takes", path)
			}
			example := key.Example != "" || strings.HasPrefix(key.Takes, "[keys]") ||
				strings.Contains(several+searching+shared+foreign+compared, key.Name+": ") ||
				strings.Contains(several+compared, key.Name+":\n") // what excludes another key
			if !example {
				t.Errorf("%s is neither in every-key.yaml nor in the other examples: add it there", path)
			}
		}
	}
}
