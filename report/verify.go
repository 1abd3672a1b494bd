package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/equic-bench/equic-bench/report/claims"
	"github.com/equic-bench/equic-bench/report/figures"
	"github.com/equic-bench/equic-bench/results"
)

// Verify draws the report of a run again, in a temporary folder outside of it, and
// compares each file with that of the run, byte for byte. A run without a report is not
// checked. An error is a problem of this machine, such as a full disk, or the end of the context,
// and not of the run.
func Verify(ctx context.Context, runDir string) (f results.Finding, err error) {
	f = results.Finding{Check: "report", Status: results.NotChecked, Evidence: "not drawn"}
	info, err := os.Lstat(filepath.Join(runDir, results.ReportDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Means = "`equic-bench report " + runDir + "` draws it"
		return f, nil
	case err != nil:
		return f, fmt.Errorf("look for the report of %s: %w", runDir, err)
	case !info.IsDir():
		return broken(f, "it is no folder"), nil
	}
	place, err := os.MkdirTemp("", "equic-bench-verify-")
	if err != nil {
		return f, fmt.Errorf("make a folder to draw the report in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place)) }()
	_, drawn, err := drawIn(ctx, runDir, place, Options{Lang: drawnIn(runDir), Claims: claimsOf(runDir)})
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), err != nil && ctx.Err() != nil:
		return f, err
	case err != nil:
		return broken(f, err.Error()), nil
	}
	return compareReports(f.Check, runDir, drawn)
}

// drawnIn returns the language of a report's figures; English if it is not recorded.
func drawnIn(runDir string) string {
	var s struct {
		FiguresLang string `json:"figures_lang"`
	}
	path := filepath.Join(runDir, results.ReportDir, SummaryFile)
	if !isFile(path) {
		return figures.English
	}
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &s) != nil || !slices.Contains(figures.Languages(), s.FiguresLang) {
		return figures.English // the comparison reports the problem with the file
	}
	return s.FiguresLang
}

// claimsOf returns the file of claims that a report was made with; nil if it has none,
// or no readable one: the comparison finds that.
func claimsOf(runDir string) *claims.File {
	path := filepath.Join(runDir, results.ReportDir, ClaimsFile)
	if !isFile(path) {
		return nil
	}
	f, err := claims.Load(path)
	if err != nil {
		return nil
	}
	return f
}

// isFile reports whether a path is a file; reading a pipe or a device might never end.
func isFile(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// broken returns the finding for a report that cannot follow from the records.
func broken(f results.Finding, why string) results.Finding {
	f.Status, f.Evidence = results.Broken, "it exists, but it cannot be drawn again from the records"
	f.Faults = []results.Fault{{File: results.ReportDir, Fault: why}}
	f.Means = "what it says does not follow from the records"
	return f
}

// compareReports compares the report of the run with one that was drawn again.
func compareReports(check, runDir, drawn string) (results.Finding, error) {
	is, faults := reportFiles(os.DirFS(filepath.Join(runDir, results.ReportDir)))
	want, unreadable := reportFiles(os.DirFS(drawn))
	if len(unreadable) > 0 {
		return results.Finding{}, fmt.Errorf("read the redrawn report: %s", unreadable[0].Fault)
	}
	names := maps.Clone(want)
	maps.Copy(names, is)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if why := difference(is, want, name); why != "" {
			faults = append(faults, results.Fault{File: path.Join(results.ReportDir, name), Fault: why})
		}
	}
	return results.NewFinding(check, fmt.Sprintf("%d files follow from the records byte for byte", len(want)), faults,
		"of its files do not follow from the records",
		"they or the records were changed, or another version drew them; if the records are intact, "+
			"`equic-bench report "+runDir+"` redraws them"), nil
}

// difference describes how a file of two reports differs; empty if it does not.
func difference(is, want map[string][]byte, name string) string {
	a, there := is[name]
	b, drawn := want[name]
	switch {
	case !there:
		return "not there"
	case !drawn:
		return "is no part of the report"
	case bytes.Equal(a, b):
		return ""
	}
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	return fmt.Sprintf("differs from byte %d on", at+1)
}

// reportFiles reads all files below a report's folder. It returns entries that are not
// files, or cannot be read, as faults.
func reportFiles(fsys fs.FS) (map[string][]byte, []results.Fault) {
	files, faults := map[string][]byte{}, []results.Fault(nil)
	wrong := func(name, why string) {
		faults = append(faults, results.Fault{File: path.Join(results.ReportDir, name), Fault: why})
	}
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			wrong(name, err.Error())
		case e.IsDir():
		case !e.Type().IsRegular():
			wrong(name, "is neither a file nor a folder")
		default:
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				wrong(name, err.Error())
			}
			files[name] = text
		}
		return nil
	})
	if err != nil {
		wrong(".", err.Error())
	}
	return files, faults
}
