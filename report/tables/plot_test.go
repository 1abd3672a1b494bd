package tables

import (
	"errors"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/internal/testkit/golden"
	"github.com/equic-bench/equic-bench/report/internal/synth"
)

func TestAPlotHasALineForEachVariant(t *testing.T) {
	r := judged(t, synth.OneBlock().Write(t))
	var plain, colored strings.Builder
	testkit.Must(t, Plot(&plain, r, 60, false))
	golden.Check(t, "plot.golden", []byte(plain.String()))
	for line := range strings.Lines(plain.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	testkit.Must(t, Plot(&colored, r, 60, true))
	if text := colored.String(); !strings.Contains(text, "\x1b[") || !strings.Contains(text, "xdp-block") {
		t.Errorf("in colour:\n%s", text)
	}
	if err := Plot(brokenPipe{}, r, 0, false); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

func TestARunWithoutHonestClientsHasNoPlot(t *testing.T) {
	s := synth.OneBlock()
	s.Experiment.Sequential.Clients = 0
	r := judged(t, s.Write(t))
	var text strings.Builder
	testkit.Must(t, Plot(&text, r, 80, false))
	if text.Len() > 0 {
		t.Errorf("it is\n%s", &text)
	}
}
