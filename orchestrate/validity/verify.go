package validity

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// TrialRecords is Records for any trial of a run.
type TrialRecords func(t *results.Trial, n *results.Node, yield func(*record.Line) error) error

// Verify judges the trials of a run again and compares the outcome of each rule with
// the recorded one; evidence may differ. A run without a manifest (nil), or with rules
// of an unknown version, is not checked.
func Verify(m *results.Manifest, trials []*results.Trial, read TrialRecords) results.Finding {
	const check = "verdicts"
	if why, means := unjudgeable(m, trials); why != "" {
		return results.Finding{Check: check, Status: results.NotChecked, Evidence: why, Means: means}
	}
	var faults []results.Fault
	outcomes, kept := 0, 0
	for _, t := range trials {
		records := func(n *results.Node, yield func(*record.Line) error) error { return read(t, n, yield) }
		for _, d := range differences(m, t, records) {
			faults = append(faults, results.Fault{File: path.Join(results.TrialsDir, t.Name()), Fault: d})
		}
		outcomes += len(t.Checks)
		if older(t) {
			kept += len(observed)
		}
	}
	evidence := fmt.Sprintf("%d outcomes in %d trials are as recorded, by the rules of version %d",
		outcomes, len(trials), VersionOf(m))
	if kept > 0 {
		evidence += fmt.Sprintf("; %d of them rest on what was observed during this older run and not recorded", kept)
	}
	return results.NewFinding(check, evidence, faults, "outcomes differ from the recorded ones",
		"records or verdicts were changed, or the trials were judged by other rules: take no figure from them")
}

// unjudgeable returns why no trial can be judged, and what that means.
func unjudgeable(m *results.Manifest, trials []*results.Trial) (why, means string) {
	switch {
	case m == nil:
		return "the rules follow from " + results.ManifestFile, "that file cannot be read"
	case versions[VersionOf(m)] == nil:
		return fmt.Sprintf("the rules are of version %d, this program has 1 to %d", VersionOf(m), Version),
			"a newer equic-bench judges this run"
	case len(trials) == 0:
		return "no trial whose files can be read", "whether trials are valid is not known"
	}
	return "", ""
}

// differences returns the rules with an outcome other than the recorded one, and why.
func differences(m *results.Manifest, t *results.Trial, read Records) []string {
	asRun, asTrial := backfilled(*m, *t)
	verdict, err := Judge(&asRun, &asTrial, read)
	if err != nil {
		return []string{"cannot be judged: " + err.Error()}
	}
	var all []string
	if valid(t.Checks) != t.Valid {
		all = append(all, fmt.Sprintf("recorded %s, its checks say %s", validText(t.Valid), validText(!t.Valid)))
	}
	recorded := map[string]bool{}
	for _, c := range t.Checks {
		recorded[c.Rule] = c.OK
		if !slices.ContainsFunc(verdict.Checks, func(v results.Check) bool { return v.Rule == c.Rule }) {
			all = append(all, fmt.Sprintf("%s: recorded %s, no rule for this trial", c.Rule, outcome(c.OK)))
		}
	}
	for _, c := range verdict.Checks {
		was, there := recorded[c.Rule]
		switch {
		case !there:
			all = append(all, fmt.Sprintf("%s: not recorded, judged %s: %s", c.Rule, outcome(c.OK), c.Evidence))
		case was != c.OK && (was || !older(t) || !slices.Contains(observed, c.Rule)):
			all = append(all, fmt.Sprintf("%s: recorded %s, judged %s: %s", c.Rule, outcome(was), outcome(c.OK), c.Evidence))
		}
	}
	return all
}

func outcome(ok bool) string {
	if ok {
		return "ok"
	}
	return "not ok"
}

func validText(valid bool) string {
	if valid {
		return "valid"
	}
	return "invalid"
}

// older reports whether a trial is older than the fields for observations during the
// run. Its records alone may break such a rule; if they do not, the recorded outcome is
// kept.
func older(t *results.Trial) bool { return len(t.Nodes) > 0 && t.Nodes[0].Ended == "" }

// backfilled takes from the recorded checks what an older run did not record otherwise:
// whether system calls were to be counted, whether the trial was given up, and, if not,
// how its nodes ended.
func backfilled(m results.Manifest, t results.Trial) (results.Manifest, results.Trial) {
	broken := func(rule string) (string, bool) {
		i := slices.IndexFunc(t.Checks, func(c results.Check) bool { return c.Rule == rule && !c.OK })
		if i < 0 {
			return "", false
		}
		return cmp.Or(t.Checks[i].Evidence, "given up"), true
	}
	if m.Experiment.Syscalls == nil {
		_, asked := broken(RuleComplete)
		m.Experiment.Syscalls = &asked
	}
	if !older(&t) {
		return m, t
	}
	var givenUp bool
	if t.GivenUp, givenUp = broken(RuleCompleted); givenUp {
		return m, t
	}
	t.Nodes = slices.Clone(t.Nodes)
	for i := range t.Nodes {
		t.Nodes[i].Ended = results.EndedItself
		if t.Nodes[i].Role == results.RoleServer {
			t.Nodes[i].Ended = results.EndedAsked
		}
	}
	return m, t
}
