package tables

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/equic-bench/equic-bench/report/analysis"
)

// WarningKind is a kind of warning: warnings that differ in their numbers only.
type WarningKind struct {
	Text  string   // of the first, without its trial
	Count int      // how many there are
	All   []string // each with its trial, in the order of the trials
	texts []string // each without its trial
}

// Warnings returns the warnings of the run, and of its valid trials, by kind.
func Warnings(s *analysis.Summary) []WarningKind {
	var kinds []WarningKind
	index := map[string]int{}
	add := func(text, line string) {
		key := anyNumber.ReplaceAllString(text, "\x00") // no text has one
		i, known := index[key]
		if !known {
			i = len(kinds)
			index[key], kinds = i, append(kinds, WarningKind{Text: text})
		}
		kinds[i].Count++
		kinds[i].All, kinds[i].texts = append(kinds[i].All, line), append(kinds[i].texts, text)
	}
	for _, w := range s.Warnings { // of the run: each is a kind of its own
		kinds = append(kinds, WarningKind{Text: w, Count: 1, All: []string{w}})
	}
	for _, t := range s.Trials {
		for _, w := range t.Warnings {
			add(w, t.Name+": "+w)
		}
	}
	return kinds
}

var anyNumber = regexp.MustCompile(`[0-9]+([.,][0-9]+)*`)

// Line returns the kind in one line: with the ranges of the numbers, and how many there
// are.
func (k WarningKind) Line() string {
	if k.Count == 1 {
		return k.All[0]
	}
	return fmt.Sprintf("%s (%d times)", k.ranges(), k.Count)
}

// ranges returns the first text, with the lowest and the highest of each number that is
// not the same in all of them.
func (k WarningKind) ranges() string {
	lows, highs := anyNumber.FindAllString(k.Text, -1), anyNumber.FindAllString(k.Text, -1)
	for _, text := range k.texts {
		for i, number := range anyNumber.FindAllString(text, -1) {
			if valueOf(number) < valueOf(lows[i]) {
				lows[i] = number
			}
			if valueOf(number) > valueOf(highs[i]) {
				highs[i] = number
			}
		}
	}
	i := -1
	return anyNumber.ReplaceAllStringFunc(k.Text, func(string) string {
		i++
		if lows[i] == highs[i] {
			return lows[i]
		}
		return lows[i] + " to " + highs[i]
	})
}

// valueOf returns the value of a number in a text; zero for a date, for example.
func valueOf(number string) float64 {
	v, _ := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	return v
}

// warningLines returns a line for each kind of warning.
func warningLines(s *analysis.Summary) []string {
	var lines []string
	for _, k := range Warnings(s) {
		lines = append(lines, k.Line())
	}
	return lines
}
