package results

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/equic-bench/equic-bench/internal/testkit"
)

// readCrate returns the entities of a run's crate by their IDs.
func readCrate(t *testing.T, dir string) map[string]map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, CrateFile))
	testkit.Must(t, err)
	var document struct {
		Context []string         `json:"@context"`
		Graph   []map[string]any `json:"@graph"`
	}
	testkit.Must(t, json.Unmarshal(text, &document))
	if diff := cmp.Diff([]string{crateContext, runContext}, document.Context); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
	entities := map[string]map[string]any{}
	for _, e := range document.Graph {
		id, _ := e["@id"].(string)
		if entities[id] != nil || id == "" || e["@type"] == nil {
			t.Errorf("entity %q: given twice, or without id or type", id)
		}
		entities[id] = e
	}
	return entities
}

// ids returns the IDs that a property points to.
func ids(property any) []string {
	switch v := property.(type) {
	case map[string]any:
		if id, ok := v["@id"].(string); ok {
			return []string{id}
		}
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, ids(item)...)
		}
		return all
	}
	return nil
}

// needs fails for each required property that an entity does not have.
func needs(t *testing.T, e map[string]any, kind string, properties ...string) {
	t.Helper()
	if e == nil || e["@type"] != kind {
		t.Fatalf("%v: want a %s", e, kind)
	}
	for _, p := range properties {
		if text, isText := e[p].(string); e[p] == nil || isText && text == "" {
			t.Errorf("%s has no %s", e["@id"], p)
		}
	}
}

// checkCrate checks a crate against RO-Crate 1.1 and Process Run Crate 0.5, as far as
// their requirements apply to a crate like ours, and against the files.
func checkCrate(t *testing.T, dir string) map[string]map[string]any {
	t.Helper()
	entities := readCrate(t, dir)
	needs(t, entities[CrateFile], "CreativeWork", "about", "conformsTo")
	needs(t, entities["./"], "Dataset", "name", "description", "datePublished", "license", "hasPart", "mentions",
		"conformsTo")
	needs(t, entities[processRunProfile], "CreativeWork", "name", "version")
	action := entities["#run"]
	needs(t, action, "CreateAction", "name", "description", "startTime", "endTime", "instrument", "object", "result",
		"actionStatus")
	needs(t, entities[ids(action["instrument"])[0]], "SoftwareApplication", "name", "url", "softwareVersion")
	for id, e := range entities {
		for key, property := range e {
			for _, to := range ids(property) {
				if entities[to] == nil && key != "actionStatus" && to != crateSpec {
					t.Errorf("%s: %s points to %q, which is not described", id, key, to)
				}
			}
		}
	}
	for _, times := range []any{entities["./"]["datePublished"], action["startTime"], action["endTime"]} {
		if _, err := time.Parse(time.RFC3339, times.(string)); err != nil {
			t.Error(err)
		}
	}
	checkParts(t, dir, entities)
	return entities
}

// checkParts compares the files below the root with those in the folder.
func checkParts(t *testing.T, dir string, entities map[string]map[string]any) {
	t.Helper()
	reached := map[string]bool{}
	var follow func(id string)
	follow = func(id string) {
		for _, part := range ids(entities[id]["hasPart"]) {
			reached[part] = true
			follow(part)
		}
	}
	follow("./")
	for id, e := range entities {
		if e["@type"] == "File" && !reached[id] {
			t.Errorf("%s is no part of the root", id)
		}
		if e["@type"] != "File" || id == ChecksumsFile {
			continue
		}
		if sum, err := FileSHA256(filepath.Join(dir, id)); err != nil || e["sha256"] != sum || e["encodingFormat"] == nil ||
			e["name"] == nil {
			t.Errorf("%v: the file's digest is %s (%v)", e, sum, err)
		}
	}
	files, err := rawFiles(dir)
	testkit.Must(t, err)
	for _, f := range files {
		if !reached[f.path] {
			t.Errorf("%s is not in the crate", f.path)
		}
	}
}

func TestTheCrateOfARunIsWhole(t *testing.T) {
	w := writeRun(t, t.TempDir())
	entities := checkCrate(t, w.Dir)
	action := entities["#run"]
	if diff := cmp.Diff([]string{ScenarioFile}, ids(action["object"])); diff != "" {
		t.Errorf("what the run took (-want +got):\n%s", diff)
	}
	want := []string{"trials/001-no-block-attempt-2/", ManifestFile}
	if diff := cmp.Diff(want, ids(action["result"])); diff != "" {
		t.Errorf("what the run made (-want +got):\n%s", diff)
	}
	sums, err := os.ReadFile(filepath.Join(w.Dir, ChecksumsFile))
	testkit.Must(t, err)
	if !strings.Contains(string(sums), "  "+CrateFile+"\n") {
		t.Errorf("the checksums do not cover the crate:\n%s", sums)
	}
}

func TestTheCrateSaysHowTheRunEnded(t *testing.T) {
	valid := &Trial{PlannedTrial: PlannedTrial{Index: 1, Block: 1, Variant: "no-block"}, Attempt: 2, Valid: true}
	broken := &Trial{PlannedTrial: PlannedTrial{Index: 1, Block: 1, Variant: "no-block"}, Attempt: 1, Checks: []Check{
		{Rule: "completed", OK: true}, {Rule: "nodes-alive", Evidence: "server ended with exit code 137"},
	}}
	tests := map[string]struct {
		trials       []*Trial
		status, says string
		trial        string
	}{
		"every planned trial has a valid attempt": {[]*Trial{broken, valid}, "CompletedActionStatus", "", "valid"},
		"a trial stayed invalid": {
			[]*Trial{broken},
			"FailedActionStatus",
			"0 of 1 planned trials are valid", "invalid: nodes-alive: server ended with exit code 137",
		},
		"the run ended before its first trial": {nil, "FailedActionStatus", "0 of 1 planned trials are valid", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &Run{Trials: tt.trials, Manifest: Manifest{Plan: make([]PlannedTrial, 1)}}
			_, trials := crateParts(r, nil)
			action := crateRun(r, trials)[0]
			if got := action["actionStatus"].(entity)["@id"]; got != "http://schema.org/"+tt.status {
				t.Errorf("status %s, want %s", got, tt.status)
			}
			if got, _ := action["error"].(string); got != tt.says {
				t.Errorf("error %q, want %q", got, tt.says)
			}
			if len(trials) > 0 && trials[len(trials)-1]["description"] != tt.trial {
				t.Errorf("the last trial is %q, want %q", trials[len(trials)-1]["description"], tt.trial)
			}
		})
	}
}

func TestARunSealedAgainHasTheSameCrate(t *testing.T) {
	w := writeRun(t, t.TempDir())
	first, err := os.ReadFile(filepath.Join(w.Dir, CrateFile))
	testkit.Must(t, err)
	testkit.Must(t, os.Mkdir(filepath.Join(w.Dir, ReportDir), 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(w.Dir, ReportDir, "report.md"), []byte("x"), 0o600))
	testkit.Must(t, w.Seal())
	second, err := os.ReadFile(filepath.Join(w.Dir, CrateFile))
	testkit.Must(t, err)
	if !bytes.Equal(first, second) {
		t.Errorf("first:\n%s\nsecond:\n%s", first, second)
	}
}
