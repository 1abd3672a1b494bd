package tables

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/results"
)

// Picture is a figure in report.md: its file's name without extension, and its texts.
type Picture struct{ Name, Title, Caption string }

// Markdown returns report.md.
func Markdown(r *analysis.Report, pictures []Picture) []byte {
	s := r.Summary
	b := new(markdownText)
	b.printf("# eQUIC: %s\n\n", s.Scenario)
	b.printf("Run `%s`, seed %d, started %s. %s.\n\n", s.Run, s.Seed, s.Manifest.Started.UTC().Format(time.RFC3339),
		analysis.Capital(s.Interval))
	b.answer(r)
	if len(s.Claims) > 0 {
		b.claims(r)
	} else {
		b.paragraphs(claims.PremiseWords(r))
	}
	b.pictures(pictures)
	for _, of := range Sections(r) {
		b.section(of)
	}
	b.checks(s)
	b.limits()
	for _, p := range r.Parts {
		b.what(p)
	}
	b.reproduce(s)
	return b.Bytes()
}

// markdownText collects Markdown.
type markdownText struct{ bytes.Buffer }

func (b *markdownText) printf(format string, args ...any) { fmt.Fprintf(b, format, args...) }

func (b *markdownText) table(t Titled) { b.printf("## %s\n\n%s\n\n", t.Title, t.RenderMarkdown()) }

// answer writes what a run prints at its end: the sentence to quote, and the main table.
func (b *markdownText) answer(r *analysis.Report) {
	t, _ := briefTable(r)
	b.printf("**%s**\n\n%s\n\n", Quote(r), t.RenderMarkdown())
}

func (b *markdownText) list(items []string) {
	for _, item := range items {
		b.printf("- %s\n", item)
	}
	b.printf("\n")
}

// section writes a table, its explanation, and a list if it has one.
func (b *markdownText) section(of Section) {
	b.table(of.Titled)
	b.paragraphs(of.After)
	if len(of.Items) > 0 {
		b.list(of.Items)
	}
}

func (b *markdownText) paragraphs(all []string) {
	for _, p := range all {
		b.printf("%s\n\n", p)
	}
}

func (b *markdownText) claims(r *analysis.Report) {
	t := ClaimsTable(r.Summary)
	b.printf("## %s\n\n", t.Title)
	b.paragraphs(claims.PremiseWords(r))
	b.printf("%s\n\n", t.RenderMarkdown())
	b.list(ClaimsNotes(r.Summary))
	b.paragraphs(ClaimsWords())
	var why []string
	for _, c := range r.Claims {
		line := fmt.Sprintf("**%s** (%s): %s (\"%s\"). *%s*: %s.", c.Label, c.Where, c.Statement, c.Published, c.Verdict,
			c.Reason)
		if c.Note != "" {
			line += " (" + c.Note + ")"
		}
		why = append(why, line)
	}
	b.list(why)
}

func (b *markdownText) pictures(pictures []Picture) {
	b.printf("## Figures\n\n")
	for _, p := range pictures {
		b.printf("![%s](%s.svg)\n\n**%s.** %s\n\nAs [PDF](%s.pdf) or [PNG](%s.png); its data: [%s.csv](%s.csv).\n\n",
			p.Title, p.Name, p.Title, p.Caption, p.Name, p.Name, p.Name, p.Name)
	}
}

// checks lists which trials count, and why the others do not.
func (b *markdownText) checks(s *analysis.Summary) {
	b.printf("## Validity\n\n| trial | valid | checks passed | why not |\n|:--- |:--- | ---:|:--- |\n")
	for _, t := range s.Trials {
		b.printf("| %s | %s | %s | %s |\n", t.Name, Validity(&t), ChecksPassed(&t), cell(strings.Join(t.Reasons, "; ")))
	}
	b.printf("\nAn invalid trial is kept with its records and is in no figure.\n\n")
	if len(s.Outliers) > 0 {
		b.printf("Valid trials that are far from the others of their variant, by the median absolute deviation. They stay " +
			"in every figure:\n\n")
		var far []string
		for _, o := range s.Outliers {
			far = append(far, o.String())
		}
		b.list(far)
	}
	if w := warningLines(s); len(w) > 0 {
		b.printf("Warnings:\n\n")
		b.list(w)
	}
}

func (b *markdownText) limits() {
	b.printf("## Known limits\n\n")
	b.list(KnownLimits())
}

// what describes what was run, and on which machine.
func (b *markdownText) what(p *analysis.Part) {
	b.printf("## %s\n\n| | |\n|:--- |:--- |\n", NewTitled("What was run, on what", 0).forCell(p).Title)
	for _, row := range SetUp(p.Summary) {
		b.printf("| %s | %s |\n", row[0], cell(row[1]))
	}
	b.printf("\nThe rest, with the digests of all binaries and the versions of all modules, is in `../%s`.\n\n",
		results.ManifestFile)
}

func (b *markdownText) reproduce(s *analysis.Summary) {
	b.printf("## To reproduce\n\n```sh\n%s\n```\n\n", Command(s))
	b.printf("This report alone, from the records that are here: `equic-bench report .` in the run's folder.\n")
}

// cell escapes text for a cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}
