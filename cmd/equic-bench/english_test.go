package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// mostPerThousand are words that betray a translation, and how many of 1,000 words in comments
// they may be. They are rare in the code of others.
var mostPerThousand = map[string]float64{
	"where": 1, "says": 0.5, "tells": 0.5, "anew": 0.5, "nobody": 0.5, "whom": 0.5, "thereby": 0.5, "hereby": 0.5,
}

var commentInC = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

func TestCommentsAreInPlainEnglish(t *testing.T) {
	t.Chdir("../..")
	words := 0
	lines := map[string][]string{} // with each of the words
	count := func(path string, line int, comment string) {
		for i, text := range strings.Split(comment, "\n") {
			noLetter := func(r rune) bool { return !unicode.IsLetter(r) }
			for _, word := range strings.FieldsFunc(strings.ToLower(text), noLetter) {
				words++
				if _, watched := mostPerThousand[word]; watched {
					lines[word] = append(lines[word], fmt.Sprintf("%s:%d: %s", path, line+i, strings.TrimSpace(text)))
				}
			}
		}
	}
	testkit.Must(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "bin" || path == "results" || path != "." && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text[:min(200, len(text))]), "DO NOT EDIT") {
			return err
		}
		switch filepath.Ext(path) {
		case ".go":
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, group := range file.Comments {
				for _, c := range group.List {
					count(path, files.Position(c.Pos()).Line, c.Text)
				}
			}
		case ".c", ".h":
			for _, at := range commentInC.FindAllIndex(text, -1) {
				count(path, 1+strings.Count(string(text[:at[0]]), "\n"), string(text[at[0]:at[1]]))
			}
		}
		return nil
	}))
	if words < 10_000 {
		t.Fatalf("%d words found", words)
	}
	for word, most := range mostPerThousand {
		rate := 1000 * float64(len(lines[word])) / float64(words)
		t.Logf("%q: %.2f of 1,000 words", word, rate)
		if rate > most {
			t.Errorf("%q is %.2f of 1,000 words in comments, more than %g:\n%s", word, rate, most,
				strings.Join(lines[word], "\n"))
		}
	}
}
