package tables

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
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
			fmt.Fprintln(&text)
			testkit.Must(t, Text(&text, summary, width))
			if width > 0 {
				narrow(t, text.String(), width)
			}
			golden.CheckAll(t, "width", map[string][]byte{fmt.Sprintf("%s-%d.txt", name, width): text.Bytes()})
		}
	}
}

// narrow asserts that no table is wider than it should be. Sentences are broken
// by the terminal.
func narrow(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.ContainsAny(line[:min(3, len(line))], "┌│├└") && utf8.RuneCountInString(line) > width {
			t.Errorf("%d columns, of %d: %s", utf8.RuneCountInString(line), width, line)
		}
	}
}
