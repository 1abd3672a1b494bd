package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/report/figures"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

func TestReportInPortuguese(t *testing.T) {
	testkit.Slow(t, "draws four reports")
	t.Parallel()
	dir := synth.OneBlock().Write(t)
	write(t, dir)
	english := map[string][]byte{
		"figure-3.csv": reported(t, dir, "figure-3.csv"),
		"figure-3.svg": reported(t, dir, "figure-3.svg"),
	}
	_, err := Write(t.Context(), dir, Options{Lang: figures.Portuguese})
	testkit.Must(t, err)
	if !bytes.Equal(reported(t, dir, "figure-3.csv"), english["figure-3.csv"]) {
		t.Error("the data depend on the language")
	}
	if bytes.Equal(reported(t, dir, "figure-3.svg"), english["figure-3.svg"]) {
		t.Error("the figure does not")
	}
	if f, err := Verify(t.Context(), dir); err != nil || f.Status != results.Holds {
		t.Errorf("verify says %+v, %v", f, err)
	}
	_, err = Write(t.Context(), dir, Options{Lang: "xx"})
	if err == nil || !strings.Contains(err.Error(), "use en or pt") {
		t.Errorf("error %v, want one that names the languages", err)
	}
	if _, err := os.Stat(filepath.Join(dir, results.ReportDir, SummaryFile)); err != nil {
		t.Errorf("the old report is gone: %v", err)
	}
}
