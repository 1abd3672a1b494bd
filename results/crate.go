package results

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// The vocabularies of a run's crate: RO-Crate 1.1 (https://w3id.org/ro/crate/1.1)
// and its profile for the execution of a program, Process Run Crate 0.5.
const (
	crateSpec         = "https://w3id.org/ro/crate/1.1"
	crateContext      = crateSpec + "/context"
	runContext        = "https://w3id.org/ro/terms/workflow-run/context"
	processRunProfile = "https://w3id.org/ro/wfrun/process/0.5"

	repository = "https://github.com/equic-bench/equic-bench"
)

// entity is one JSON-LD object of a crate. Its keys are written in order, so the same
// run gives the same bytes.
type entity map[string]any

// reference returns a pointer to another entity.
func reference(id string) entity { return entity{"@id": id} }

func references(entities []entity) []entity {
	all := make([]entity, len(entities))
	for i, e := range entities {
		all[i] = reference(e["@id"].(string))
	}
	return all
}

// crate describes a run in the vocabulary of RO-Crate, for archives and search engines.
// It lists the sealed files. The report is not one of them, because it can be drawn
// again from them at any time.
func crate(r *Run, files []sealed) ([]byte, error) {
	top, trials := crateParts(r, files)
	graph := slices.Concat(crateHead(r, slices.Concat(top, trials)), crateRun(r, trials), trials, top)
	for _, f := range files {
		if folder(f.path) != "" {
			graph = append(graph, f.entity())
		}
	}
	text, err := json.MarshalIndent(entity{"@context": []string{crateContext, runContext}, "@graph": graph}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describe run %s: %w", r.Dir, err)
	}
	return append(text, '\n'), nil
}

