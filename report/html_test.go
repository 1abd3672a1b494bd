package report

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

// outline is the content of a page, as a parser finds it.
type outline struct {
	text     string // without tags, scripts and styles
	ids      []string
	elements map[string]int
	links    []string // of anchors
	wrong    []string
}

// outlineOf reads a page tag by tag. It records what is not well-formed, and each
// attribute that would make a browser load something else.
func outlineOf(page []byte) *outline {
	o := &outline{elements: map[string]int{}}
	void := []string{"meta", "link", "br", "hr", "img", "input"}
	var open []string
	var text strings.Builder
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		kind, token := z.Next(), z.Token()
		switch kind {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) || len(open) > 0 {
				o.wrong = append(o.wrong, "the end: "+z.Err().Error()+", open: "+strings.Join(open, " "))
			}
			o.text = strings.Join(strings.Fields(text.String()), " ")
			return o
		case html.StartTagToken, html.SelfClosingTagToken:
			o.element(token)
			if kind == html.StartTagToken && !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if n := len(open) - 1; n >= 0 && open[n] == token.Data {
				open = open[:n]
			} else {
				o.wrong = append(o.wrong, "</"+token.Data+"> inside "+strings.Join(open, " "))
			}
		case html.TextToken:
			if n := len(open) - 1; n < 0 || open[n] != "script" && open[n] != "style" {
				text.WriteString(token.Data + " ")
			}
		}
	}
}

func (o *outline) element(t html.Token) {
	o.elements[t.Data]++
	for _, a := range t.Attr {
		switch {
		case a.Key == "id" && slices.Contains(o.ids, a.Val):
			o.wrong = append(o.wrong, "the id "+a.Val+" stands twice")
		case a.Key == "id":
			o.ids = append(o.ids, a.Val)
		case a.Key == "href" && t.Data == "a":
			o.links = append(o.links, a.Val)
		case a.Key == "src", a.Key == "srcset", a.Key == "href" && a.Val != "data:,",
			strings.HasPrefix(a.Key, "on"), strings.Contains(a.Val, "://"), strings.Contains(a.Val, "url("):
			o.wrong = append(o.wrong, t.Data+" "+a.Key+"="+a.Val)
		}
	}
}

// says checks that the page contains a text, with any line breaks.
func (o *outline) says(t *testing.T, what, text string) {
	t.Helper()
	if text = strings.Join(strings.Fields(text), " "); !strings.Contains(o.text, text) {
		t.Errorf("%s is not on the page: %q", what, text)
	}
}

func TestPageIsWholeAndAsksForNothing(t *testing.T) {
	testkit.Slow(t, "draws four reports")
	t.Parallel()
	withInvalid := synth.OneBlock()
	withInvalid.Trials = append(withInvalid.Trials,
		synth.Trial{Variant: "xdp-block", Block: 2, Invalid: "sequential-2 was ready 0.3 s late"})
	withOutlier := synth.ShortBlocks(6)
	withOutlier.Trials[withOutlier.Find("xdp-block", 3)].Server = synth.Grown(4)
	oneVariant := synth.OneBlock()
	oneVariant.Experiment.Variants, oneVariant.Trials = []string{"xdp-block"}, oneVariant.Trials[2:]
	noAttack := synth.OneBlock()
	noAttack.Experiment.Sequential.RatePerSecond, noAttack.Experiment.Parallel = 0, results.Load{}
	tests := []struct {
		name string
		run  *synth.Run
	}{
		{"one block, and an invalid trial", withInvalid},
		{"six blocks with an outlier", withOutlier},
		{"one variant alone", oneVariant},
		{"a closed loop without an attack", noAttack},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.run.Write(t)
			s := write(t, dir)
			o := outlineOf(reported(t, dir, HTMLFile))
			for _, w := range o.wrong {
				t.Error(w)
			}
			for _, link := range o.links {
				if id, ok := strings.CutPrefix(link, "#"); ok && !slices.Contains(o.ids, id) {
					t.Errorf("a link leads to #%s, which is not there", id)
				}
			}
			hasAll(t, o, s)
		})
	}
}

// hasAll checks that the page contains everything in the summary.
func hasAll(t *testing.T, o *outline, s *analysis.Report) {
	t.Helper()
	want := 7
	if slices.ContainsFunc(s.Claims, func(c analysis.Claim) bool { return c.Verdict != analysis.NotRun }) {
		want++ // the table of the claims
	}
	if o.elements["figure"] != want {
		t.Errorf("%d figures, want %d", o.elements["figure"], want)
	}
	for _, of := range tables.Sections(s) {
		o.says(t, "a table", of.Title)
		for line := range strings.Lines(of.RenderTSV()) {
			o.says(t, "a row", line)
		}
	}
	if len(s.Claims) == 0 {
		o.says(t, "that nothing is judged", "its claims are not judged")
	}
	for _, c := range s.Claims {
		o.says(t, "a claim", c.Statement)
		o.says(t, "a reason", c.Reason)
		o.says(t, "a verdict", c.Label+" "+c.Where+" "+string(c.Verdict))
	}
	for _, kind := range tables.Warnings(s.Summary) {
		for _, w := range kind.All {
			o.says(t, "a warning", w)
		}
	}
	for _, limit := range tables.KnownLimits() {
		o.says(t, "a limit", limit)
	}
	for _, trial := range s.Trials {
		o.says(t, "a trial", trial.Name+" "+tables.Validity(&trial)+" "+tables.ChecksPassed(&trial)+" "+strings.Join(trial.Reasons, "; "))
	}
	for _, outlier := range s.Outliers {
		o.says(t, "an outlier", outlier.String())
	}
	for _, row := range tables.SetUp(s.Summary) {
		o.says(t, "the set-up", row[0])
	}
	o.says(t, "how sure it is", analysis.Capital(s.Interval)+".")
	o.says(t, "the command", tables.Command(s.Summary))
}

func TestTextOfARunCannotBecomeMarkup(t *testing.T) {
	run := synth.OneBlock()
	run.Trials[1].Invalid = `</script><script>alert("1")</script>`
	dir := run.Write(t)
	write(t, dir)
	o := outlineOf(reported(t, dir, HTMLFile))
	if o.elements["script"] != 8 { // one for each figure's marks, and the page's own
		t.Errorf("%d scripts, want 8", o.elements["script"])
	}
	o.says(t, "the reason", run.Trials[1].Invalid)
}
