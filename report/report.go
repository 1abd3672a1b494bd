// Package report writes the report of a run, and verifies one: the paper's claims
// against what was measured, its figures 3 to 6 and three beside them with their data,
// table I, summary.json, report.md and report.html.
//
// It is the end of the pipeline, and joins its packages: analysis (records to
// numbers), claims, figures, tables and page. It needs no root, engine or network,
// and the same records always give the same bytes.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/figures"
	"github.com/equic-bench/equic-bench/report/page"
	"github.com/equic-bench/equic-bench/report/tables"
	"github.com/equic-bench/equic-bench/results"
)

// The files of a report, besides its figures.
const (
	SummaryFile  = "summary.json"
	MarkdownFile = "report.md"
	HTMLFile     = "report.html"
	ClaimsFile   = "claims.yaml" // those that were given, else there is none
)

// Options of a report.
type Options struct {
	// Lang is the language of the figures' texts, their captions and the values
	// shown on hover: one of figures.Languages, "" is English. Tables, words around
	// them and the figures' data (CSV) are in English whatever it is.
	Lang string
	// Claims are judged by the run; nil are those of the paper eQUIC Gateway.
	Claims *claims.File
}

// Write regenerates the report of a run directory from its raw records, and
// returns its numbers. The old report stays until the new one is whole. A run
// without a single valid trial gives an error that wraps analysis.ErrNoTrials
// and says what is wrong with the trials there are.
func Write(runDir string, o Options) (*analysis.Report, error) {
	summary, drawn, err := drawIn(runDir, runDir, o)
	if err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(runDir, results.ReportDir), drawn); err != nil {
		return nil, errors.Join(err, os.RemoveAll(drawn))
	}
	return summary, nil
}

// drawIn writes the report of a run into a new folder, which it makes in place
// and which is the caller's then.
func drawIn(runDir, place string, o Options) (*analysis.Report, string, error) {
	lang, err := figures.ParseLanguage(o.Lang)
	if err != nil {
		return nil, "", err
	}
	run, err := results.Open(runDir)
	if err != nil {
		return nil, "", err
	}
	judged := o.Claims
	if judged == nil {
		judged = claims.EQUIC()
	}
	summary, err := judged.Read(run)
	if err != nil {
		return nil, "", fmt.Errorf("report on %s: %w", runDir, err)
	}
	if lang != figures.English {
		for _, p := range summary.Parts {
			p.Summary.FiguresLang = string(lang)
		}
		summary.FiguresLang = string(lang)
	}
	dir, err := os.MkdirTemp(place, results.HalfReport)
	if err != nil {
		return nil, "", fmt.Errorf("make report folder: %w", err)
	}
	if err := writeAll(dir, summary, o.Claims); err != nil {
		return nil, "", errors.Join(fmt.Errorf("report on %s: %w", runDir, err), os.RemoveAll(dir))
	}
	return summary, dir, nil
}

// replace gives the folder tmp the name dir, in place of what was there.
func replace(dir, tmp string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the old report: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("put the report in place: %w", err)
	}
	return os.Chmod(dir, 0o755)
}

func writeAll(dir string, r *analysis.Report, given *claims.File) error {
	if given != nil {
		if err := os.WriteFile(filepath.Join(dir, ClaimsFile), given.Text(), 0o644); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", SummaryFile, err)
	}
	if err := os.WriteFile(filepath.Join(dir, SummaryFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	drawn := figures.All(r)
	for _, f := range drawn {
		if err := f.Write(dir); err != nil {
			return err
		}
	}
	html, err := page.HTML(r, drawn)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, HTMLFile), html, 0o644); err != nil {
		return err
	}
	var pictures []tables.Picture
	for _, f := range drawn {
		pictures = append(pictures, tables.Picture{Name: f.Name, Title: f.Title, Caption: f.Caption()})
	}
	return os.WriteFile(filepath.Join(dir, MarkdownFile), tables.Markdown(r, pictures), 0o644)
}
