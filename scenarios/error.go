package scenarios

import (
	"fmt"
	"slices"
	"strings"
)

// Error is everything that is wrong with a scenario, in the order of its
// lines.
type Error struct {
	Problems []Problem
}

// Error has one problem on each line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Problem is one thing that is wrong, and what to do about it.
type Problem struct {
	File   string
	Line   int // from 1; zero where it is the whole file's
	Column int // from 1; zero where it is the whole line's
	What   string
	Remedy string
}

// String is "file:line:column: what; remedy".
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

// nearest suggests what was meant by word: the known one that is at most two
// typing errors away, or else all that are known.
func nearest(word string, known []string) string {
	slices.Sort(known)
	best, distance := "", min(2, 1+len(word)/3)
	for _, k := range known {
		if d := edits(strings.ToLower(word), k); d <= distance {
			best, distance = k, d-1
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "use one of " + strings.Join(known, ", ")
}

// edits is the Levenshtein distance of two words, in bytes.
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
