package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestWhatTheDocumentsNameInTheSourceExists(t *testing.T) {
	texts := documents(t)
	declared := declarations(t)
	names := 0
	for _, path := range []string{"docs/extending.md", "CONTRIBUTING.md", "docs/artifact.md"} {
		_, prose := blocks(texts[path])
		for _, m := range regexp.MustCompile("`([^` ]+)`").FindAllStringSubmatch(prose, -1) {
			name := m[1]
			pkg, _, qualified := strings.Cut(name, ".")
			switch {
			case strings.HasPrefix(name, "results/runs"), strings.HasPrefix(name, "report/") && strings.HasSuffix(name, "/"):
				// in a run directory
			case strings.Contains(name, "/"):
				names++
				if _, err := os.Stat(name); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			case qualified && declared[pkg] != nil:
				names++
				if !declared[pkg][name] {
					t.Errorf("%s: nothing declares %s", path, name)
				}
			}
		}
	}
	if names < 40 {
		t.Errorf("%d names found", names)
	}
}

// declarations returns the names that our packages declare outside of tests, with the
// package's name: "report.figure6", "report.figure.write".
func declarations(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := file.Name.Name
		if all[pkg] == nil {
			all[pkg] = map[string]bool{}
		}
		for _, d := range file.Decls {
			for _, name := range declaredNames(d) {
				all[pkg][pkg+"."+name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func declaredNames(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		of := d.Recv.List[0].Type
		if star, ok := of.(*ast.StarExpr); ok {
			of = star.X
		}
		if name, ok := of.(*ast.Ident); ok {
			return []string{name.Name + "." + d.Name.Name}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// The keys that CFF 1.2.0 requires, and those without which this citation would be
// useless.
func TestTheCitationFileHasWhatItNeeds(t *testing.T) {
	type work struct {
		Type, Title string
		Authors     []map[string]string
		URL         string
		Year        int
	}
	var citation struct {
		work       `yaml:",inline"`
		CFFVersion string `yaml:"cff-version"`
		Message    string
		License    string
		Repository string `yaml:"repository-code"`
		Abstract   string
		Keywords   []string
		References []struct {
			work       `yaml:",inline"`
			Languages  []string
			Conference map[string]string
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "CITATION.cff"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true) // a key that CFF does not have is a typing error
	if err := decoder.Decode(&citation); err != nil {
		t.Fatal(err)
	}
	if citation.CFFVersion != "1.2.0" || citation.Type != "software" || citation.Message == "" || citation.License != "MIT" || citation.Repository != "https://github.com/equic-bench/equic-bench" {
		t.Errorf("%+v", citation)
	}
	works := []work{citation.work}
	for _, r := range citation.References {
		works = append(works, r.work)
		if r.Type != "conference-paper" {
			t.Errorf("%s: type %q", r.Title, r.Type)
		}
	}
	if len(works) < 2 {
		t.Error("the paper is not a reference")
	}
	for _, w := range works {
		if w.Title == "" || len(w.Authors) == 0 || slices.ContainsFunc(w.Authors, func(a map[string]string) bool { return a["name"] == "" && a["family-names"] == "" }) {
			t.Errorf("%+v has no title, or an author without a name", w)
		}
	}
}
