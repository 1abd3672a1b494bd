package scenarios

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"
)

func TestTheSchemaBesideTheScenariosIsTheCurrentOne(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("schema.json, run make generate (-want +got):\n%s", diff)
	}
}

func resolved(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readYAML(t *testing.T, path string) (value any, ok bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &value); err != nil {
		return nil, false
	}
	return value, true
}

func TestOurScenariosFollowTheSchemaAndNameIt(t *testing.T) {
	schema := resolved(t)
	paths, err := filepath.Glob("*.yaml")
	if err != nil || len(paths) < 5 {
		t.Fatalf("scenarios %v, %v", paths, err)
	}
	for _, path := range paths {
		value, ok := readYAML(t, path)
		if !ok {
			t.Fatalf("%s is not YAML", path)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), "# yaml-language-server: $schema=schema.json\n") {
			t.Errorf("%s does not begin with the modeline that names the schema", path)
		}
	}
}

// The schema cannot express rules over several keys, or rules of YAML about duplicate
// keys. Only the loader checks these.
func TestTheSchemaRefusesWhatTheLoaderRefuses(t *testing.T) {
	schema := resolved(t)
	for _, name := range []string{
		"unknown-keys", "removed-keys", "removed-key-type", "impossible-values", "missing-keys",
		"wrong-types", "wrong-units", "variants", "name-is-a-path", "cpu-twice", "cpus-neither",
	} {
		path := filepath.Join("testdata", "bad", name+".yaml")
		value, ok := readYAML(t, path)
		if !ok {
			t.Fatalf("%s is not YAML", path)
		}
		if err := schema.Validate(value); err == nil {
			t.Errorf("the schema has nothing against %s", path)
		}
	}
}
