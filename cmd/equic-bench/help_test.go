package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the files of testdata/help anew")

func TestTheHelpOfEachCommandIsAsKeptAndFitsItsTerminal(t *testing.T) {
	for _, width := range []int{80, 140} {
		for _, name := range append([]string{""}, commandNames()...) {
			root := rootCommand(nil)
			fitHelp(root, width)
			var text bytes.Buffer
			root.SetOut(&text)
			root.SetArgs(append(strings.Fields(name), "--help"))
			if err := root.Execute(); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text.String()) {
				whole := strings.HasPrefix(line, "  equic-bench ") || strings.HasPrefix(strings.TrimSpace(line), "[") // to be copied
				if !whole && utf8.RuneCountInString(strings.TrimRight(line, "\n")) > width {
					t.Errorf("equic-bench %s: wider than %d columns: %s", name, width, line)
				}
			}
			helpAsKept(t, filepath.Join("testdata", "help", fmt.Sprintf("%s-%d.txt", strings.TrimSpace("equic-bench "+name), width)), text.String())
		}
	}
}

// commandNames are the commands that a user sees.
func commandNames() []string {
	var names []string
	for _, c := range rootCommand(nil).Commands() {
		if c.IsAvailableCommand() && c.Name() != "completion" { // cobra's own
			names = append(names, c.Name())
		}
	}
	return names
}

func helpAsKept(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-kept +now; if it is meant, run with -update):\n%s", path, diff)
	}
}
