// Package page writes report.html: one file with figures, tables and verdicts that
// loads nothing from outside.
//
// It is the last step of a report, and shows the results of the packages claims,
// figures and tables.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/figures"
	"github.com/equic-bench/equic-bench/report/tables"
)

//go:embed page.html style.css script.js
var pageFiles embed.FS

// document is the data for the page's template.
type document struct {
	Summary  *analysis.Summary
	Title    string
	Quote    string // the result, in a sentence
	Question string // what was run, in a sentence
	Facts    []fact
	Tally    string // of the verdicts, in a clause
	Verdicts []verdictRow
	Premises []string
	Notes    []string // on the claims
	Words    []string
	Claims   template.HTML // their table
	Answer   *shown        // of a search or a ladder, in place of verdicts; nil for other runs
	Figures  []drawing
	Sections []shown
	Warnings []tables.WarningKind
	Outliers []analysis.Outlier
	Limits   []string
	SetUp    [][2]string
	Again    tables.Reproduction

	Style      template.CSS
	Script     template.JS
	ScriptHash string
	Light      template.CSS
	Dark       template.CSS
}

// fact is one of the answers at the top of the page.
type fact struct {
	Name  string
	Lines []string
}

// shown is a section as HTML.
type shown struct {
	ID, Title string
	Table     template.HTML
	After     []string
	Items     []string
}

// HTML returns report.html: one file that loads nothing from outside.
func HTML(r *analysis.Report, figures []*figures.Figure) ([]byte, error) {
	style, err := pageFiles.ReadFile("style.css")
	if err != nil {
		return nil, err
	}
	script, err := pageFiles.ReadFile("script.js")
	if err != nil {
		return nil, err
	}
	pattern, err := template.New("page.html").Funcs(template.FuncMap{
		"marked":   marked,
		"passed":   func(t analysis.Trial) string { return tables.ChecksPassed(&t) },
		"validity": func(t analysis.Trial) string { return tables.Validity(&t) },
	}).ParseFS(pageFiles, "page.html")
	if err != nil {
		return nil, err
	}
	d := newDocument(r)
	colours := palette{"000000": {A: 255}, "ffffff": {R: 255, G: 255, B: 255, A: 255}}
	for _, f := range figures {
		drawn, err := drawFigure(f, colours)
		if err != nil {
			return nil, err
		}
		d.Figures = append(d.Figures, drawn)
	}
	digest := sha256.Sum256(script)
	d.Style, d.Script = template.CSS(style), template.JS(script)
	d.ScriptHash = base64.StdEncoding.EncodeToString(digest[:])
	d.Light, d.Dark = colours.css(false), colours.css(true)
	var out bytes.Buffer
	if err := pattern.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return out.Bytes(), nil
}

func newDocument(r *analysis.Report) *document {
	s := r.Summary
	d := &document{
		Summary: s, Title: s.Scenario, Quote: tables.Quote(r), Question: question(s), Facts: facts(r),
		Warnings: tables.Warnings(s), Outliers: s.Outliers, Limits: tables.KnownLimits(),
		SetUp: tables.SetUp(s), Again: tables.Reproduce(s),
	}
	d.Premises = claims.PremiseWords(r)
	if len(s.Claims) > 0 {
		d.Tally, d.Verdicts = verdictCounts(s.Claims), verdicts(s)
		d.Notes, d.Words, d.Claims = tables.ClaimsNotes(s), tables.ClaimsWords(), tableHTML(tables.ClaimsTable(s))
	}
	for i, of := range tables.Sections(r) {
		d.Sections = append(d.Sections, shown{
			ID: fmt.Sprintf("table-%d", i+1), Title: of.Title,
			Table: tableHTML(of.Titled), After: of.After, Items: of.Items,
		})
	}
	if r.Searched() || r.Ladder() { // its answer comes first
		d.Answer, d.Sections = &d.Sections[0], d.Sections[1:]
	}
	return d
}

// question describes what was run, in a sentence.
func question(s *analysis.Summary) string {
	var names []string
	for _, v := range s.Variants {
		names = append(names, v.Name)
	}
	blocks := fmt.Sprintf("in %d randomised blocks", s.Blocks)
	if s.Blocks == 1 {
		blocks = "once each"
	}
	if s.Manifest.Experiment.Search != nil {
		blocks = "each in a search for its breaking point"
	}
	return fmt.Sprintf("%s, %s, in an order drawn from seed %d.", analysis.Sentence(names), blocks, s.Seed)
}

// facts returns what was run, on which machine, and how certain the report is.
func facts(r *analysis.Report) []fact {
	s, m := r.Summary, r.Manifest
	e := &m.Experiment
	run := []string{m.ID, "started " + stamp(m.Started)}
	if !m.Ended.IsZero() {
		run = append(run, "took "+m.Ended.Sub(m.Started).Round(time.Second).String())
	}
	sure := []string{analysis.Capital(s.Interval) + ".", trialCount(s)}
	if s.Noise != nil {
		sure = append(sure, "Each variant against itself: "+s.Noise.Note()+".")
	}
	machine := []string{
		m.Machine.CPUModel,
		fmt.Sprintf("%d CPUs, %s of memory", m.Machine.CPUs, analysis.Number(m.Machine.MemoryBytes).Mebibytes()),
	}
	machine = append(machine,
		strings.TrimSpace(m.Machine.OS+" "+m.Machine.Kernel+" "+m.Machine.Arch),
		strings.TrimSpace(m.Runtime.Name+" "+m.Runtime.Version)+fmt.Sprintf("; server on CPUs %v, clients on %v",
			e.ServerCPUs, e.ClientCPUs))
	return []fact{
		{"Run", append(run, "equic-bench "+m.Version)},
		{"Load", append(loads(r), fmt.Sprintf("quota: %d connections of each client", e.Quota))},
		{"Machine", machine},
		{"How sure", sure},
	}
}

// loads describes what the clients did, or lists the names of several cells.
func loads(r *analysis.Report) []string {
	if len(r.Parts) == 1 {
		e := &r.Manifest.Experiment
		var all []string
		for _, load := range tables.Loads(e) {
			all = append(all, load[0]+": "+load[1])
		}
		return all
	}
	var names []string
	for _, p := range r.Parts {
		names = append(names, p.Cell.Name)
	}
	return []string{fmt.Sprintf("%d cells: %s", len(names), strings.Join(names, ", "))}
}

// trialCount returns in words how many trials count.
func trialCount(s *analysis.Summary) string {
	valid := 0
	for _, t := range s.Trials {
		if t.Valid {
			valid++
		}
	}
	return fmt.Sprintf("%d of %d trials are valid.", valid, len(s.Trials))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// marked returns text as HTML, with its `code`, **weight** and *emphasis*.
func marked(text string) template.HTML {
	text = html.EscapeString(text)
	for _, m := range [][2]string{{"`([^`]+)`", "code"}, {`\*\*([^*]+)\*\*`, "strong"}, {`\*([^*]+)\*`, "em"}} {
		text = regexp.MustCompile(m[0]).ReplaceAllString(text, "<"+m[1]+">$1</"+m[1]+">")
	}
	return template.HTML(text)
}
