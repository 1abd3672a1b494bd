package results

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/record"
)

// The files of a run directory.
const (
	ManifestFile  = "manifest.json"
	ScenarioFile  = "scenario.yaml"
	TrialFile     = "trial.json"
	TrialsDir     = "trials"
	ReportDir     = "report"
	CrateFile     = "ro-crate-metadata.json"
	ChecksumsFile = "SHA256SUMS"

	// timeStamp is the format of the time at the beginning of a run directory's name.
	timeStamp = "20060102T150405Z"

	// partial is the prefix of a trial folder that is being written. Readers skip it.
	partial = ".partial-"
	// temporary is the prefix of a file that is being written.
	temporary = ".tmp-"
	// HalfReport is the prefix of the folder, in the run directory, of a report that is
	// being drawn.
	HalfReport = ".report-"
)

// ErrNoRun means that a folder is not a run, or contains none.
var ErrNoRun = errors.New("no run")

// Writer writes one run directory. Trials appear in it complete or not at all.
type Writer struct {
	Dir string
	ID  string
}

// Create makes the directory root/<UTC time>-<scenario>. If two runs start in the same
// second, the second gets a suffix.
func Create(root, scenario string, now time.Time) (*Writer, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("create results folder: %w", err)
	}
	base := now.UTC().Format(timeStamp) + "-" + scenario
	for n := 1; ; n++ {
		id := base
		if n > 1 {
			id = fmt.Sprintf("%s-%d", base, n)
		}
		dir := filepath.Join(root, id)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create run directory: %w", err)
		}
		if err := os.Mkdir(filepath.Join(dir, TrialsDir), 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("create run directory: %w", err), os.Remove(dir))
		}
		if err := errors.Join(syncPath(dir), syncPath(root)); err != nil {
			return nil, fmt.Errorf("create run directory: %w", err)
		}
		return &Writer{Dir: dir, ID: id}, nil
	}
}

// Reopen continues a run directory that was opened for reading. The directory is no
// longer sealed, and incomplete files and folders are removed.
func Reopen(r *Run) (*Writer, error) {
	if r.packed() {
		return nil, fmt.Errorf("continue run %s: %w", r.Dir, ErrPacked)
	}
	gone := []string{filepath.Join(r.Dir, CrateFile), filepath.Join(r.Dir, ChecksumsFile)}
	for _, name := range []string{filepath.Join(TrialsDir, partial), temporary, HalfReport} {
		half, err := halves(r.Dir, name)
		if err != nil {
			return nil, fmt.Errorf("continue run %s: %w", r.Dir, err)
		}
		gone = append(gone, half...)
	}
	for _, path := range gone {
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("continue run %s: %w", r.Dir, err)
		}
	}
	return &Writer{Dir: r.Dir, ID: r.Manifest.ID}, nil
}

// WriteScenario stores the scenario as given.
func (w *Writer) WriteScenario(text []byte) error {
	return writeFile(filepath.Join(w.Dir, ScenarioFile), text)
}

// WriteManifest replaces manifest.json.
func (w *Writer) WriteManifest(m *Manifest) error {
	return writeJSON(filepath.Join(w.Dir, ManifestFile), m)
}

// TrialWriter collects the files of one trial.
type TrialWriter struct {
	tmp, final string
}

// BeginTrial makes the trial's folder under a temporary name.
func (w *Writer) BeginTrial(p PlannedTrial, attempt int) (*TrialWriter, error) {
	name := trialName(p, attempt)
	t := &TrialWriter{
		tmp:   filepath.Join(w.Dir, TrialsDir, partial+name),
		final: filepath.Join(w.Dir, TrialsDir, name),
	}
	if err := os.RemoveAll(t.tmp); err != nil {
		return nil, fmt.Errorf("begin trial %s: %w", name, err)
	}
	if err := os.Mkdir(t.tmp, 0o755); err != nil {
		return nil, fmt.Errorf("begin trial %s: %w", name, err)
	}
	return t, nil
}

// Create makes a file of the trial, for a node's records or log.
func (t *TrialWriter) Create(name string) (*os.File, error) {
	return os.Create(filepath.Join(t.tmp, name))
}

// Path returns the path of a file of the trial, until Commit.
func (t *TrialWriter) Path(name string) string { return filepath.Join(t.tmp, name) }

// Commit writes trial.json, syncs everything to disk and gives the folder its final
// name.
func (t *TrialWriter) Commit(trial *Trial) error {
	if err := writeJSON(filepath.Join(t.tmp, TrialFile), trial); err != nil {
		return err
	}
	if err := syncTree(t.tmp); err != nil {
		return fmt.Errorf("commit trial %s: %w", trial.Name(), err)
	}
	if err := os.Rename(t.tmp, t.final); err != nil {
		return fmt.Errorf("commit trial %s: %w", trial.Name(), err)
	}
	return syncPath(filepath.Dir(t.final))
}

// Abort removes the files of the trial.
func (t *TrialWriter) Abort() error { return os.RemoveAll(t.tmp) }

// Seal writes a description of the run for archives (ro-crate-metadata.json). Then it
// writes SHA256SUMS for every raw file and that description. The report is not
// included, because it can be drawn from them.
func (w *Writer) Seal() error {
	run, err := Open(w.Dir)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	files, err := rawFiles(w.Dir)
	if err != nil {
		return fmt.Errorf("checksums of %s: %w", w.Dir, err)
	}
	text, err := crate(run, files)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(w.Dir, CrateFile), text); err != nil {
		return err
	}
	files = append(files, sealed{path: CrateFile, sha256: fmt.Sprintf("%x", sha256.Sum256(text))})
	slices.SortFunc(files, func(a, b sealed) int { return strings.Compare(a.path, b.path) })
	var sums []byte
	for _, f := range files {
		sums = fmt.Appendf(sums, "%s  %s\n", f.sha256, f.path)
	}
	return writeFile(filepath.Join(w.Dir, ChecksumsFile), sums)
}

