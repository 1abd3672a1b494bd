package validity

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTheMethodHasEachRule(t *testing.T) {
	text, err := os.ReadFile("../../docs/method.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## A trial is invalid, and says why\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(section, -1) {
		told = append(told, row[1])
	}
	if want := Rules(); !slices.Equal(told, want) {
		t.Errorf("docs/method.md has the rules\n%q, the code\n%q", told, want)
	}
}
