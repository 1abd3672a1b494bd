package figures

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
)

func TestEveryPhraseIsInBothLanguages(t *testing.T) {
	verbs := regexp.MustCompile(`%(\[\d\])?[a-z%]`)
	same := []phrase{logScale, withAttempts, cpuTitle, p95, p99, inMicroseconds, inMilliseconds, inSeconds}
	for p := range phraseCount {
		w := phrases[p]
		switch {
		case w.en == "" || w.pt == "":
			t.Errorf("phrase %d is missing: %+v", p, w)
		case (w.en == w.pt) != slices.Contains(same, p):
			t.Errorf("%q is %q in Portuguese", w.en, w.pt)
		case !slices.Equal(verbs.FindAllString(w.en, -1), verbs.FindAllString(w.pt, -1)):
			t.Errorf("%q and %q have different verbs", w.en, w.pt)
		}
	}
}

// portuguese matches what a Portuguese figure may contain: its phrases, numbers, and
// the names of variants and claims.
func portuguese(claims []analysis.Claim) *regexp.Regexp {
	number := `([<>] )?[-+<>]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?`
	parts := []string{number}
	for _, c := range claims {
		parts = append(parts, c.ID)
	}
	for _, v := range record.VariantNames() {
		parts = append(append(parts, v), strings.SplitAfterN(v, "-", 2)...)
	}
	argument := "(" + number + "|" + strings.Join(record.VariantNames(), "|") + ")"
	for p, w := range phrases {
		if phrase(p) != logScale {
			pattern := regexp.QuoteMeta(strings.NewReplacer("%s", "ARG", "%d", "ARG", "%[1]d", "ARG", "%%", "%").Replace(w.pt))
			parts = append(parts, strings.ReplaceAll(pattern, "ARG", argument))
		}
	}
	one := "(" + strings.Join(parts, "|") + ")"
	return regexp.MustCompile(`^(\([ab]\) )?` + one + `(, log| %| MiB|: ` + one + `)?$`)
}

func TestPortugueseFiguresHaveNothingElse(t *testing.T) {
	for name, run := range synth.RunsToDraw() {
		t.Run(name, func(t *testing.T) {
			s, all := drawnFigures(t, run, Portuguese)
			allowed := portuguese(s.Claims)
			for _, f := range all {
				said := slices.Concat([]string{f.Title}, f.Notes, texts(t, f))
				for _, m := range f.marks {
					said = append(said, m.group, m.series, m.value)
				}
				for _, text := range said {
					if !allowed.MatchString(text) {
						t.Errorf("%s says %q", f.Name, text)
					}
				}
			}
		})
	}
}

func TestNumbersInPortuguese(t *testing.T) {
	for value, want := range map[analysis.Number]string{13069: "13.069", 37.62: "37,6", 0.0825: "0,0825", 40: "40"} {
		if got := Language(Portuguese).number(value); got != want {
			t.Errorf("%s is %q, want %q", strconv.FormatFloat(float64(value), 'g', -1, 64), got, want)
		}
	}
}
