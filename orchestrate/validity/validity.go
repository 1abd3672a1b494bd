// Package validity decides whether a trial is valid, by the rules of
// docs/method/definitions.md, "Rules of validity".
//
// orchestrate judges each trial at its end, `equic-bench verify` those of a finished
// run: from the manifest, trial.json and the records alone.
package validity

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/equic-bench/equic-bench/record"
	"github.com/equic-bench/equic-bench/results"
)

// Version is the version of the rules for new runs. A change of a rule that can change
// the outcome for a recorded trial needs a new version.
const Version = 5

// The rules, as trial.json names them.
const (
	RuleCompleted  = "completed"
	RuleReady      = "ready-before-epoch"
	RuleAlive      = "nodes-alive"
	RuleReadable   = "records-readable"
	RuleInterface  = "interface-kept"
	RuleThrottled  = "not-throttled"
	RuleSwapped    = "not-swapped"
	RuleComplete   = "records-complete"
	RuleServed     = "served-adds-up"
	RuleQuota      = "quota-held"
	RuleXDPMode    = "xdp-mode"
	RuleKernel     = "kernel-blocked"
	RuleOverlap    = "attack-overlaps-load"
	RuleGenerator  = results.GeneratorRule
	RuleSequential = "sequential-on-time"
	RuleLocal      = "generator-local-failures"
	RuleFlood      = results.FloodRule
)

// rule is one condition of a valid trial. It returns whether the condition is met, and
// the facts that show it.
type rule struct {
	name string
	// always: the rule also applies to a trial that was given up.
	always bool
	hold   func(*evidence) (bool, string)
}

// versions are the rules by version, in the order of trial.json. A run is judged by the
// rules of its own version.
var versions = map[int][]rule{1: rules1, 2: rules2, 3: rules3, stealVersion: rules3, pacedVersion: rules3}

// stealVersion is the first version in which CPU time that the host gave to other guests
// counts as busy: the run could not use it.
const stealVersion = 4

// pacedVersion is the first version that asks closed loops for their pace, and the clients of each host
// whether they were the bottleneck.
const pacedVersion = 5

var (
	rules2 = append(slices.Clone(rules1), rule{RuleLocal, false, fewLocalFailures})
	rules3 = append(slices.Clone(rules2), rule{RuleFlood, false, floodArrived})
)

var rules1 = []rule{
	{RuleCompleted, true, completed},
	{RuleReady, true, readyBeforeEpoch},
	{RuleAlive, true, nodesAlive},
	{RuleReadable, true, recordsReadable},
	{RuleInterface, true, interfaceKept},
	{RuleComplete, false, recordsComplete},
	{RuleThrottled, false, notThrottled},
	{RuleSwapped, false, notSwapped},
	{RuleServed, false, servedAddsUp},
	{RuleQuota, false, quotaHeld},
	{RuleXDPMode, false, xdpModeAsAsked},
	{RuleKernel, false, kernelBlocked},
	{RuleOverlap, false, attackOverlapsLoad},
	{RuleGenerator, false, generatorNotBottleneck},
	{RuleSequential, false, sequentialOnTime},
}

// VersionOf returns the version of the rules for a run.
func VersionOf(m *results.Manifest) int { return cmp.Or(m.ValidityVersion, 1) }

// Rules returns the names of the rules of Version, in the order of trial.json.
func Rules() []string {
	var names []string
	for _, r := range versions[Version] {
		names = append(names, r.name)
	}
	return names
}

// Records calls yield for each record of a node, in the order in which it was
// printed.
type Records func(n *results.Node, yield func(*record.Line) error) error

// Verdict is the outcome of all rules for one trial.
type Verdict struct {
	Checks []results.Check
	// Warnings are notes for readers about a trial that was not given up, even if it is
	// valid.
	Warnings  []string
	LoadEndNS int64 // when the last request ended, relative to the epoch
}

// Valid reports whether every rule is met.
func (v *Verdict) Valid() bool { return valid(v.Checks) }

func valid(checks []results.Check) bool {
	return !slices.ContainsFunc(checks, func(c results.Check) bool { return !c.OK })
}

// Judge judges a trial by the rules of its run. From the trial it reads the plan, the
// nodes and the observations during the run, but no recorded check.
func Judge(m *results.Manifest, t *results.Trial, read Records) (*Verdict, error) {
	rules, known := versions[VersionOf(m)]
	if !known {
		return nil, fmt.Errorf("unknown version %d of the rules for a valid trial", VersionOf(m))
	}
	e, err := gather(m, t, read)
	if err != nil {
		return nil, err
	}
	v := &Verdict{LoadEndNS: e.lastEnd()}
	for _, r := range rules {
		if t.GivenUp == "" || r.always {
			ok, facts := r.hold(e)
			v.Checks = append(v.Checks, results.Check{Rule: r.name, OK: ok, Evidence: facts})
		}
	}
	if t.GivenUp == "" {
		v.Warnings = e.warnings()
	}
	return v, nil
}
