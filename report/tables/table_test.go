package tables

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

func TestTablesFitTheirTerminal(t *testing.T) {
	for name, s := range map[string]*synth.Run{"one-block": synth.OneBlock(), "ten-blocks": synth.ShortBlocks(10)} {
		run, err := results.Open(s.Write(t))
		testkit.Must(t, err)
		summary, err := claims.Read(run)
		testkit.Must(t, err)
		for _, width := range []int{0, 80, 140} {
			var text bytes.Buffer
			testkit.Must(t, Brief(&text, summary, width))
			const added = 4 // lines that run adds at 80 columns
			if n := terminalLines(text.String(), width); width == 80 && n > 20-added {
				t.Errorf("%s: the answer has %d lines", name, n)
			}
			fmt.Fprintln(&text)
			testkit.Must(t, Text(&text, summary, width))
			if width > 0 {
				narrow(t, text.String(), width)
			}
			golden.CheckAll(t, "width", map[string][]byte{fmt.Sprintf("%s-%d.txt", name, width): text.Bytes()})
		}
	}
}

// terminalLines returns how many lines a text has on a terminal of that width.
func terminalLines(text string, width int) (n int) {
	for line := range strings.Lines(text) {
		n += max(1, (utf8.RuneCountInString(strings.TrimRight(line, "\n"))+width-1)/max(width, 1))
	}
	return n
}

// narrow asserts that no table is wider than it should be. Sentences are wrapped by the
// terminal.
func narrow(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.ContainsAny(line[:min(3, len(line))], "┌│├└") && utf8.RuneCountInString(line) > width {
			t.Errorf("%d columns, of %d: %s", utf8.RuneCountInString(line), width, line)
		}
	}
}

func TestLocalFailuresHaveAColumnIfThereAreAny(t *testing.T) {
	s := synth.OneBlock()
	if got := requestsTable(judged(t, s.Write(t)).Summary).header; slices.Contains(got, "local") {
		t.Errorf("columns %q without a local failure", got)
	}
	s.Trials[1].Request = func(role string, q *record.Request) {
		if role == results.RoleParallel && q.Seq < 2 {
			q.Outcome = record.Local
		}
	}
	expect := func(want ...string) {
		t.Helper()
		table := requestsTable(judged(t, s.Write(t)).Summary)
		if got := table.header; got[len(got)-1] != "local" {
			t.Errorf("columns %q, want local as the last", got)
		}
		var local []string
		for _, row := range table.rows {
			local = append(local, row[len(row)-1])
		}
		if !slices.Equal(local, want) {
			t.Errorf("local failures %q, want %q: of three variants, sequential and parallel", local, want)
		}
	}
	expect("0", "0", "0", "8", "0", "0")
	other := synth.Trial{Variant: s.Trials[1].Variant, Block: 2}
	s.Trials = append(s.Trials, other)
	expect("0", "0", "0", "4", "0", "0") // the median of 8 and none
}
