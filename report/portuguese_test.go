package report

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/results"
)

func TestEveryPhraseIsInBothLanguages(t *testing.T) {
	verbs := regexp.MustCompile(`%(\[\d\])?[a-z%]`)
	same := []phrase{logScale, p95, p99, inMicroseconds, inMilliseconds, inSeconds}
	for p := range phraseCount {
		w, ok := phrases()[p]
		switch {
		case !ok || w.en == "" || w.pt == "":
			t.Errorf("phrase %d is missing: %+v", p, w)
		case (w.en == w.pt) != slices.Contains(same, p):
			t.Errorf("%q is %q in Portuguese", w.en, w.pt)
		case !slices.Equal(verbs.FindAllString(w.en, -1), verbs.FindAllString(w.pt, -1)):
			t.Errorf("%q and %q have different verbs", w.en, w.pt)
		}
	}
	if len(phrases()) != int(phraseCount) {
		t.Errorf("%d phrases, want %d", len(phrases()), phraseCount)
	}
}

// portuguese recognises what may stand in a Portuguese figure: its phrases,
// numbers and the names of variants.
func portuguese() *regexp.Regexp {
	number := `(\d+|\d{1,3}(\.\d{3})+)(,\d+)?`
	parts := []string{number}
	for _, v := range allVariants() {
		parts = append(parts, v, strings.SplitAfterN(v, "-", 2)[0], strings.SplitAfterN(v, "-", 2)[1])
	}
	argument := "(" + number + "|" + strings.Join(allVariants(), "|") + ")"
	for p, w := range phrases() {
		if p != logScale {
			pattern := regexp.QuoteMeta(strings.NewReplacer("%s", "ARG", "%d", "ARG", "%[1]d", "ARG", "%%", "%").Replace(w.pt))
			parts = append(parts, strings.ReplaceAll(pattern, "ARG", argument))
		}
	}
	one := "(" + strings.Join(parts, "|") + ")"
	return regexp.MustCompile(`^(\([ab]\) )?` + one + `(, log| %| MiB|: ` + one + `)?$`)
}

func TestPortugueseFiguresHaveNothingElse(t *testing.T) {
	allowed := portuguese()
	for name, run := range runsToDraw() {
		t.Run(name, func(t *testing.T) {
			_, all := drawnFigures(t, run, Portuguese)
			for _, f := range all {
				said := slices.Concat([]string{f.title}, f.notes, texts(t, f))
				for _, m := range f.marks {
					said = append(said, m.group, m.series, m.value)
				}
				for _, text := range said {
					if !allowed.MatchString(text) {
						t.Errorf("%s says %q", f.name, text)
					}
				}
			}
		})
	}
}

func TestReportInPortuguese(t *testing.T) {
	dir := oneBlock().write(t)
	write(t, dir)
	english := map[string][]byte{"figure-3.csv": reported(t, dir, "figure-3.csv"), "figure-3.svg": reported(t, dir, "figure-3.svg")}
	_, err := Write(dir, Options{Lang: Portuguese})
	must(t, err)
	if !bytes.Equal(reported(t, dir, "figure-3.csv"), english["figure-3.csv"]) {
		t.Error("the data depend on the language")
	}
	if bytes.Equal(reported(t, dir, "figure-3.svg"), english["figure-3.svg"]) {
		t.Error("the figure does not")
	}
	if f, err := Verify(dir); err != nil || f.Status != results.Holds {
		t.Errorf("verify says %+v, %v", f, err)
	}
	if _, err := Write(dir, Options{Lang: "xx"}); err == nil || !strings.Contains(err.Error(), "use en or pt") {
		t.Errorf("error %v, want one that names the languages", err)
	}
	if _, err := os.Stat(filepath.Join(dir, results.ReportDir, SummaryFile)); err != nil {
		t.Errorf("the old report is gone: %v", err)
	}
}

func TestNumbersInPortuguese(t *testing.T) {
	for value, want := range map[Number]string{13069: "13.069", 37.62: "37,6", 0.0825: "0,0825", 40: "40"} {
		if got := language(Portuguese).number(value); got != want {
			t.Errorf("%s is %q, want %q", strconv.FormatFloat(float64(value), 'g', -1, 64), got, want)
		}
	}
}
