package orchestrate

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// allRules are the names of all rules, in the order in which a trial is held
// against them.
func allRules() []string {
	names := []string{ruleCompleted}
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

func TestEachRuleHasAFaultThatBreaksIt(t *testing.T) {
	broken := map[string]bool{}
	for _, f := range recordFaults() {
		broken[f.rule] = true
	}
	for _, f := range nodeFaults() {
		broken[f.rule] = true
	}
	all := allRules()
	for _, name := range all {
		if !broken[name] {
			t.Errorf("no fault breaks rule %s: add one to recordFaults or nodeFaults", name)
		}
	}
	for name := range broken {
		if !slices.Contains(all, name) {
			t.Errorf("a fault breaks %s, which is no rule", name)
		}
	}
}

func TestTheMethodHasEachRule(t *testing.T) {
	text, err := os.ReadFile("../docs/method.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## A trial is invalid, and says why\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(section, -1) {
		told = append(told, row[1])
	}
	if want := allRules(); !slices.Equal(told, want) {
		t.Errorf("docs/method.md has the rules\n%q, the code\n%q", told, want)
	}
}
