package orchestrate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/equic-bench/equic-bench/orchestrate/validity"
	"github.com/equic-bench/equic-bench/results"
)

// ErrResume means that a run cannot be continued.
var ErrResume = errors.New("cannot resume")

// resume opens a run that ended early, to continue it with the plan that it recorded.
// Programs, machine and scenario must be the same.
func (r *runner) resume() error {
	run, err := results.Open(r.options.Resume)
	if err != nil {
		return err
	}
	fresh, err := newManifest(r.scenario, run.Manifest.Plan, r.options, r.machine, time.Now())
	if err != nil {
		return err
	}
	r.describe(fresh)
	if differences := differences(&run.Manifest, fresh); len(differences) > 0 {
		return fmt.Errorf("%w %s: %s: start a new run", ErrResume, run.Dir, strings.Join(differences, "; "))
	}
	r.manifest, r.plan, r.most = &run.Manifest, run.Manifest.Plan, len(run.Manifest.Plan)
	r.manifest.Experiment.Syscalls = fresh.Experiment.Syscalls // an older run did not record it
	for _, t := range run.Trials {
		r.trials = append(r.trials, *t)
	}
	recorded := r.plan
	if _, err := r.replan(run.Dir); err != nil {
		return fmt.Errorf("%w %s: %w", ErrResume, run.Dir, err)
	}
	if len(r.plan) < len(recorded) || !slices.Equal(recorded, r.plan[:len(recorded)]) {
		return fmt.Errorf("%w %s: its trials do not follow from one another: start a new run", ErrResume, run.Dir)
	}
	if r.next() == len(r.plan) && isSealed(run) {
		return fmt.Errorf("%w %s: all %d of its trials have ended", ErrResume, run.Dir, len(r.plan))
	}
	r.manifest.Resumed, r.manifest.Ended = append(r.manifest.Resumed, fresh.Started), time.Time{}
	r.recordCertificates()
	if r.writer, err = results.Reopen(run); err != nil {
		return err
	}
	return r.writer.WriteManifest(r.manifest)
}

// isSealed reports whether a run has ended, with its checksums.
func isSealed(run *results.Run) bool {
	_, err := os.Stat(filepath.Join(run.Dir, results.ChecksumsFile))
	return !run.Manifest.Ended.IsZero() && err == nil
}

// differences returns why two manifests do not belong to one run. Capabilities are not
// compared: which of them an engine supports is known only after the first trial, and
// follows from its version and the kernel.
func differences(was, is *results.Manifest) []string {
	var all []string
	differ := func(what, was, is string) {
		if was != is {
			all = append(all, fmt.Sprintf("%s was %s and is %s", what, was, cmp.Or(is, "unknown")))
		}
	}
	ifKnown := func(what, was, is string) { // if the manifest has it
		if was != "" {
			differ(what, was, is)
		}
	}
	if was.ScenarioSHA256 != is.ScenarioSHA256 {
		all = append(all, "the scenario is a different one")
	}
	for _, name := range slices.Sorted(maps.Keys(was.Binaries)) {
		if was.Binaries[name] != is.Binaries[name] {
			all = append(all, name+" is another binary")
		}
	}
	ifKnown("the version of equic-bench", was.Version, is.Version)
	differ("the version of the rules for a valid trial", strconv.Itoa(validity.VersionOf(was)),
		strconv.Itoa(validity.VersionOf(is)))
	differ("the runtime", was.Runtime.Name, is.Runtime.Name)
	if was.Runtime.Name == is.Runtime.Name { // else everything differs
		ifKnown("the runtime's version", was.Runtime.Version, is.Runtime.Version)
		ifKnown("the control groups' mode", was.Runtime.CgroupMode, is.Runtime.CgroupMode)
		if limits := was.Runtime.Limits; len(limits) > 0 {
			differ("what limits the nodes", without(limits, is.Runtime.Limits), without(is.Runtime.Limits, limits))
		}
	}
	differ("the kernel", was.Machine.Kernel, is.Machine.Kernel)
	differ("the CPU", was.Machine.CPUModel, is.Machine.CPUModel)
	differ("the number of CPUs", fmt.Sprint(was.Machine.CPUs), fmt.Sprint(is.Machine.CPUs))
	ifKnown("the CPUs' governor", was.Machine.Governor, is.Machine.Governor)
	return all
}

// without returns the texts of a list that are not in another.
func without(list, other []string) string {
	rest := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
	return cmp.Or(strings.Join(rest, ", "), "nothing")
}

// next returns the index in the plan of the first trial that is neither valid nor out
// of attempts.
func (r *runner) next() int {
	for i, p := range r.plan {
		if _, over := r.tried(p); !over {
			return i
		}
	}
	return len(r.plan)
}

// tried returns how often a planned trial was run, and whether that is enough.
func (r *runner) tried(p results.PlannedTrial) (attempts int, over bool) {
	for _, t := range r.trials {
		if t.Index != p.Index {
			continue
		}
		attempts = max(attempts, t.Attempt)
		over = over || t.Valid || t.Attempt >= Attempts
	}
	return attempts, over
}

// last returns the last attempt at a planned trial.
func (r *runner) last(p results.PlannedTrial) *results.Trial {
	var last *results.Trial
	for i := range r.trials {
		if t := &r.trials[i]; t.Index == p.Index && (last == nil || t.Attempt > last.Attempt) {
			last = t
		}
	}
	return last
}
