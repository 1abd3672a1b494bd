package results

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scratch is the prefix of folders for measurements of a run that are not kept.
const scratch = ".scratch-"

// Scratch makes a folder under root. The caller must remove it. If the caller is killed
// before, Sweep removes it.
func Scratch(root string) (string, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("create results folder: %w", err)
	}
	dir, err := os.MkdirTemp(root, scratch)
	if err != nil {
		return "", fmt.Errorf("create a folder for what is not kept: %w", err)
	}
	return dir, nil
}

// Sweep removes the run directories under root that have no manifest: their runs were
// killed before they could write one. It also removes the folders of Scratch that a
// killed run has left. No run may be starting under root.
func Sweep(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for dead runs: %w", err)
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		dead := isRunID(e.Name()) && barren(dir) || isScratch(e.Name(), dir)
		if !e.IsDir() || !dead {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove a dead run: %w", err)
		}
	}
	return nil
}

// isScratch reports whether a folder is one of Scratch: it has a number, and contains only runs.
func isScratch(name, dir string) bool {
	number, found := strings.CutPrefix(name, scratch)
	if _, err := strconv.ParseUint(number, 10, 64); !found || err != nil {
		return false
	}
	entries, err := os.ReadDir(dir)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !isRunID(e.Name()) })
}

// isRunID reports whether a name has the form that Create uses.
func isRunID(name string) bool {
	stamp, _, found := strings.Cut(name, "-")
	_, err := time.Parse(timeStamp, stamp)
	return found && err == nil
}

// barren reports whether a run directory contains only what a run writes before its
// manifest. Other files may belong to the user: the name alone does not prove that it
// is a run.
func barren(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		ours := e.Type().IsRegular() && (e.Name() == ScenarioFile || strings.HasPrefix(e.Name(), temporary))
		if !ours && (e.Name() != TrialsDir || !isEmpty(filepath.Join(dir, e.Name()))) {
			return false
		}
	}
	return true
}

// isEmpty reports whether a folder is empty. It is false if the path is not a folder.
func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// deadReport is the age at which an incomplete report is no longer being drawn: the
// largest take minutes.
const deadReport = time.Hour

// SweepReports removes from a run directory what killed reports have left. A report
// that was begun within the last hour may still be in progress, so it stays.
func SweepReports(dir string) error {
	half, err := halves(dir, HalfReport)
	for _, path := range half {
		info, statErr := os.Lstat(path)
		if statErr == nil && time.Since(info.ModTime()) > deadReport {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	if err != nil {
		return fmt.Errorf("remove half a report: %w", err)
	}
	return nil
}

// halves returns the paths in a run directory whose names begin with the prefix of
// incomplete files or folders.
func halves(dir, begin string) ([]string, error) {
	folder, prefix := filepath.Split(filepath.Join(dir, begin))
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths, err
}
