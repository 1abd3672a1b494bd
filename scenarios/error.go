package scenarios

import (
	"fmt"
	"slices"
	"strings"
)

// Error lists all problems of a scenario, in the order of its lines.
type Error struct {
	Problems []Problem
}

// Error returns one problem on each line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Problem is one problem, and how to solve it.
type Problem struct {
	File   string
	Line   int // from 1; zero if it concerns the whole file
	Column int // from 1; zero if it concerns the whole line
	What   string
	Remedy string
}

// String returns "file:line:column: what; remedy".
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where += fmt.Sprintf(":%d", p.Line)
	}
	if p.Column > 0 {
		where += fmt.Sprintf(":%d", p.Column)
	}
	return fmt.Sprintf("%s: %s; %s", where, p.What, p.Remedy)
}

// nearest suggests the known word that is at most two typing errors away, or else all
// known words.
func nearest(word string, known []string) string {
	slices.Sort(known)
	if best := DidYouMean(word, known); best != "" {
		return best
	}
	return "use one of " + strings.Join(known, ", ")
}

// DidYouMean suggests the known word that is at most two typing errors away. It is empty
// if there is none.
func DidYouMean(word string, known []string) string {
	best, distance := "", min(2, 1+len(word)/3)
	for _, k := range known {
		if d := edits(strings.ToLower(word), k); d <= distance {
			best, distance = k, d-1
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// edits returns the Levenshtein distance of two words, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
