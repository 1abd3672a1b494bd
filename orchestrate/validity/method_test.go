package validity

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheMethodHasEachRule(t *testing.T) {
	text, err := os.ReadFile("../../docs/method/definitions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Rules of validity\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1])
	}
	if want := Rules(); !slices.Equal(documented, want) {
		t.Errorf("docs/method/definitions.md has the rules\n%q, the code\n%q", documented, want)
	}
}