// Discard removes a run directory, for a run that ended without a complete trial.
func (w *Writer) Discard() error { return os.RemoveAll(w.Dir) }

// Run is a run directory opened for reading.
type Run struct {
	Dir      string
	Manifest Manifest
	Trials   []*Trial // complete trials, in the order of their names
	// Cell is the cell for which CellRuns made the run; zero for a whole run.
	Cell Cell

	until context.Context // see Until; nil if nothing ends Lines
}

// Until makes Lines return the context's error once the context has ended. It returns the run.
func (r *Run) Until(ctx context.Context) *Run {
	r.until = ctx
	return r
}

// Open reads the manifest and the trials' metadata of a run directory.
func Open(dir string) (*Run, error) {
	r := &Run{Dir: dir}
	if _, err := os.Stat(filepath.Join(dir, ManifestFile)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRun, err)
	}
	if err := readJSON(filepath.Join(dir, ManifestFile), &r.Manifest); err != nil {
		return nil, fmt.Errorf("open run %s: %w", dir, err)
	}
	if v := r.Manifest.Schema; v < OldestSchema || v > SchemaVersion {
		return nil, fmt.Errorf("open run %s: layout version %d, this program reads %d to %d",
			dir, v, OldestSchema, SchemaVersion)
	}
	for _, c := range r.Manifest.Cells { // names of files are made of these
		if strings.Contains(c.Name+c.Point, "/") {
			return nil, fmt.Errorf("open run %s: %s: the cell %q with the point %q cannot name a file",
				dir, ManifestFile, c.Name, c.Point)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, TrialsDir))
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", dir, err)
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), partial) {
			continue
		}
		t := new(Trial)
		if err := readJSON(filepath.Join(dir, TrialsDir, e.Name(), TrialFile), t); err != nil {
			return nil, fmt.Errorf("open run %s: %w", dir, err)
		}
		r.Trials = append(r.Trials, t)
	}
	return r, nil
}

// CellRuns returns the run's cells, each as a separate run with its experiment and its
// trials. A run without cells is returned as the only one.
func (r *Run) CellRuns() []*Run {
	if len(r.Manifest.Cells) == 0 {
		return []*Run{r}
	}
	var all []*Run
	for _, c := range r.Manifest.Cells {
		run := *r
		run.Cell, run.Manifest.Experiment, run.Trials = c, c.Experiment, nil
		for _, t := range r.Trials {
			if t.Cell == c.Name {
				run.Trials = append(run.Trials, t)
			}
		}
		all = append(all, &run)
	}
	return all
}

// Newest returns the directory of the newest run under root that has a complete trial.
func Newest(root string) (string, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for runs: %w", err)
	}
	for _, named := range []bool{true, false} { // other names than those that Create makes have no time
		for _, e := range slices.Backward(entries) {
			dir := filepath.Join(root, e.Name())
			trials, err := filepath.Glob(filepath.Join(dir, TrialsDir, "[0-9]*", TrialFile))
			if isRunID(e.Name()) == named && err == nil && len(trials) > 0 {
				return dir, nil
			}
		}
	}
	return "", fmt.Errorf("%w under %s: make one with `equic-bench run scenarios/quick.yaml`", ErrNoRun, root)
}

// Lines calls yield for each record of one node of a trial, in the order in which they
// were printed. An error contains the file and the line.
func (r *Run) Lines(t *Trial, n *Node, yield func(*record.Line) error) error {
	path := filepath.Join(r.Dir, TrialsDir, t.Name(), n.Records)
	f, err := openRecords(path)
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	defer f.Close()
	var from io.Reader = f
	if r.until != nil {
		from = readerUntil{r.until, f}
	}
	err = record.ReadLines(from, path, yield)
	if err != nil && r.until != nil && r.until.Err() != nil {
		return fmt.Errorf("read %s: %w", path, r.until.Err()) // the last line may be incomplete
	}
	return err
}

// readerUntil is a reader that fails once a context has ended.
type readerUntil struct {
	ctx context.Context
	io.Reader
}

func (r readerUntil) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func trialName(p PlannedTrial, attempt int) string {
	name := fmt.Sprintf("%03d-%s", p.Index, p.Label())
	if attempt > 1 {
		name += fmt.Sprintf("-attempt-%d", attempt)
	}
	return name
}

// sealed is a file that SHA256SUMS covers.
type sealed struct {
	path   string // in the run directory, with slashes
	sha256 string // hexadecimal
	bytes  int64
}

// isReport reports whether a folder of a run directory is its report, or an incomplete
// report. Neither is part of the run.
func isReport(name string) bool {
	return name == ReportDir || strings.HasPrefix(name, HalfReport) && filepath.Base(name) == name
}

// rawFiles returns the files of a run directory except the report, the crate, the
// checksums, and incomplete trials.
func rawFiles(dir string) ([]sealed, error) {
	var files []sealed
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			if isReport(rel) || strings.HasPrefix(e.Name(), partial) {
				return fs.SkipDir
			}
			return nil
		}
		if rel == CrateFile || rel == ChecksumsFile {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		sum, err := FileSHA256(path)
		files = append(files, sealed{filepath.ToSlash(rel), sum, info.Size()})
		return err
	})
	return files, err
}
