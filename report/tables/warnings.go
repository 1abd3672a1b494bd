package tables

import (
	"fmt"
	"regexp"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// WarningKind is a kind of warning: warnings that differ in their numbers only.
type WarningKind struct {
	Text  string   // of the first
	Count int      // trials that have it; one for a warning about the run
	All   []string // each with its trial, in the order of the trials
}

// Warnings returns the warnings of the run, and of its valid trials, by kind.
func Warnings(s *analysis.Summary) []WarningKind {
	var kinds []WarningKind
	index := map[string]int{}
	add := func(text, line string) {
		key := anyNumber.ReplaceAllString(text, "#")
		i, known := index[key]
		if !known {
			i = len(kinds)
			index[key], kinds = i, append(kinds, WarningKind{Text: text})
		}
		kinds[i].Count++
		kinds[i].All = append(kinds[i].All, line)
	}
	for _, w := range s.Warnings {
		add(w, w)
	}
	for _, t := range s.Trials {
		for _, w := range t.Warnings {
			add(w, t.Name+": "+w)
		}
	}
	return kinds
}

var anyNumber = regexp.MustCompile(`[0-9][0-9.,]*`)

// Line returns the kind in one line: the first warning of it, and how many trials have
// another one.
func (k WarningKind) Line() string {
	if k.Count == 1 {
		return k.All[0]
	}
	return fmt.Sprintf("%s (%d trials)", k.Text, k.Count)
}

// warningLines returns a line for each kind of warning.
func warningLines(s *analysis.Summary) []string {
	var lines []string
	for _, k := range Warnings(s) {
		lines = append(lines, k.Line())
	}
	return lines
}
