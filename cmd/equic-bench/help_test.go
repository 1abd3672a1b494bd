package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/equic-bench/equic-bench/internal/testkit/golden"
)

func TestTheHelpOfEachCommandIsAsKeptAndFitsItsTerminal(t *testing.T) {
	for _, width := range []int{80, 140} {
		for _, name := range append([]string{""}, shownCommands()...) {
			root := rootCommand(nil)
			fitHelp(root, width)
			var text bytes.Buffer
			root.SetOut(&text)
			root.SetArgs(append(strings.Fields(name), "--help"))
			if err := root.Execute(); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(text.String()) {
				// to be copied
				whole := strings.HasPrefix(line, "  equic-bench ") || strings.HasPrefix(strings.TrimSpace(line), "[")
				if !whole && utf8.RuneCountInString(strings.TrimRight(line, "\n")) > width {
					t.Errorf("equic-bench %s: wider than %d columns: %s", name, width, line)
				}
			}
			golden.Check(t, fmt.Sprintf("help/%s-%d.txt", strings.TrimSpace("equic-bench "+name), width), text.Bytes())
		}
	}
}

// shownCommands returns the commands that a user sees.
func shownCommands() []string {
	var names []string
	for _, c := range rootCommand(nil).Commands() {
		if c.IsAvailableCommand() && c.Name() != "completion" { // cobra's own
			names = append(names, c.Name())
		}
	}
	return names
}
