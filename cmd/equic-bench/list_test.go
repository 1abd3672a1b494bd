package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/results"
)

// keepRun writes a run directory with a manifest of three planned trials and with the
// trials given, each as "index attempt validity".
func keepRun(t *testing.T, root, id string, trials ...[3]int) {
	t.Helper()
	dir := filepath.Join(root, id)
	write := func(path string, v any) {
		text, err := json.Marshal(v)
		testkit.Must(t, err)
		testkit.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		testkit.Must(t, os.WriteFile(path, text, 0o600))
	}
	m := results.Manifest{Schema: results.SchemaVersion, Scenario: "paper", Runtime: results.Runtime{Name: "netns"}}
	for i := range 3 {
		m.Plan = append(m.Plan, results.PlannedTrial{Index: i + 1, Block: 1, Variant: "no-block"})
	}
	write(filepath.Join(dir, results.ManifestFile), m)
	testkit.Must(t, os.MkdirAll(filepath.Join(dir, results.TrialsDir), 0o755))
	for _, trial := range trials {
		tr := results.Trial{PlannedTrial: m.Plan[trial[0]-1], Attempt: trial[1], Valid: trial[2] == 1}
		write(filepath.Join(dir, results.TrialsDir, tr.Name(), results.TrialFile), tr)
	}
}

func TestListShowsRunsAndHowFarTheyCame(t *testing.T) {
	root := t.TempDir()
	keepRun(t, root, "20260101T000000Z-paper", [3]int{1, 1, 1}, [3]int{2, 1, 0}, [3]int{2, 2, 1}, [3]int{3, 1, 1})
	keepRun(t, root, "20260102T000000Z-paper", [3]int{1, 1, 1}, [3]int{2, 1, 0}, [3]int{2, 2, 0}, [3]int{2, 3, 0},
		[3]int{3, 1, 1})
	keepRun(t, root, "20260103T000000Z-paper", [3]int{1, 1, 1}, [3]int{2, 1, 0})
	testkit.Must(t, os.MkdirAll(filepath.Join(root, "no-run"), 0o755))
	broken := filepath.Join(root, "20260104T000000Z-paper")
	testkit.Must(t, os.MkdirAll(broken, 0o755))
	testkit.Must(t, os.WriteFile(filepath.Join(broken, results.ManifestFile), []byte("{"), 0o600))

	var out, errs bytes.Buffer
	if code := run(t.Context(), nil, []string{"list", "--results", root, "--json"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	var got struct{ Runs []listedRun }
	testkit.Must(t, json.Unmarshal(out.Bytes(), &got))
	var states []string
	for _, r := range got.Runs {
		states = append(states, string(r.State))
	}
	if want := "unreadable unfinished invalid whole"; strings.Join(states, " ") != want {
		t.Errorf("states %q, want %s", states, want)
	}
	if r := got.Runs[3]; r.Valid != 3 || r.Planned != 3 || r.Runtime != "netns" || r.Scenario != "paper" {
		t.Errorf("%+v", r)
	}
	out.Reset()
	if code := run(t.Context(), nil, []string{"list", "--results", root}, &out, &errs); code != 0 ||
		!strings.Contains(out.String(), "20260102T000000Z-paper") {
		t.Errorf("exit code %d: %s", code, &out)
	}
	out.Reset()
	code := run(t.Context(), nil, []string{"list", "--results", t.TempDir()}, &out, &errs)
	if code != 0 || out.Len() > 0 || !strings.Contains(errs.String(), "make one with") {
		t.Errorf("no runs: exit code %d, %q, %q", code, &out, &errs)
	}
}

func TestATypingErrorIsAnsweredWithWhatWasProbablyMeant(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"rnu"}, `unknown command "rnu": did you mean "run"; see`},
		{[]string{"run", "--resum", "x"}, `unknown flag: --resum: did you mean "resume"; see`},
		{[]string{"run", "--frobnicate"}, "unknown flag: --frobnicate; see"},
		{[]string{"run", "../../scenarios/papr.yaml"}, `there is no such file; did you mean "paper.yaml"?`},
		{[]string{"run", "../../scenarios/quick.yaml", "--variants", "xdp-blok"}, `did you mean "xdp-block"?`},
	} {
		var errs bytes.Buffer
		code := run(t.Context(), nil, test.args, &bytes.Buffer{}, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), test.says) {
			t.Errorf("%q: exit code %d, %q; want %q", test.args, code, &errs, test.says)
		}
	}
}

func TestAShellCompletesRunsVariantsAndFiles(t *testing.T) {
	for _, test := range []struct {
		args []string
		has  string
	}{
		{[]string{"run", "--variants", "no-block,xdp"}, "no-block,xdp-block\n"},
		{[]string{"run", "--runtime", ""}, "netns\n"},
		{[]string{"run", "scen"}, "yaml\n:8\n"},  // a filter of files
		{[]string{"report", "nowhere"}, ":16\n"}, // folders
	} {
		var out bytes.Buffer
		code := run(t.Context(), nil, append([]string{"__complete"}, test.args...), &out, &bytes.Buffer{})
		if code != 0 || !strings.Contains(out.String(), test.has) {
			t.Errorf("%q: exit code %d, %q; want %q", test.args, code, &out, test.has)
		}
	}
}

func TestVersionIsAFlagToo(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), nil, []string{"--version"}, &out, &bytes.Buffer{}); code != 0 || out.String() != versionLine() {
		t.Errorf("exit code %d, %q", code, &out)
	}
}