// crateHead returns the crate's own entity and its root, with the entities that these
// point to.
func crateHead(r *Run, parts []entity) []entity {
	m := &r.Manifest
	return []entity{
		{"@id": CrateFile, "@type": "CreativeWork", "conformsTo": reference(crateSpec), "about": reference("./")},
		{
			"@id": "./", "@type": "Dataset", "conformsTo": reference(processRunProfile),
			"name":       "equic-bench run " + m.ID,
			"identifier": m.ID,
			"description": fmt.Sprintf("Raw records of the scenario %s: what it costs a QUIC server to turn a client "+
				"away (%s; seed %d).", m.Scenario, strings.Join(m.Experiment.Variants, ", "), m.Seed),
			"datePublished": stamp(crateEnd(m)),
			"license":       reference("#license"),
			"hasPart":       references(parts),
			"mentions":      []entity{reference("#run"), reference("#report")},
		},
		{"@id": processRunProfile, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
		{
			"@id": "#license", "@type": "CreativeWork", "name": "not stated",
			"description": "Whoever publishes this run chooses its licence. That of equic-bench (MIT) is not the data's.",
		},
		{
			"@id": "#report", "@type": "CreativeWork", "name": "Figures and tables",
			"description": "In " + ReportDir + "/ once `equic-bench report` has drawn them. " +
				"They follow from the files of this crate and are no part of it.",
		},
	}
}

// crateRun returns the execution: what was run, when, from what, and how it ended.
func crateRun(r *Run, trials []entity) []entity {
	m := &r.Manifest
	run := entity{
		"@id": "#run", "@type": "CreateAction",
		"name":        "Run of the scenario " + m.Scenario,
		"description": strings.Join(m.Command, " "),
		"startTime":   stamp(m.Started), "endTime": stamp(crateEnd(m)),
		"instrument":   reference("#equic-bench"),
		"object":       reference(ScenarioFile),
		"result":       append(references(trials), reference(ManifestFile)),
		"actionStatus": reference("http://schema.org/CompletedActionStatus"),
	}
	if valid := r.ValidTrials(); valid < len(m.Plan) {
		run["actionStatus"] = reference("http://schema.org/FailedActionStatus")
		run["error"] = fmt.Sprintf("%d of %d planned trials are valid", valid, len(m.Plan))
	}
	return []entity{run, {
		"@id": "#equic-bench", "@type": "SoftwareApplication",
		"name": "equic-bench", "url": repository, "softwareVersion": m.Version,
		"description": fmt.Sprintf("Built with %s. The digests of its programs and the versions of its modules are in %s.",
			m.Go, ManifestFile),
	}}
}

// crateParts returns the files at the top of the run directory, and its trials.
func crateParts(r *Run, files []sealed) (top, trials []entity) {
	inside := map[string][]entity{}
	for _, f := range files {
		if folder(f.path) == "" {
			top = append(top, f.entity())
		} else {
			inside[folder(f.path)] = append(inside[folder(f.path)], f.entity())
		}
	}
	top = append(top, sealed{path: ChecksumsFile}.entity())
	for _, t := range r.Trials {
		name := TrialsDir + "/" + t.Name() + "/"
		trials = append(trials, entity{
			"@id": name, "@type": "Dataset",
			"name":        fmt.Sprintf("Trial %d of block %d, %s, attempt %d", t.Index, t.Block, t.Label(), t.Attempt),
			"description": trialVerdict(t),
			"dateCreated": stamp(t.Ended),
			"hasPart":     references(inside[name]),
		})
	}
	return top, trials
}

// folder returns the folder of a file with its slash, or "" at the top.
func folder(name string) string {
	dir, _ := path.Split(name)
	return dir
}

// entity describes a file. SHA256SUMS has no digest here, since it contains that of the
// crate.
func (f sealed) entity() entity {
	e := entity{
		"@id":            (&url.URL{Path: f.path}).EscapedPath(),
		"@type":          "File",
		"name":           fileTitle(f.path),
		"encodingFormat": mediaType(f.path),
	}
	if f.sha256 != "" {
		e["sha256"], e["contentSize"] = f.sha256, fmt.Sprint(f.bytes)
	}
	return e
}

func fileTitle(name string) string {
	switch base := path.Base(name); {
	case name == ScenarioFile:
		return "The scenario, as given"
	case name == ManifestFile:
		return "The manifest: plan, machine, runtime and versions"
	case name == ChecksumsFile:
		return "SHA-256 of every raw file, and of the crate"
	case base == TrialFile:
		return "The trial's nodes, checks and warnings"
	case strings.Contains(base, ".jsonl"):
		return "Records of " + strings.SplitN(base, ".", 2)[0]
	case path.Ext(base) == ".log":
		return "Log of " + strings.TrimSuffix(base, ".log")
	default:
		return base
	}
}

func mediaType(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".jsonl":
		return "application/x-ndjson"
	case ".yaml":
		return "application/yaml"
	case ".zst":
		return "application/zstd"
	case ".log", "":
		return "text/plain"
	}
	return "application/octet-stream"
}

// trialVerdict returns whether a trial is valid, or the first rule that it broke.
func trialVerdict(t *Trial) string {
	if t.Valid {
		return "valid"
	}
	for _, c := range t.Checks {
		if !c.OK {
			return "invalid: " + c.Rule + ": " + c.Evidence
		}
	}
	return "invalid"
}

// ValidTrials returns the number of planned trials that have a valid attempt, or that
// show in a search, in all attempts, which attack the clients cannot start.
func (r *Run) ValidTrials() int {
	valid := map[int]bool{}
	for _, t := range r.Trials {
		limited := r.Manifest.Experiment.Search != nil && t.Limited() && t.Attempt >= Attempts
		if t.Valid || limited {
			valid[t.Index] = true
		}
	}
	return len(valid)
}

// crateEnd returns when the run ended. For a resumed run that is its last end, not the
// time of the description.
func crateEnd(m *Manifest) time.Time {
	if m.Ended.IsZero() {
		return m.Started
	}
	return m.Ended
}

// stamp formats a time according to ISO 8601, in UTC and in whole seconds.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
