package report

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/equic-bench/equic-bench/results"
)

// outline is what a parser finds in a page.
type outline struct {
	text     string // without tags, scripts and styles
	ids      []string
	elements map[string]int
	links    []string // of anchors
	wrong    []string
}

// outlineOf reads a page tag by tag and notes what is not well-formed, and each
// attribute by which a browser would ask for something else.
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

// says checks that the page has a text, however it is broken into lines.
func (o *outline) says(t *testing.T, what, text string) {
	t.Helper()
	if text = strings.Join(strings.Fields(text), " "); !strings.Contains(o.text, text) {
		t.Errorf("%s is not on the page: %q", what, text)
	}
}

func TestPageIsWholeAndAsksForNothing(t *testing.T) {
	withInvalid := oneBlock()
	withInvalid.trials = append(withInvalid.trials, synthTrial{variant: "xdp-block", block: 2, invalid: "sequential-2 was ready 0.3 s late"})
	withOutlier := shortBlocks(6)
	withOutlier.trials[withOutlier.find("xdp-block", 3)].server = grown(4)
	oneVariant := oneBlock()
	oneVariant.experiment.Variants, oneVariant.trials = []string{"xdp-block"}, oneVariant.trials[2:]
	noAttack := oneBlock()
	noAttack.experiment.Sequential.RatePerSecond, noAttack.experiment.Parallel = 0, results.Load{}
	tests := []struct {
		name string
		run  *synth
	}{
		{"one block, and an invalid trial", withInvalid},
		{"six blocks with an outlier", withOutlier},
		{"one variant alone", oneVariant},
		{"a closed loop without an attack", noAttack},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.run.write(t)
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

// hasAll checks that the page has everything that the summary has.
func hasAll(t *testing.T, o *outline, s *Summary) {
	t.Helper()
	if o.elements["figure"] != 7 {
		t.Errorf("%d figures, want 7", o.elements["figure"])
	}
	for _, of := range sections(s) {
		o.says(t, "a table", of.title)
		for line := range strings.Lines(of.RenderTSV()) {
			o.says(t, "a row", line)
		}
	}
	for _, c := range s.Claims {
		if !comparesAsThePaper(s) {
			o.says(t, "that nothing is judged", "its claims are not judged")
			break
		}
		o.says(t, "a claim", c.Statement)
		o.says(t, "a reason", c.Reason)
		o.says(t, "a verdict", c.ID+" "+c.Where+" "+string(c.Verdict))
	}
	for _, w := range slices.Concat(warnings(s), knownLimits()) {
		o.says(t, "a warning or limit", w)
	}
	for _, trial := range s.Trials {
		o.says(t, "a trial", trial.Name+" "+validity(&trial)+" "+checksPassed(&trial)+" "+strings.Join(trial.Reasons, "; "))
	}
	for _, outlier := range s.Outliers {
		o.says(t, "an outlier", outlier.String())
	}
	for _, row := range setUp(s) {
		o.says(t, "the set-up", row[0])
	}
	o.says(t, "how sure it is", Capital(s.Interval)+".")
	o.says(t, "the command", command(s))
}

func TestTextOfARunCannotBecomeMarkup(t *testing.T) {
	run := oneBlock()
	run.trials[1].invalid = `</script><script>alert("1")</script>`
	dir := run.write(t)
	write(t, dir)
	o := outlineOf(reported(t, dir, HTMLFile))
	if o.elements["script"] != 8 { // one for each figure's marks, and the page's own
		t.Errorf("%d scripts, want 8", o.elements["script"])
	}
	o.says(t, "the reason", run.trials[1].invalid)
}

func TestHowToReproduce(t *testing.T) {
	tests := []struct {
		name, version string
		binaries      map[string]string
		command       []string
		want, warns   string
	}{
		{
			"a commit, and binaries", "v1.2-3-gabc",
			map[string]string{"equic-server": "aa", "equic-client": "bb"},
			[]string{"/opt/equic-bench", "run", "my runs/it's.yaml", "--seed=7"},
			"git checkout v1.2-3-gabc\nmake build\nsha256sum --check <<'END'\nbb  bin/equic-client\naa  bin/equic-server\nEND\n" +
				`bin/equic-bench run 'my runs/it'\''s.yaml' --seed=7`, "",
		},
		{"changed files", "abc-dirty", nil, nil, "make build\nbin/equic-bench run scenarios/paper.yaml --seed 42", "checkout with changes (abc-dirty)"},
		{"no version", "unknown", nil, nil, "make build\nbin/equic-bench run scenarios/paper.yaml --seed 42", "outside a git checkout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Summary{Scenario: "paper", Seed: 42, manifest: &results.Manifest{Version: tt.version, Binaries: tt.binaries, Command: tt.command}}
			got := reproduce(s)
			if got.Command != tt.want {
				t.Errorf("steps:\n%s\nwant:\n%s", got.Command, tt.want)
			}
			if warned := strings.Join(got.Warnings, " "); !strings.Contains(warned, tt.warns) || (tt.warns == "") != (warned == "") {
				t.Errorf("warnings %q, want one with %q", warned, tt.warns)
			}
		})
	}
}

func TestDarkColoursKeepTheirContrast(t *testing.T) {
	tests := []struct{ name, from, want string }{
		{"white becomes the card", "ffffff", "1b1b1b"},
		{"black becomes the ink", "000000", "ececec"},
		{"a blue stays blue", "0072b2", "48bdff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := palette{}
			p.name(tt.from)
			if got := string(p.css(true)); got != "--c"+tt.from+":#"+tt.want+";" {
				t.Errorf("%s, want #%s", got, tt.want)
			}
		})
	}
}
