package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Verification is the result of Verify.
type Verification struct {
	Manifest *Manifest // nil if it cannot be read
	Trials   []*Trial  // those in the right folders, with all records
	Findings []Finding
	// NoRecords is set if none of the nodes' records is there, as in a copy by PackReport.
	// What needs them is not checked.
	NoRecords bool
}

// Verify checks a run directory for consistency: that the run has ended and is sealed; that every file
// matches SHA256SUMS, and there is no other; that the scenario is the one of the manifest; that each trial is
// in its own folder; and that each node has as many records as its trial states. Reports, complete or not,
// are not checked, because they can be drawn from the records. If all records are missing, and nothing else,
// what needs them is not checked.
//
// It writes nothing and follows no link out of the run. For a folder that is not a run,
// the error wraps ErrNoRun. Checksums find accidental changes. They do not protect
// against somebody who changes a file and its checksum.
func Verify(ctx context.Context, dir string) (_ *Verification, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("verify %s: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRun, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	v := &verifier{fsys: root.FS(), dir: dir}
	if !v.isRun() {
		return nil, fmt.Errorf("%w: %s has neither %s nor %s", ErrNoRun, dir, ManifestFile, ChecksumsFile)
	}
	if v.files, v.odd, err = survey(ctx, v.fsys); err != nil {
		return nil, fmt.Errorf("verify %s: %w", dir, err)
	}
	v.readManifest()
	v.readTrials()
	findings := append([]Finding{v.ended()}, v.checksums()...)
	findings = append(findings, v.scenario(), v.trialFolders(), v.records())
	return &Verification{v.manifest, v.readable(), findings, v.noRecords}, nil
}

// verifier verifies one run.
type verifier struct {
	fsys        fs.FS
	dir         string
	files       map[string]content // all regular files but the report's
	odd         []Fault            // entries that are neither files nor folders
	manifest    *Manifest          // nil if it cannot be read
	manifestErr error
	trials      []trialFolder
	noRecords   bool // the files do not include a node's records, but the checksums do
}

// trialFolder is a trial's folder with its trial.json, or nil if that cannot be read.
type trialFolder struct {
	name  string // "001-no-block"
	trial *Trial
	err   error
}

func (v *verifier) isRun() bool {
	for _, pattern := range []string{ManifestFile, ChecksumsFile, TrialsDir + "/*/" + TrialFile} {
		if found, err := fs.Glob(v.fsys, pattern); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

func (v *verifier) readManifest() {
	m := new(Manifest)
	if v.manifestErr = v.readJSON(ManifestFile, m); v.manifestErr != nil {
		return
	}
	if m.Schema < OldestSchema || m.Schema > SchemaVersion {
		v.manifestErr = fmt.Errorf("layout version %d, this program reads %d to %d", m.Schema, OldestSchema, SchemaVersion)
		return
	}
	v.manifest = m
}

// readTrials reads trial.json in every folder of trials/ except incomplete ones.
func (v *verifier) readTrials() {
	entries, err := fs.ReadDir(v.fsys, TrialsDir)
	if err != nil {
		return // no trials: tally compares that with the plan
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), partial) {
			continue
		}
		t := new(Trial)
		err := v.readJSON(path.Join(TrialsDir, e.Name(), TrialFile), t)
		if err != nil {
			t = nil
		}
		v.trials = append(v.trials, trialFolder{name: e.Name(), trial: t, err: err})
	}
}

// readJSON reads a regular file that survey has found.
func (v *verifier) readJSON(name string, into any) error {
	switch c, ok := v.files[name]; {
	case !ok:
		return errors.New("not there")
	case c.err != nil:
		return c.err
	}
	text, err := fs.ReadFile(v.fsys, name)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// interrupted explains a run without an end.
func (v *verifier) interrupted() string {
	return fmt.Sprintf("the run was interrupted by a power cut or SIGKILL, or is still running; `equic-bench run "+
		"--resume %s` continues it", v.dir)
}

// ended checks that the manifest was written at the end.
func (v *verifier) ended() Finding {
	f := Finding{Check: "ended", Status: Broken}
	switch {
	case v.manifestErr != nil:
		f.Evidence = ManifestFile + " cannot be read"
		f.Means = "what was run is not known; the checks that need it are left out"
		f.Faults = []Fault{{ManifestFile, v.manifestErr.Error()}}
	case v.manifest.Ended.IsZero():
		f.Evidence, f.Means = ManifestFile+" has no `ended`", v.interrupted()
	default:
		f.Status, f.Evidence = Holds, "at "+v.manifest.Ended.UTC().Format(time.RFC3339)
	}
	return f
}

// scenario checks that the scenario is the one whose digest was recorded when the run
// began.
func (v *verifier) scenario() Finding {
	const check = "scenario"
	if v.manifest == nil {
		evidence := "its digest is in " + ManifestFile
		return Finding{Check: check, Status: NotChecked, Evidence: evidence, Means: "that file cannot be read"}
	}
	var faults []Fault
	switch c, ok := v.files[ScenarioFile]; {
	case !ok:
		faults = []Fault{{ScenarioFile, "not there"}}
	case c.err != nil:
		faults = []Fault{{ScenarioFile, c.err.Error()}}
	case c.sum != v.manifest.ScenarioSHA256:
		what := fmt.Sprintf("its SHA-256 is %s, %s says %q", c.sum, ManifestFile, v.manifest.ScenarioSHA256)
		faults = []Fault{{ScenarioFile, what}}
	}
	return NewFinding(check, ScenarioFile+" is the one of "+ManifestFile, faults,
		"file is not what "+ManifestFile+" says", "it may not be the experiment that was run")
}

// trialFolders checks that every trial is in its own folder and was planned.
func (v *verifier) trialFolders() Finding {
	var faults []Fault
	for _, f := range v.trials {
		if fault := v.misplaced(&f); fault.Fault != "" {
			faults = append(faults, fault)
		}
	}
	return NewFinding("trials", v.tally(), faults,
		"trial folders do not match their contents", "figures may be under the wrong variant, or lack a trial")
}

// misplaced returns why a folder is not that of its trial, or an empty fault if it is.
func (v *verifier) misplaced(f *trialFolder) Fault {
	at := path.Join(TrialsDir, f.name)
	switch {
	case f.err != nil:
		return Fault{path.Join(at, TrialFile), f.err.Error()}
	case f.trial.Name() != f.name:
		return Fault{at, "its " + TrialFile + " is of trial " + f.trial.Name()}
	case v.manifest != nil && !slices.Contains(v.manifest.Plan, f.trial.PlannedTrial):
		return Fault{path.Join(at, TrialFile), "is not in the plan of " + ManifestFile}
	}
	return Fault{}
}

// tally counts the trials. A planned trial that was not run is not a fault: a run that
// was told to stop keeps its trials.
func (v *verifier) tally() string {
	run, valid := map[int]bool{}, 0
	for _, f := range v.trials {
		if f.trial == nil {
			continue
		}
		run[f.trial.Index] = true
		if f.trial.Valid {
			valid++
		}
	}
	text := fmt.Sprintf("%d in their folders, %d of them valid", len(v.trials), valid)
	if v.manifest == nil {
		return text
	}
	text += fmt.Sprintf(", %d planned", len(v.manifest.Plan))
	if missing := len(v.manifest.Plan) - len(run); missing > 0 {
		text += fmt.Sprintf(", of which %d not run", missing)
	}
	return text
}

// records checks that no record was lost or added.
func (v *verifier) records() Finding {
	if v.noRecords {
		return NeedsRecords("records")
	}
	var faults []Fault
	files, lines := 0, 0
	for _, f := range v.trials {
		if f.trial == nil {
			continue // a fault of the previous check
		}
		for _, n := range f.trial.Nodes {
			files, lines = files+1, lines+n.Lines
			name := v.recordsFile(path.Join(TrialsDir, f.name, n.Records))
			if why := v.miscount(name, n.Lines); why != "" {
				faults = append(faults, Fault{name, why})
			}
		}
	}
	return NewFinding("records", fmt.Sprintf("%d lines in %d files, as the trials say", lines, files), faults,
		"of the nodes' files are not as long as "+TrialFile+" says",
		"records were lost or added: take no figure from these trials")
}

// readable returns the trials whose records can be read.
func (v *verifier) readable() []*Trial {
	var trials []*Trial
	for i := range v.trials {
		f := &v.trials[i]
		missing := func(n Node) bool {
			c, ok := v.files[v.recordsFile(path.Join(TrialsDir, f.name, n.Records))]
			return !ok || c.err != nil
		}
		if v.misplaced(f).Fault == "" && !slices.ContainsFunc(f.trial.Nodes, missing) {
			trials = append(trials, f.trial)
		}
	}
	return trials
}

// recordsFile returns the name of the file with a node's records, which may be packed.
func (v *verifier) recordsFile(name string) string {
	_, plain := v.files[name]
	if _, packed := v.files[name+packedSuffix]; packed && !plain {
		return name + packedSuffix
	}
	return name
}

// miscount returns why a file does not have this number of lines, or "" if it has.
func (v *verifier) miscount(name string, want int) string {
	switch c, ok := v.files[name]; {
	case !ok:
		return "not there"
	case c.err != nil:
		return c.err.Error()
	case c.cut:
		return "its last line has no end"
	case c.lines != want:
		return fmt.Sprintf("has %d lines, %s says %d", c.lines, TrialFile, want)
	}
	return ""
}
