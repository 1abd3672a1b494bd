// Package report writes the report of a run, and verifies one. A report has the paper's claims beside the
// measurements, the paper's figures 3 to 6 and others with their data, table I, summary.json, report.md and
// report.html.
//
// It is the end of the pipeline, and joins its packages: analysis (records to numbers),
// claims, figures, tables and page. It needs no root, engine or network, and the same
// records always give the same bytes.
package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	ClaimsFile   = "claims.yaml" // the given claims; missing if none were given

	figurePrefix = "figure-" // begins the names of all figures
)

// Options of a report.
type Options struct {
	// Lang is the language of the figures' texts, their captions and the values shown
	// on hover: one of figures.Languages; "" is English. Tables, the surrounding text
	// and the figures' data (CSV) are always in English.
	Lang string
	// Claims are judged by the run; nil means those of the paper eQUIC Gateway.
	Claims *claims.File
	// Out is the folder of the report, new or with an older report; empty means report/ in
	// the run directory.
	Out string
}

// ErrNotAReport means that Options.Out is a folder with something else.
var ErrNotAReport = errors.New("folder is not a report")

// Write regenerates the report of a run directory from its raw records, and returns its
// numbers. The old report stays until the new one is complete. If a run has no valid trial, the error wraps
// analysis.ErrNoTrials and describes the problems of its trials. If Options.Out is a folder with anything
// other than a report, the error wraps ErrNotAReport. If the context ends before the new report is
// complete, the old one stays, and the error wraps the context's.
func Write(ctx context.Context, runDir string, o Options) (*analysis.Report, error) {
	out := filepath.Join(runDir, results.ReportDir)
	if o.Out != "" {
		out = filepath.Clean(o.Out)
		own := filepath.Join(runDir, results.ReportDir)
		isOwn := results.Within(out, own) && results.Within(own, out)
		if results.Within(out, runDir) && !isOwn {
			return nil, fmt.Errorf("%w: %s is inside the run: name a folder elsewhere", ErrNotAReport, out)
		}
		if err := replaceable(out); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return nil, fmt.Errorf("make the report's folder: %w", err)
		}
	}
	summary, drawn, err := drawIn(ctx, runDir, filepath.Dir(out), o)
	if err != nil {
		return nil, err
	}
	if err := replace(out, drawn); err != nil {
		return nil, errors.Join(err, os.RemoveAll(drawn))
	}
	return summary, nil
}

// replaceable returns an error for a folder with anything that is not of a report.
func replaceable(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an older report: %w", err)
	}
	for _, f := range files {
		own := slices.Contains([]string{SummaryFile, MarkdownFile, HTMLFile, ClaimsFile}, f.Name()) ||
			strings.HasPrefix(f.Name(), figurePrefix)
		if f.IsDir() || !own {
			return fmt.Errorf("%w: a report would replace %s, which has %s: name a new folder", ErrNotAReport, dir, f.Name())
		}
	}
	return nil
}

// drawIn makes a new folder in the given place, and writes the report of a run into it. The caller then owns
// the new folder.
func drawIn(ctx context.Context, runDir, place string, o Options) (*analysis.Report, string, error) {
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
	summary, err := judged.Read(run.Until(ctx))
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
	if err := writeAll(ctx, dir, summary, o.Claims); err != nil {
		return nil, "", errors.Join(fmt.Errorf("report on %s: %w", runDir, err), os.RemoveAll(dir))
	}
	return summary, dir, nil
}

// replace renames the folder tmp to dir, and replaces what was there.
func replace(dir, tmp string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the old report: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("put the report in place: %w", err)
	}
	return os.Chmod(dir, 0o755)
}

func writeAll(ctx context.Context, dir string, r *analysis.Report, given *claims.File) error {
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
		if err := ctx.Err(); err != nil {
			return err
		}
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
